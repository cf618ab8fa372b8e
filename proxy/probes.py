"""`/healthz`, `/readyz` and `/metrics`, outside Django: they must answer when pages are slow."""

import asyncio
import hmac
import ipaddress
import logging

import psycopg
from django.conf import settings
from kombu import Connection

from proxy import database, gauges, metrics
from proxy.http import Exchange, Receive, Scope, Send

log = logging.getLogger(__name__)

PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
PATIENCE_SECONDS = 3.0


async def answer(scope: Scope, receive: Receive, send: Send, *, leaving: bool) -> None:
    exchange = Exchange(scope, receive, send)
    if scope["path"] == "/healthz":
        await _text(exchange, 200, "ok")
    elif scope["path"] == "/metrics":
        if _may_read_metrics(exchange):
            await _refresh_gauges()
            await _text(exchange, 200, metrics.render().decode(), b"text/plain; version=0.0.4; charset=utf-8")
        else:
            await _text(exchange, 403, "forbidden")
    elif leaving:
        await _text(exchange, 503, "draining")
    else:
        missing = await _missing()
        await _text(exchange, 503 if missing else 200, f"no answer from {', '.join(missing)}" if missing else "ok")


def _may_read_metrics(exchange: Exchange) -> bool:
    token = settings.METRICS_TOKEN
    if token and hmac.compare_digest(exchange.header(b"authorization"), f"Bearer {token}"):
        return True
    # Behind a proxy every peer is the proxy, so loopback proves nothing there.
    return settings.TRUSTED_PROXY_DEPTH == 0 and not exchange.header(b"x-forwarded-for") and _is_loopback(exchange.peer)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


async def _refresh_gauges() -> None:
    """Without a database the process's own figures are still worth showing."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            connection = await database.connect()
            try:
                await gauges.refresh(connection)
            finally:
                await connection.close()
    except (psycopg.Error, OSError, TimeoutError) as error:
        log.warning("/metrics cannot read the database: %s", type(error).__name__)


async def _missing() -> list[str]:
    """Which of the services does not answer."""
    checks = {"the database": _database(), "the broker": asyncio.to_thread(_broker)}
    missing = []
    for name, check in checks.items():
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await check
        except Exception:
            missing.append(name)
    return missing


async def _database() -> None:
    connection = await database.connect()
    try:
        await connection.execute("SELECT 1")
    finally:
        await connection.close()


def _broker() -> None:
    with Connection(settings.CELERY_BROKER_URL, connect_timeout=2) as connection:
        connection.ensure_connection(max_retries=0, timeout=2)


async def _text(exchange: Exchange, status: int, text: str, kind: bytes = b"text/plain") -> None:
    body = text.encode()
    await exchange.start(
        status,
        [
            (b"content-type", kind),
            (b"content-length", str(len(body)).encode()),
            (b"x-content-type-options", b"nosniff"),
        ],
    )
    await exchange.end(body)

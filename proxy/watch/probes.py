"""`/healthz`, `/readyz` and `/metrics`, outside Django: they must answer when pages are slow."""

import asyncio
import hmac
import ipaddress
import logging
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any, Generic, TypeVar

import psycopg
from django.conf import settings
from kombu import Connection

from proxy.batches import connections
from proxy.exchange import Exchange, Receive, Scope, Send
from proxy.watch import gauges, metrics

log = logging.getLogger(__name__)

PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
PROBE_SECONDS = 3.0
LOOK_SECONDS = 1.0
Found = TypeVar("Found")


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
    if token and hmac.compare_digest(exchange.headers.get(b"authorization", b""), f"Bearer {token}".encode()):
        return True
    # Behind a proxy every peer is the proxy, so loopback proves nothing there.
    is_behind = settings.TRUSTED_PROXY_DEPTH or settings.TRUSTED_PROXIES or exchange.header(b"x-forwarded-for")
    return not is_behind and _is_loopback(exchange.peer)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


class Shared(Generic[Found]):
    """A look that askers share: one under way at a time, and its result holds for some seconds.

    Each look opens connections of its own, and anybody may ask.
    """

    def __init__(self, look: Callable[[], Coroutine[Any, Any, Found]], *, seconds: float) -> None:
        self._look = look
        self._seconds = seconds
        self._task: asyncio.Task[Found] | None = None
        self._ended = 0.0

    async def __call__(self) -> Found:
        task = self._task
        if task is None or task.get_loop() is not asyncio.get_running_loop() or self._is_stale(task):
            task = self._task = asyncio.create_task(self._look())
            task.add_done_callback(self._note)
        # An asker who leaves must not cut the look of the others.
        return await asyncio.shield(task)

    def _is_stale(self, task: asyncio.Task[Found]) -> bool:
        return task.done() and (task.cancelled() or monotonic() - self._ended >= self._seconds)

    def _note(self, task: asyncio.Task[Found]) -> None:
        self._ended = monotonic()


async def _read_gauges() -> None:
    """Without a database the process's own figures are still worth showing."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            connection = await connections.connect()
            try:
                await gauges.refresh(connection)
            finally:
                await connection.close()
    except (psycopg.Error, OSError, TimeoutError) as error:
        log.warning("/metrics cannot read the database: %s", type(error).__name__)


async def _look_at_services() -> list[str]:
    """Which of the services does not answer."""
    checks = {"the database": _database, "the broker": _ask_broker}
    missing = []
    for name, check in checks.items():
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await check()
        except Exception:
            missing.append(name)
    return missing


async def _ask_broker() -> None:
    await asyncio.to_thread(_broker)


async def _database() -> None:
    connection = await connections.connect()
    try:
        await connection.execute("SELECT 1")
    finally:
        await connection.close()


def _broker() -> None:
    url = settings.CELERY_BROKER_URL
    # One that takes a connection and says nothing would keep this thread.
    options = {"socket_timeout": 2} if url.startswith("redis") else {}
    with Connection(url, connect_timeout=2, transport_options=options) as connection:
        connection.ensure_connection(max_retries=0, timeout=2)


_missing = Shared(_look_at_services, seconds=LOOK_SECONDS)
_refresh_gauges = Shared(_read_gauges, seconds=0)


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

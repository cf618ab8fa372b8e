"""An answer that is neither JSON nor events, as it comes: sound, a picture, plain text.

Its end is kept back until METER, so that nobody has the whole of what was not charged.
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import aiohttp

from proxy.errors import Refusal, provider_broke_off, provider_late, provider_not_this, unwritten
from proxy.exchange import ClientGone
from proxy.models import Generation
from proxy.prices.catalog import Destination
from proxy.protocols import lossless
from proxy.protocols.base import Reported, printable
from proxy.protocols.endpoint import Dialect
from proxy.relay.client import LOST, read_all
from proxy.relay.failover import BrokenEarly
from proxy.relay.refusals import count_error
from proxy.settlement.metering import Unwritten

if TYPE_CHECKING:
    from proxy.relay.relay import Relay

Reason = Generation.Reason
UNKNOWN_KIND = "application/octet-stream"
KEPT = 4_096
"""Bytes of an answer's end that wait for METER."""
TEXTS = ("application/json", "application/problem+json", "text/html")
"""How what says that it failed is labelled, and how an answer may be."""


async def relay_bytes(relay: "Relay", response: aiohttp.ClientResponse, destination: Destination) -> None:
    """Raises `BrokenEarly` where nothing came of it that could be relayed."""
    dialect, size, held = relay.failover.dialect(destination), 0, b""
    reason, kind, refusal = Reason.COMPLETED, "", provider_broke_off()
    try:
        with relay.failover.hearing(response, destination) as chunks:
            if response.headers.get("Content-Type", "").partition(";")[0].strip().lower() in TEXTS:
                held = await _judged(relay, chunks, dialect, destination)
                size = len(held)
            async for piece in chunks:
                size += len(piece)
                held += piece
                if len(held) > KEPT:
                    ready, held = held[:-KEPT], held[-KEPT:]
                    await _write(relay, response, ready)
        if not size:
            reason, kind = Reason.UPSTREAM_ERROR, "garbage"
    except TimeoutError:
        reason, kind, refusal = Reason.TIMEOUT, "timeout", provider_late()
    except LOST:
        reason, kind = Reason.UPSTREAM_EOF, "eof"
    reported, produced = Reported(None), 0
    if reason == Reason.COMPLETED:
        relay.failover.answered(destination)
        reported, produced = dialect.measured(relay.call, response.headers, size), size
    else:
        # Nothing tells how much of it that was, so nobody pays for it.
        count_error(destination, kind)
        if not relay.exchange.started:
            raise BrokenEarly(refusal, reason)
        relay.failover.ended_with(destination, refusal)
    record = relay.record(response.headers, destination, reported, produced_bytes=produced, reason=reason)
    try:
        end = await relay.meter(record, lambda: held)
    except Unwritten:
        if not relay.exchange.started:
            raise unwritten(record.generation_id) from None
        raise ClientGone from None  # cut: its end must not leave
    if reason != Reason.COMPLETED:
        raise ClientGone  # cut where the upstream was
    await _begin(relay, response)
    await relay.exchange.end(end)


async def _judged(
    relay: "Relay", chunks: AsyncIterator[bytes], dialect: Dialect[Any], destination: Destination
) -> bytes:
    """A text, read whole: it may say that it failed. Raises `BrokenEarly` where it does, or is no text of this path."""
    body = await read_all(b"", chunks)
    try:
        failed = dialect.failure(lossless.load(body))
    except ValueError:
        count_error(destination, "garbage")
        raise BrokenEarly(provider_not_this(), Reason.UPSTREAM_ERROR) from None
    if failed is not None:
        refusal: Refusal = relay.failover.refusal_of(failed, destination)
        count_error(destination, str(refusal.status) if refusal.is_final else "error")
        raise BrokenEarly(refusal, Reason.UPSTREAM_ERROR, is_refusal=True)
    return body


async def _write(relay: "Relay", response: aiohttp.ClientResponse, piece: bytes) -> None:
    if relay.is_gone:
        return
    try:
        await _begin(relay, response)
        await relay.exchange.write(piece)
    except ClientGone:
        relay.client_left()


async def _begin(relay: "Relay", response: aiohttp.ClientResponse) -> None:
    if not relay.exchange.started:
        kind = printable(response.headers.get("Content-Type", "")) or UNKNOWN_KIND
        await relay.exchange.start(200, [(b"content-type", kind.encode()), *relay.headers])

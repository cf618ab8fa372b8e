"""An answer that is neither JSON nor events, as it comes: sound, a picture, plain text.

Its last piece is kept back until METER, so that nobody has the whole of what was not charged.
"""

from typing import TYPE_CHECKING

import aiohttp

from proxy.errors import provider_broke_off, provider_late, unwritten
from proxy.exchange import ClientGone
from proxy.models import Generation
from proxy.prices.catalog import Destination
from proxy.protocols.base import printable
from proxy.relay.client import LOST
from proxy.relay.failover import BrokenEarly, count_error
from proxy.settlement.metering import Unwritten

if TYPE_CHECKING:
    from proxy.relay.relay import Relay

Reason = Generation.Reason
UNKNOWN_KIND = "application/octet-stream"


async def relay_bytes(relay: "Relay", response: aiohttp.ClientResponse, destination: Destination) -> None:
    """Raises `BrokenEarly` where nothing came of it that could be relayed."""
    dialect, size, last = relay.failover.dialect(destination), 0, b""
    reason, kind, refusal = Reason.COMPLETED, "", provider_broke_off()
    try:
        with relay.failover.hearing(response, destination) as chunks:
            async for piece in chunks:
                if last:
                    await _write(relay, response, last)
                last, size = piece, size + len(piece)
        if not size:
            reason, kind = Reason.UPSTREAM_ERROR, "garbage"
    except TimeoutError:
        reason, kind, refusal = Reason.TIMEOUT, "timeout", provider_late()
    except LOST:
        reason, kind = Reason.UPSTREAM_EOF, "eof"
    if reason == Reason.COMPLETED:
        relay.failover.answered(destination)
    else:
        count_error(destination, kind)
        if not relay.exchange.started:
            raise BrokenEarly(refusal, reason)
    reported = dialect.measured(relay.call, response.headers, size)
    record = relay.record(response.headers, destination, reported, produced_bytes=0, reason=reason)
    try:
        end = await relay.meter(record, lambda: last)
    except Unwritten:
        if not relay.exchange.started:
            raise unwritten(record.generation_id) from None
        raise ClientGone from None  # cut: its end must not leave
    if reason != Reason.COMPLETED:
        raise ClientGone  # cut where the upstream was
    await _begin(relay, response)
    await relay.exchange.end(end)


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

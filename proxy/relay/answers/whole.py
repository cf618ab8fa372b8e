"""An answer in one piece: read whole, metered, then given to the caller; but for long ones, if their kind allows."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import aiohttp

from proxy.errors import Refusal, provider_broke_off, provider_late, provider_not_json, unwritten
from proxy.models import Generation
from proxy.prices.catalog import Destination
from proxy.protocols import lossless
from proxy.protocols.base import Manner
from proxy.protocols.endpoint import Dialect
from proxy.protocols.framing import framed
from proxy.protocols.sse import END, Splitter
from proxy.relay.answers.long import Share, beginning, begun, end_pieces, relay_pieces
from proxy.relay.answers.pieces import Pieces
from proxy.relay.client import LOST, read_all
from proxy.relay.failover import BrokenEarly
from proxy.relay.refusals import count_error
from proxy.settlement.metering import Unwritten

if TYPE_CHECKING:
    from proxy.relay.relay import Relay

Reason = Generation.Reason


async def relay_json(relay: "Relay", response: aiohttp.ClientResponse, destination: Destination) -> None:
    """Raises `BrokenEarly` where nothing came of it that could be relayed."""
    dialect = relay.failover.dialect(destination)
    pieces: Pieces | None = None
    broken: tuple[str, Refusal, Generation.Reason] | None = None
    answer: Any = None
    raw = b""
    try:
        raw = response.content.read_nowait() if response.content.is_eof() else b""
        if not raw.startswith(b"{"):  # most answers come with their head, and are JSON
            share = relay.share = Share(relay.client.answers)
            with relay.failover.hearing(response, destination) as chunks:
                heard = _preceded(raw, chunks) if raw else chunks
                raw, pieces, rest = await _read(heard, response, dialect, share, relay.manner)
                if pieces is not None:
                    await relay_pieces(relay, pieces, rest)
        if pieces is None:
            answer, raw = dialect.load(raw)
    except TimeoutError:
        broken = "timeout", provider_late(), Reason.TIMEOUT
    except LOST:
        broken = "eof", provider_broke_off(), Reason.UPSTREAM_EOF
    except ValueError:
        broken = "garbage", provider_not_json(), Reason.UPSTREAM_ERROR
    if broken is not None and not relay.exchange.started:
        kind, refusal, reason = broken
        count_error(destination, kind)
        raise BrokenEarly(refusal, reason)
    if pieces is not None:
        await end_pieces(relay, response, destination, pieces, broken)
        return
    failed = dialect.failure(answer)
    failure = None if failed is None else relay.failover.refusal_of(failed, destination)
    if not isinstance(answer, dict):
        answer = {}
    reported = dialect.read_answer(relay.call, answer)
    if failure is None and reported.is_pending and relay.call.background_seconds is not None:
        await relay.hand_over(destination, reported.upstream_id)
        relay.failover.answered(destination)
        await relay.exchange.answer(200, lossless.splice(raw, relay.manner.named(answer)), relay.headers)
        return
    produced = 0 if reported.is_counted and failure is None else dialect.produced_bytes(answer)
    if failure is not None:
        count_error(destination, str(failure.status) if failure.is_final else "error")
        if not produced:
            raise BrokenEarly(failure, Reason.UPSTREAM_ERROR, reported=reported, is_refusal=True)
        relay.failover.ended_with(destination, failure)
    else:
        relay.failover.answered(destination)
    reason = Reason.COMPLETED if failure is None else Reason.UPSTREAM_ERROR
    record = relay.record(response.headers, destination, reported, produced_bytes=produced, reason=reason)
    try:
        body = await relay.meter(
            record, lambda: dialect.decorate(raw, answer, reported, relay.charged(record), record.usage, failure)
        )
    except Unwritten:
        raise unwritten(record.generation_id) from None
    await relay.exchange.answer(200, body, relay.headers)


async def _preceded(heard: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield heard
    async for chunk in chunks:
        yield chunk


async def _read(
    chunks: AsyncIterator[bytes], response: aiohttp.ClientResponse, dialect: Dialect[Any], share: Share, manner: Manner
) -> tuple[bytes, Pieces | None, AsyncIterator[bytes]]:
    """The answer in one piece, whatever its framing, or the beginning and the rest of a long one that may go on as it
    comes; raises `Garbled`, and as `read_all`.
    """
    is_stream, first, rest = await framed(chunks, response.headers.get("Content-Encoding", ""))
    if not is_stream:
        first, is_whole = await beginning(first, rest)
        if is_whole:
            return first, None, rest
        if (pieces := begun(first, dialect, manner)) is not None:
            return b"", pieces, rest
        return await share.read(first, rest, expected=response.content_length), None, rest
    assembly, splitter = dialect.assembly(), Splitter()
    events = splitter.feed(await read_all(first, rest))
    assembly.take(events)
    assembly.take(splitter.rest.rstrip() + END)
    if not assembly.is_complete:
        raise aiohttp.ClientPayloadError("the stream broke off")
    return lossless.dump(assembly.whole()), None, rest

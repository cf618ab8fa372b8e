"""An answer as a stream: relayed event by event, its last word kept back until METER."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from time import monotonic
from typing import TYPE_CHECKING

import aiohttp

from proxy.catalog import Destination
from proxy.errors import Refusal
from proxy.http import ClientGone
from proxy.metering import ANSWER_SECONDS, Metered, log_unwritten
from proxy.models import Generation
from proxy.outbound import BrokenEarly, count_error, error_text
from proxy.protocols.base import Reported
from proxy.protocols.openai import chat
from proxy.protocols.openai.stream import ChatStream
from proxy.sse import COMMENT, DONE, Splitter
from proxy.upstream import LOST

if TYPE_CHECKING:
    from proxy.relay import Relay

READ_OUT_SECONDS = 0.5
COMMENT_AFTER_SECONDS = 2.0
Reason = Generation.Reason
Source = Generation.UsageSource


async def relay_stream(relay: "Relay", response: aiohttp.ClientResponse, destination: Destination) -> None:
    stream = ChatStream(relay.admitted.generation_id)
    reason, refusal = Reason.COMPLETED, None
    try:
        async for piece in _pieces(response, stream):
            if not relay.exchange.started:
                relay.way.answered(destination)
            if not relay.is_gone:
                await _send(relay, piece)
        if stream.error is not None:
            reason = Reason.UPSTREAM_ERROR
            refusal = Refusal(502, "provider_error", error_text(stream.error))
        elif not stream.is_complete:
            reason = Reason.UPSTREAM_EOF
            refusal = Refusal(502, "provider_error", "The model's provider broke its answer off.")
    except TimeoutError:
        reason = Reason.TIMEOUT
        refusal = Refusal(504, "provider_timeout", "The model's provider stopped in the middle of its answer.")
    except LOST:
        reason = Reason.UPSTREAM_EOF
        refusal = Refusal(502, "provider_error", "The model's provider broke its answer off.")
    except asyncio.CancelledError:
        # The drain bound is reached, or the process is stopping: what was relayed is billed, and nobody waits.
        drained = relay.bound is not None and relay.bound.expired
        cut = Reason.CLIENT_DISCONNECTED if drained else Reason.TIMEOUT
        relay.meter_soon(_stream_record(relay, destination, stream, cut))
        raise
    if refusal is not None:
        count_error(destination, reason)
    await _finish_stream(relay, stream, _stream_record(relay, destination, stream, reason), refusal)
    if stream.done:
        await _read_out(response)


async def _pieces(response: aiohttp.ClientResponse, stream: ChatStream) -> AsyncIterator[bytes]:
    """What can be relayed at once, chunk by chunk; the stream keeps back what must wait for METER."""
    splitter = Splitter()
    async for chunk in response.content.iter_any():
        if piece := stream.take(splitter.feed(chunk)):
            yield piece
        if stream.done or stream.error is not None:
            return
    if splitter.rest.strip() and (last := stream.take(splitter.rest.rstrip() + b"\n\n")):
        yield last


async def _send(relay: "Relay", piece: bytes) -> None:
    try:
        if not relay.exchange.started:
            await _start_stream(relay)
        await relay.exchange.write(piece)
    except ClientGone:
        relay.client_left()


async def _start_stream(relay: "Relay") -> None:
    await relay.exchange.start(
        200,
        [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
            *relay.headers,
        ],
    )


def _stream_record(relay: "Relay", destination: Destination, stream: ChatStream, reason: str) -> Metered:
    return relay.record(
        destination,
        Reported(usage=stream.usage, finish_reason=stream.finish_reason),
        relayed_bytes=stream.content_bytes,
        reason=reason,
    )


async def _finish_stream(relay: "Relay", stream: ChatStream, record: Metered, refusal: Refusal | None) -> None:
    nothing_used = record.usage_source == Source.NONE
    if nothing_used and refusal is not None and not relay.exchange.started:
        relay.why = Reason(record.reason)
        raise BrokenEarly(refusal, relay.why)
    future = relay.put(record)
    deadline = monotonic() + ANSWER_SECONDS
    while not future.done():
        await asyncio.wait([future], timeout=COMMENT_AFTER_SECONDS)
        if not future.done():
            if monotonic() > deadline:
                log_unwritten(record)
                raise ClientGone
            if not relay.is_gone:
                await _send(relay, COMMENT)
    if relay.is_gone:
        raise ClientGone
    if not relay.exchange.started:
        await _start_stream(relay)
    if refusal is not None:
        await relay.exchange.end(b"data: " + chat.error(refusal) + b"\n\n")
    else:
        await relay.exchange.end(stream.tail(relay.receipt(record), record.usage) + DONE)


async def _read_out(response: aiohttp.ClientResponse) -> None:
    """Take what follows [DONE], so that the connection can serve again."""
    with contextlib.suppress(*LOST, TimeoutError):
        async with asyncio.timeout(READ_OUT_SECONDS):
            while await response.content.readany():
                pass

"""An answer as a stream: relayed event by event, its last word kept back until METER."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from time import monotonic
from typing import TYPE_CHECKING

import aiohttp

from proxy.catalog import Destination
from proxy.errors import Refusal
from proxy.framing import framed
from proxy.http import ClientGone
from proxy.metering import ANSWER_SECONDS, Metered, log_unwritten
from proxy.models import Generation
from proxy.outbound import BrokenEarly, count_error
from proxy.protocols.openai import chat
from proxy.protocols.openai.stream import ChatStream
from proxy.sse import DONE, END, Splitter
from proxy.upstream import LOST, read_all

if TYPE_CHECKING:
    from proxy.relay import Relay

READ_OUT_SECONDS = 0.5
COMMENT_AFTER_SECONDS = 2.0
Reason = Generation.Reason
Source = Generation.UsageSource


async def relay_stream(relay: "Relay", response: aiohttp.ClientResponse, destination: Destination) -> None:
    """Raises `BrokenEarly` where nothing came of it that could be relayed."""
    stream = ChatStream(relay.admitted.generation_id, include_usage=relay.call.include_usage)
    reason, refusal = Reason.COMPLETED, None
    relay.out.taken()
    try:
        async for piece in _pieces(response, stream):
            if not relay.is_gone:
                await relay.out.send(piece)
        if stream.error is not None:
            reason = Reason.UPSTREAM_ERROR
            refusal = Refusal(502, "provider_error", relay.way.sentence(stream.error, destination))
        elif not stream.is_complete:
            reason = Reason.UPSTREAM_EOF
            refusal = Refusal(502, "provider_error", "The model's provider broke its answer off.")
        elif not stream.is_answer:
            reason = Reason.UPSTREAM_ERROR
            refusal = Refusal(502, "provider_error", "The model's provider sent no answer.")
    except TimeoutError:
        reason = Reason.TIMEOUT
        refusal = Refusal(504, "provider_timeout", "The model's provider stopped in the middle of its answer.")
    except LOST:
        reason = Reason.UPSTREAM_EOF
        refusal = Refusal(502, "provider_error", "The model's provider broke its answer off.")
    except ValueError:
        reason = Reason.UPSTREAM_ERROR
        refusal = Refusal(502, "provider_error", "The model's provider sent an answer that is not JSON.")
    except asyncio.CancelledError:
        # The drain bound is reached, or the process is stopping: what was relayed is billed, and nobody waits.
        drained = relay.bound is not None and relay.bound.expired
        cut = Reason.CLIENT_DISCONNECTED if drained else Reason.TIMEOUT
        relay.meter_soon(_stream_record(relay, response, destination, stream, cut))
        raise
    record = _stream_record(relay, response, destination, stream, reason)
    if refusal is None:
        relay.way.answered(destination)
    else:
        count_error(destination, reason)
        if record.usage_source == Source.NONE and not relay.out.has_said:
            raise BrokenEarly(refusal, reason)
        relay.way.broke_late(destination)
    await _finish_stream(relay, stream, record, refusal)
    if stream.done:
        await _read_out(response)


async def _pieces(response: aiohttp.ClientResponse, stream: ChatStream) -> AsyncIterator[bytes]:
    """What can be relayed at once, chunk by chunk; the stream keeps back what must wait for METER."""
    is_stream, first, rest = await framed(response)
    if not is_stream:
        if piece := stream.take(chat.as_events(await read_all(first, rest))):
            yield piece
        return
    splitter = Splitter()
    if piece := stream.take(splitter.feed(first)):
        yield piece
    if not stream.is_over:
        async for chunk in rest:
            if piece := stream.take(splitter.feed(chunk)):
                yield piece
            if stream.is_over:
                return
        if splitter.rest.strip() and (last := stream.take(splitter.rest.rstrip() + END)):
            yield last


def _stream_record(
    relay: "Relay", response: aiohttp.ClientResponse, destination: Destination, stream: ChatStream, reason: str
) -> Metered:
    reported = stream.reported
    produced = 0 if reported.is_counted else stream.content_bytes
    return relay.record(response, destination, reported, produced_bytes=produced, reason=reason)


async def _finish_stream(relay: "Relay", stream: ChatStream, record: Metered, refusal: Refusal | None) -> None:
    future = relay.put(record)
    deadline = monotonic() + ANSWER_SECONDS
    while not future.done():
        await asyncio.wait([future], timeout=COMMENT_AFTER_SECONDS)
        if not future.done():
            if monotonic() > deadline:
                log_unwritten(record)
                raise ClientGone
            if not relay.is_gone:
                await relay.out.comment()
    if relay.is_gone:
        raise ClientGone
    if refusal is not None:
        await relay.out.end(stream.release() + error_event(refusal))
    else:
        await relay.out.end(stream.tail(relay.receipt(record), record.usage) + DONE)


def error_event(refusal: Refusal) -> bytes:
    return b"data: " + chat.error(refusal) + END


async def _read_out(response: aiohttp.ClientResponse) -> None:
    """Take what follows [DONE], so that the connection can serve again."""
    with contextlib.suppress(*LOST, TimeoutError):
        async with asyncio.timeout(READ_OUT_SECONDS):
            while await response.content.readany():
                pass

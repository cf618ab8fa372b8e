"""An answer as a stream: relayed event by event, its last word kept back until METER."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING, Any

import aiohttp

from proxy.batches.timeouts import timeout
from proxy.errors import Refusal, provider_broke_off, provider_not_json
from proxy.exchange import ClientGone
from proxy.kept.handing import ask_again
from proxy.models import ENDED_EARLY, Generation
from proxy.prices.catalog import Destination
from proxy.protocols.base import Reported
from proxy.protocols.endpoint import Dialect, EventStream, Remembering, Stoppable
from proxy.protocols.framing import framed
from proxy.protocols.sse import END, Splitter
from proxy.relay.answers.stopped import hear_out
from proxy.relay.client import LOST, read_all
from proxy.relay.failover import BrokenEarly
from proxy.relay.refusals import count_error
from proxy.settlement.metered import Metered
from proxy.settlement.metering import Unwritten

if TYPE_CHECKING:
    from proxy.relay.relay import Relay

READ_OUT_SECONDS = 0.5
COMMENT_AFTER_SECONDS = 2.0
Reason = Generation.Reason
Source = Generation.UsageSource
BROKEN = frozenset({Reason.UPSTREAM_EOF, Reason.TIMEOUT})
"""How a stream ends before its upstream has said all, though not by its word."""


async def relay_stream(relay: "Relay", response: aiohttp.ClientResponse, destination: Destination) -> None:
    """Raises `BrokenEarly` where nothing came of it that could be relayed."""
    dialect = relay.failover.dialect(destination)
    stream = dialect.events(relay.call, relay.manner)
    reason, refusal, window = Reason.COMPLETED, None, relay.window
    if window is not None and isinstance(stream, Remembering):
        stream.remember()
    awaits_input = window is not None and window.awaits_input and dialect.tells_input
    relay.out.taken()
    try:
        with relay.failover.hearing(response, destination) as chunks:
            pieces = _pieces(chunks, response, stream, dialect)
            async for piece in pieces:
                if relay.call.background_seconds is not None and not relay.is_job:
                    await _hand_over(relay, destination, stream)
                if not relay.is_gone:
                    await relay.out.send(piece)
                if window is not None:
                    window.seen += len(piece)
                    if awaits_input:
                        awaits_input = False
                        window.correct(relay.input_cost(stream.reported))
                    is_due = window.seen >= window.look_at and not relay.is_gone
                    if is_due and not await window.goes_on(stream.content_bytes):
                        ending = window.end()
                        reason, refusal = ending.reason, None if isinstance(stream, Stoppable) else ending.refusal
                        await pieces.aclose()
                        break
        if reason in ENDED_EARLY:
            pass
        elif (failed := stream.failure) is not None:
            reason = Reason.UPSTREAM_ERROR
            refusal = relay.failover.refusal_of(failed, destination)
        elif not stream.is_complete:
            reason = Reason.UPSTREAM_EOF
            refusal = provider_broke_off()
        elif not stream.is_answer:
            reason = Reason.UPSTREAM_ERROR
            refusal = Refusal(502, "provider_error", "The model's provider sent no answer.")
    except TimeoutError:
        reason = Reason.TIMEOUT
        refusal = Refusal(504, "provider_timeout", "The model's provider stopped in the middle of its answer.")
    except LOST:
        reason = Reason.UPSTREAM_EOF
        refusal = provider_broke_off()
    except ValueError:
        reason = Reason.UPSTREAM_ERROR
        refusal = provider_not_json()
    except asyncio.CancelledError:
        # The drain bound is reached, or the process is stopping: what was relayed is billed, and nobody waits.
        if relay.is_job:
            raise
        drained = relay.bound is not None and relay.bound.expired
        cut = Reason.CLIENT_DISCONNECTED if drained else Reason.TIMEOUT
        relay.meter_soon(_stream_record(relay, response, destination, stream, cut, stream.reported))
        raise
    reported = stream.reported
    if reason in BROKEN and not reported.is_counted:
        if relay.is_job:
            relay.failover.ended_with(destination, refusal or provider_broke_off())
            told = refusal or provider_broke_off()
            await relay.out.end(relay.endpoint.error_event(told, relay.exchange.request_id, relay.out.latest))
            return
        reported = await ask_again(relay, destination, reported.upstream_id) or reported
    record = _stream_record(relay, response, destination, stream, reason, reported)
    if not await relay.is_covered():
        record = _stream_record(relay, response, destination, stream, reason, reported)
    if refusal is None or reason in ENDED_EARLY:
        relay.failover.answered(destination)
    else:
        count_error(destination, str(refusal.status) if refusal.is_final else reason)
        has_said = relay.out.has_said or stream.content_bytes
        if not has_said and (record.usage_source == Source.NONE or not relay.is_gone):
            raise BrokenEarly(refusal, reason, reported=stream.reported, is_refusal=stream.failure is not None)
        relay.failover.ended_with(destination, refusal)
    left: ClientGone | None = None
    try:
        await _finish_stream(relay, dialect, stream, record, refusal)
    except ClientGone as gone:
        left = gone
    if reason in ENDED_EARLY and destination.bills_abandoned:
        await hear_out(relay, response, destination, record.usage)
    if left is not None:
        raise left
    if stream.done:
        await _read_out(response)


async def _hand_over(relay: "Relay", destination: Destination, stream: EventStream) -> None:
    """Before its caller learns the id of what goes on in the background; who is gone already need not hear of it."""
    if name := stream.reported.upstream_id:
        await relay.hand_over(destination, name)
        if relay.is_gone:
            raise ClientGone


async def _pieces(
    chunks: AsyncIterator[bytes], response: aiohttp.ClientResponse, stream: EventStream, dialect: Dialect[Any]
) -> AsyncGenerator[bytes, None]:
    """What can be relayed at once, chunk by chunk; the stream keeps back what must wait for METER."""
    is_stream, first, rest = await framed(chunks, response.headers.get("Content-Encoding", ""))
    if not is_stream:
        if piece := stream.take(dialect.as_events(await read_all(first, rest))):
            yield piece
        return
    splitter = Splitter(dialect.most_event_bytes)
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
    relay: "Relay", response: aiohttp.ClientResponse, destination: Destination, stream: EventStream, reason: str,
    reported: Reported,
) -> Metered:  # fmt: skip
    produced = 0 if reported.is_counted else stream.content_bytes
    return relay.record(response.headers, destination, reported, produced_bytes=produced, reason=reason)


async def _finish_stream(
    relay: "Relay", dialect: Dialect[Any], stream: EventStream, record: Metered, refusal: Refusal | None
) -> None:
    is_stopped = record.reason in ENDED_EARLY

    def last() -> bytes:
        if refusal is not None:
            ended = dialect.failed(stream, refusal, relay.charged(record), record.usage)
            before = stream.release()
            number_after = before or relay.out.latest
            return before + (ended or relay.endpoint.error_event(refusal, relay.exchange.request_id, number_after))
        stopped = stream.stop() if is_stopped and isinstance(stream, Stoppable) else b""
        return stopped + stream.tail(relay.charged(record), record.usage) + relay.endpoint.end

    try:
        end = await relay.meter(record, last, every=COMMENT_AFTER_SECONDS, meanwhile=relay.out.comment)
    except Unwritten:
        raise ClientGone from None  # cut: its end must not leave
    await relay.out.end(end)


async def _read_out(response: aiohttp.ClientResponse) -> None:
    """Take what follows [DONE], so that the connection can serve again."""
    if not response.content.at_eof():
        with contextlib.suppress(*LOST, TimeoutError), timeout(READ_OUT_SECONDS):
            while await response.content.readany():
                pass

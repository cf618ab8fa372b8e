"""An admitted request on its way: sent to the first upstream that takes it, its answer relayed, its usage metered."""

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator
from decimal import Decimal
from time import monotonic
from typing import Any

import aiohttp
import orjson

from proxy.admission import Admitted
from proxy.catalog import Destination, Entry
from proxy.errors import Refusal
from proxy.estimate import fair_tokens
from proxy.http import ClientGone, Exchange
from proxy.metering import ANSWER_SECONDS, Metered, Metering, log_unwritten
from proxy.models import Generation
from proxy.outbound import BrokenEarly, NoUpstream, Way, count_error, error_text
from proxy.patience import limit
from proxy.pricing import Cost, Usage, cost_of
from proxy.protocols.base import Call, Receipt, Reported
from proxy.protocols.openai import chat
from proxy.protocols.openai.stream import ChatStream
from proxy.sse import COMMENT, DONE, EventTooLong, Splitter
from proxy.upstream import Client, read_all

log = logging.getLogger(__name__)

READ_OUT_SECONDS = 0.5
COMMENT_AFTER_SECONDS = 2.0
WATCH_AFTER_SECONDS = 0.1
"""An answer that is there sooner asks only once whether anybody still waits for it: a watcher costs a task."""
LARGEST_COST = Decimal(999999999999)
NOTHING = Usage()
Reason = Generation.Reason
Source = Generation.UsageSource
LOST = (aiohttp.ClientError, OSError, EventTooLong)


class Relay:
    """One admitted request. `run` answers it and leaves a metered or a released generation, whatever happens."""

    def __init__(
        self,
        *,
        exchange: Exchange,
        call: Call,
        entry: Entry,
        admitted: Admitted,
        started: float,
        client: Client,
        metering: Metering,
        release: Any,
        drain_seconds: float,
    ) -> None:
        self._exchange = exchange
        self._call = call
        self._entry = entry
        self._admitted = admitted
        self._started = started
        self._way = Way(client, entry, call, output_limit=admitted.decision.output_limit)
        self._metering = metering
        self._release = release
        self._drain_seconds = drain_seconds
        self._bound: limit | None = None
        self._gone = False
        self._watcher: asyncio.Task[None] | None = None
        self._first_byte: float | None = None
        self._resolved = False
        self.headers = [(b"x-generation-id", admitted.generation_id.encode())]

    async def run(self) -> None:
        """Raises `Refusal` for an answer that has not begun, `ClientGone` where nobody is left to answer."""
        loop = asyncio.get_running_loop()
        watching = loop.call_later(WATCH_AFTER_SECONDS, self._start_watching)
        try:
            with limit(math.inf) as self._bound:
                while not await self._relay_one():
                    pass
        except TimeoutError:
            # Only the drain bound ends here: the client is gone and the upstream took too long.
            raise ClientGone from None
        finally:
            watching.cancel()
            self._resolve_if_open()
            if self._watcher is not None:
                self._watcher.cancel()
                self._watcher = None  # what was cancelled keeps its frames, and they this: a circle, seldom collected

    async def _relay_one(self) -> bool:
        """Relay the next upstream's answer; False where it broke before anything could be relayed."""
        response, destination = await self._open()
        try:
            async with response:
                if self._call.stream and response.content_type == "text/event-stream":
                    await self._relay_stream(response, destination)
                else:
                    await self._relay_json(response, destination)
        except BrokenEarly as broken:
            self._why = broken.reason
            if self._has_left():
                raise ClientGone from None
            if monotonic() - self._started > destination.total_timeout:
                raise broken.refusal from None  # a request has its time once, not once an upstream
            self._way.broke(destination, broken)
            return False
        return True

    def _resolve_if_open(self) -> None:
        """Nothing was used that we know of: give the hold back."""
        if not self._resolved:
            self._resolved = True
            self._release(self._admitted.generation_id, Reason.CLIENT_DISCONNECTED if self._has_left() else self._why)

    _why = Reason.UPSTREAM_ERROR

    async def _open(self) -> tuple[aiohttp.ClientResponse, Destination]:
        try:
            found = await self._way.open()
        except NoUpstream as none:
            self._why = none.reason
            raise none.refusal from None
        self._first_byte = monotonic()
        return found

    def _start_watching(self) -> None:
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        """When the client leaves, give the upstream a bounded time to tell what it used."""
        await self._exchange.gone()
        self._client_left()

    def _has_left(self) -> bool:
        """Whether nobody waits for the answer any more."""
        if not self._gone and self._watcher is None and self._exchange.is_abandoned:
            self._client_left()
        return self._gone

    def _client_left(self) -> None:
        if not self._gone and self._bound is not None:
            self._bound.end_in(self._drain_seconds)
        self._gone = True

    # --- JSON ------------------------------------------------------------------------------------------------------

    async def _relay_json(self, response: aiohttp.ClientResponse, destination: Destination) -> None:
        try:
            answer = orjson.loads(await read_all(response))
            if not isinstance(answer, dict):
                raise orjson.JSONDecodeError("not an object", "", 0)
        except TimeoutError:
            count_error(destination, "timeout")
            refusal = Refusal(504, "provider_timeout", "The model's provider did not answer in time.")
            raise BrokenEarly(refusal, Reason.TIMEOUT) from None
        except LOST:
            count_error(destination, "eof")
            refusal = Refusal(502, "provider_error", "The model's provider broke its answer off.")
            raise BrokenEarly(refusal, Reason.UPSTREAM_EOF) from None
        except orjson.JSONDecodeError:
            count_error(destination, "garbage")
            refusal = Refusal(502, "provider_error", "The model's provider sent an answer that is not JSON.")
            raise BrokenEarly(refusal, Reason.UPSTREAM_ERROR) from None
        if "error" in answer and not answer.get("choices"):
            count_error(destination, "error")
            refusal = Refusal(502, "provider_error", error_text(answer["error"]))
            raise BrokenEarly(refusal, Reason.UPSTREAM_ERROR)
        self._way.answered(destination)
        reported = chat.read_answer(answer)
        relayed = sum(len(text.encode()) for text in chat.texts(answer)) if reported.usage is None else 0
        record = self._record(destination, reported, relayed_bytes=relayed, reason=Reason.COMPLETED)
        try:
            await self._meter(record)
        except TimeoutError:
            raise Refusal(
                503,
                "provider_unavailable",
                f"The answer is there but its usage could not be written. See {record.generation_id}.",
            ) from None
        if self._gone:
            raise ClientGone
        if reported.usage is None:
            answer["usage"] = chat.usage_dict(record.usage)
        body = chat.decorate(answer, self._receipt(record))
        await self._exchange.answer(200, body, self.headers)

    # --- Streams ---------------------------------------------------------------------------------------------------

    async def _relay_stream(self, response: aiohttp.ClientResponse, destination: Destination) -> None:
        stream = ChatStream(self._admitted.generation_id)
        reason, refusal = Reason.COMPLETED, None
        try:
            async for piece in self._pieces(response, stream):
                if not self._exchange.started:
                    self._way.answered(destination)
                if not self._gone:
                    await self._send(piece)
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
            drained = self._bound is not None and self._bound.expired
            cut = Reason.CLIENT_DISCONNECTED if drained else Reason.TIMEOUT
            self._meter_soon(self._stream_record(destination, stream, cut))
            raise
        if refusal is not None:
            count_error(destination, reason)
        await self._finish_stream(stream, self._stream_record(destination, stream, reason), refusal)
        if stream.done:
            await _read_out(response)

    async def _pieces(self, response: aiohttp.ClientResponse, stream: ChatStream) -> AsyncIterator[bytes]:
        """What can be relayed at once, chunk by chunk; the stream keeps back what must wait for METER."""
        splitter = Splitter()
        async for chunk in response.content.iter_any():
            if piece := stream.take(splitter.feed(chunk)):
                yield piece
            if stream.done or stream.error is not None:
                return
        if splitter.rest.strip() and (last := stream.take(splitter.rest.rstrip() + b"\n\n")):
            yield last

    async def _send(self, piece: bytes) -> None:
        try:
            if not self._exchange.started:
                await self._start_stream()
            await self._exchange.write(piece)
        except ClientGone:
            self._client_left()

    async def _start_stream(self) -> None:
        await self._exchange.start(
            200,
            [
                (b"content-type", b"text/event-stream; charset=utf-8"),
                (b"cache-control", b"no-cache"),
                (b"x-accel-buffering", b"no"),
                *self.headers,
            ],
        )

    def _stream_record(self, destination: Destination, stream: ChatStream, reason: str) -> Metered:
        return self._record(
            destination,
            Reported(usage=stream.usage, finish_reason=stream.finish_reason),
            relayed_bytes=stream.content_bytes,
            reason=reason,
        )

    async def _finish_stream(self, stream: ChatStream, record: Metered, refusal: Refusal | None) -> None:
        nothing_used = record.usage_source == Source.NONE
        if nothing_used and refusal is not None and not self._exchange.started:
            self._why = Reason(record.reason)
            raise BrokenEarly(refusal, self._why)
        future = self._put(record)
        deadline = monotonic() + ANSWER_SECONDS
        while not future.done():
            await asyncio.wait([future], timeout=COMMENT_AFTER_SECONDS)
            if not future.done():
                if monotonic() > deadline:
                    log_unwritten(record)
                    raise ClientGone
                if not self._gone:
                    await self._send(COMMENT)
        if self._gone:
            raise ClientGone
        if not self._exchange.started:
            await self._start_stream()
        if refusal is not None:
            await self._exchange.end(b"data: " + chat.error(refusal) + b"\n\n")
        else:
            await self._exchange.end(stream.tail(self._receipt(record), record.usage) + DONE)

    # --- What it used ----------------------------------------------------------------------------------------------

    def _record(self, destination: Destination, reported: Reported, *, relayed_bytes: int, reason: str) -> Metered:
        """The record METER writes: the upstream's usage, else what was relayed; never charged beyond the bound."""
        source, usage = Source.UPSTREAM, reported.usage
        if usage is None and relayed_bytes:
            source = Source.ESTIMATED
            usage = Usage(input_tokens=self._call.material.fair, output_tokens=fair_tokens(relayed_bytes, wide=0))
        elif usage is None:
            source, usage = Source.NONE, NOTHING
        cost = cost_of(self._entry.price, usage)
        bound = self._admitted.decision.bound
        now = monotonic()
        return Metered(
            generation_id=self._admitted.generation_id,
            upstream_id=destination.upstream_id,
            usage_source=source,
            reason=Reason.CLIENT_DISCONNECTED if reason == Reason.COMPLETED and self._has_left() else reason,
            finish_reason=reported.finish_reason,
            usage=usage,
            native=reported.usage or NOTHING,
            cost=Cost(upstream=min(cost.upstream, LARGEST_COST), charged=min(cost.charged, bound)),
            latency_ms=self._milliseconds(self._first_byte or now),
            generation_time_ms=self._milliseconds(now),
            is_flagged=cost.charged > bound,
        )

    def _milliseconds(self, moment: float) -> int:
        return round((moment - self._started) * 1000)

    def _receipt(self, record: Metered) -> Receipt:
        return Receipt(record.generation_id, record.latency_ms, record.cost.charged)

    def _put(self, record: Metered) -> asyncio.Future[bool]:
        self._resolved = True
        return self._metering.put(record)

    def _meter_soon(self, record: Metered) -> None:
        if record.usage_source != Source.NONE:
            self._put(record)

    async def _meter(self, record: Metered) -> None:
        self._resolved = True
        await self._metering.write(record)


async def _read_out(response: aiohttp.ClientResponse) -> None:
    """Take what follows [DONE], so that the connection can serve again."""
    with contextlib.suppress(*LOST, TimeoutError):
        async with asyncio.timeout(READ_OUT_SECONDS):
            while await response.content.readany():
                pass

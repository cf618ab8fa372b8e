"""An admitted request on its way: sent to the first upstream that takes it, its answer relayed, its usage metered."""

import asyncio
import math
from dataclasses import replace
from decimal import Decimal
from time import monotonic
from typing import Any

import aiohttp

from proxy import claims
from proxy.admission import Admitted
from proxy.catalog import Destination, Entry
from proxy.client_stream import ClientStream
from proxy.errors import Refusal
from proxy.estimate import fair_tokens
from proxy.http import ClientGone, Exchange
from proxy.metering import Metered, Metering
from proxy.models import Generation
from proxy.outbound import BrokenEarly, NoUpstream, Way
from proxy.patience import limit
from proxy.pricing import Cost, Usage, cost_of
from proxy.protocols.base import Call, Receipt, Reported
from proxy.relay_json import relay_json
from proxy.relay_stream import error_event, relay_stream
from proxy.upstream import Client

WATCH_AFTER_SECONDS = 0.1
"""An answer that is there sooner asks only once whether anybody still waits for it: a watcher costs a task."""
LARGEST_COST = Decimal(999999999999)
NOTHING = Usage()
Reason = Generation.Reason
Source = Generation.UsageSource


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
        self.exchange = exchange
        self.call = call
        self.entry = entry
        self.admitted = admitted
        self._started = started
        self.way = Way(client, entry, call, output_limit=admitted.decision.output_limit)
        self._metering = metering
        self._release = release
        self._drain_seconds = drain_seconds
        self.bound: limit | None = None
        self.is_gone = False
        self._watcher: asyncio.Task[None] | None = None
        self._first_byte: float | None = None
        self._resolved = False
        self.headers = [(b"x-generation-id", admitted.generation_id.encode())]
        self.out = ClientStream(exchange, self.headers, left=self.client_left)

    async def run(self) -> None:
        """Raises `Refusal` for an answer that has not begun, `ClientGone` where nobody is left to answer."""
        loop = asyncio.get_running_loop()
        watching = loop.call_later(WATCH_AFTER_SECONDS, self._start_watching)
        try:
            with limit(math.inf) as self.bound:
                while not await self._relay_one():
                    pass
        except Refusal as refusal:
            if not self.exchange.started:
                raise
            await self.out.end(error_event(refusal))  # its head went out while an upstream was silent
        except TimeoutError:
            # Only the drain bound ends here: the client is gone and the upstream took too long.
            raise ClientGone from None
        finally:
            watching.cancel()
            self.out.close()
            self._resolve_if_open()
            if self._watcher is not None:
                self._watcher.cancel()
                self._watcher = None  # what was cancelled keeps its frames, and they this: a circle, seldom collected

    async def _relay_one(self) -> bool:
        """Relay the next upstream's answer; False where it broke before anything could be relayed."""
        response, destination = await self._open()
        try:
            async with response:
                if self.call.stream:
                    await relay_stream(self, response, destination)
                else:
                    await relay_json(self, response, destination)
        except BrokenEarly as broken:
            self.why = broken.reason
            if self.has_left():
                raise ClientGone from None
            if monotonic() - self._started > destination.total_timeout:
                raise broken.refusal from None  # a request has its time once, not once an upstream
            self.way.broke(destination, broken)
            return False
        return True

    def _resolve_if_open(self) -> None:
        """Nothing was used that we know of: give the hold back."""
        if not self._resolved:
            self._resolved = True
            self._release(self.admitted.generation_id, Reason.CLIENT_DISCONNECTED if self.has_left() else self.why)

    why = Reason.UPSTREAM_ERROR

    async def _open(self) -> tuple[aiohttp.ClientResponse, Destination]:
        try:
            found = await self.way.open()
        except NoUpstream as none:
            self.why = none.reason
            raise none.refusal from None
        self._first_byte = monotonic()
        return found

    def _start_watching(self) -> None:
        if self.call.stream:
            self.out.keep_alive()
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        """When the client leaves, give the upstream a bounded time to tell what it used."""
        await self.exchange.gone()
        self.client_left()

    def has_left(self) -> bool:
        """Whether nobody waits for the answer any more."""
        if not self.is_gone and self._watcher is None and self.exchange.is_abandoned:
            self.client_left()
        return self.is_gone

    def client_left(self) -> None:
        if not self.is_gone and self.bound is not None:
            self.bound.end_in(self._drain_seconds)
        self.is_gone = True

    # --- What it used -------------------------------------------------------------------------------------------------

    def record(
        self,
        response: aiohttp.ClientResponse,
        destination: Destination,
        reported: Reported,
        *,
        produced_bytes: int,
        reason: str,
    ) -> Metered:
        """The record METER writes: the upstream's usage, else what was relayed; never charged beyond the bound."""
        source, usage = self._usage(reported, produced_bytes)
        cost = cost_of(self.entry.price, usage)
        stated = claims.stated_cost(response.headers, reported)
        bound = self.admitted.decision.bound
        now = monotonic()
        return Metered(
            generation_id=self.admitted.generation_id,
            upstream_id=destination.upstream_id,
            usage_source=source,
            reason=Reason.CLIENT_DISCONNECTED if reason == Reason.COMPLETED and self.has_left() else reason,
            finish_reason=reported.finish_reason,
            usage=usage,
            native=reported.usage or NOTHING,
            cost=Cost(upstream=min(cost.upstream, LARGEST_COST), charged=min(cost.charged, bound)),
            latency_ms=self._milliseconds(self._first_byte or now),
            generation_time_ms=self._milliseconds(now),
            is_flagged=(
                cost.charged > bound
                or reported.is_odd
                or reported.usage not in (None, usage)
                or (stated is not None and stated > cost.charged)
                or claims.contradicts(destination, reported)
            ),
            upstream_request_id=claims.request_id(response.headers, reported),
            stated_cost=stated,
        )

    def _usage(self, reported: Reported, produced_bytes: int) -> tuple[str, Usage]:
        """What to bill: the upstream's word, but for a zero beside an answer, which cannot be."""
        told = reported.usage
        if told is not None and reported.is_counted:
            return Source.UPSTREAM, told
        if not produced_bytes:
            return (Source.NONE, NOTHING) if told is None else (Source.UPSTREAM, told)
        told = told or NOTHING
        return Source.ESTIMATED, replace(
            told,
            input_tokens=told.input_tokens or self.call.material.fair,
            output_tokens=told.output_tokens or fair_tokens(produced_bytes, wide=0),
        )

    def _milliseconds(self, moment: float) -> int:
        return round((moment - self._started) * 1000)

    def receipt(self, record: Metered) -> Receipt:
        return Receipt(record.generation_id, record.latency_ms, record.cost.charged)

    def put(self, record: Metered) -> asyncio.Future[bool]:
        self._resolved = True
        return self._metering.put(record)

    def meter_soon(self, record: Metered) -> None:
        if record.usage_source != Source.NONE:
            self.put(record)

    async def meter(self, record: Metered) -> None:
        self._resolved = True
        await self._metering.write(record)

"""An admitted request on its way: sent to the first upstream that takes it, its answer relayed, its usage metered."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from time import monotonic
from typing import Any

from billing.books.money import ZERO
from proxy.admission.queue import Admitted
from proxy.batches.connections import AWAY
from proxy.batches.timeouts import timeout
from proxy.errors import Refusal, unwritten
from proxy.exchange import ClientGone, Exchange
from proxy.gateway.drains import Drains
from proxy.kept.handing import begin
from proxy.kept.jobs import NotHeld
from proxy.models import Generation
from proxy.prices.bounds import fair_tokens
from proxy.prices.catalog import Destination, Entry
from proxy.prices.sums import cost_of
from proxy.prices.units import INPUT_AUDIO
from proxy.prices.usage import Usage
from proxy.prices.versions import terms_of
from proxy.protocols.base import Call, Charged, Manner, Reported
from proxy.protocols.endpoint import Endpoint, Reply
from proxy.relay import claims, left_out
from proxy.relay.answers.client_stream import ClientStream
from proxy.relay.answers.events import relay_stream
from proxy.relay.answers.long import Share
from proxy.relay.answers.raw import relay_bytes
from proxy.relay.answers.whole import relay_json
from proxy.relay.client import Client
from proxy.relay.failover import NO_HEADERS, OUTCOMES, BrokenEarly, Failover, NoUpstream, Outcome
from proxy.relay.record import NOTHING, Held, recorded
from proxy.relay.window import Window
from proxy.settlement.attempts import Attempts
from proxy.settlement.metered import Metered
from proxy.settlement.metering import ANSWER_SECONDS, Metering

WATCH_AFTER_SECONDS = 0.1
"""An answer that is there sooner asks only once whether anybody still waits for it: a watcher costs a task."""
RELAYS = {Reply.WHOLE: relay_json, Reply.EVENTS: relay_stream, Reply.BYTES: relay_bytes}
Reason = Generation.Reason
Source = Generation.UsageSource
CUT = frozenset({Reason.CLIENT_DISCONNECTED, Reason.TIMEOUT})
"""How an answer ends before its upstream has said all."""


class Bound(timeout):
    """Around a whole request, without an end of its own; `watch` is called once when it has lasted for a moment."""

    __slots__ = ("_watch", "_watch_at")

    def __init__(self, watch: Callable[[], None]) -> None:
        super().__init__(math.inf)
        self._watch = watch
        self._watch_at = monotonic() + WATCH_AFTER_SECONDS

    def end_if_due(self, now: float) -> None:
        if self._watch_at <= now:
            self._watch_at = math.inf
            self._watch()
        super().end_if_due(now)


class Relay:
    """One admitted request. `run` answers it and leaves a metered or a released generation, whatever happens."""

    def __init__(
        self,
        *,
        exchange: Exchange,
        endpoint: Endpoint[Any],
        call: Call,
        entry: Entry,
        destinations: Sequence[Destination],
        admitted: Admitted,
        started: float,
        client: Client,
        metering: Metering,
        release: Any,
        drains: Drains,
        attempts: Attempts,
        window: Window | None = None,
        outcome: Callable[[Metered, Decimal], None] | None = None,
    ) -> None:
        """`window` is for a stream whose hold grows; `outcome` is told what was metered, and the USD that were held."""
        self.exchange = exchange
        self.endpoint = endpoint
        self.call = call
        self.entry = entry
        self.admitted = admitted
        self._started = started
        self.failover = Failover(client, endpoint, call, destinations, output_limit=admitted.decision.output_limit)
        self.client = client
        self._metering = metering
        self._release = release
        self._drains = drains
        self._attempts = attempts
        self.window = window
        self.share: Share | None = None
        """What its answer takes of the memory for those that are read whole."""
        self._outcome = outcome
        self._cost = ZERO
        """What was used costs, within the bound or not, by the last record that was made."""
        self.bound: timeout | None = None
        self.is_gone = False
        self._watcher: asyncio.Task[None] | None = None
        self._first_byte: float | None = None
        self._resolved = False
        self.why = Reason.UPSTREAM_ERROR
        self.is_job = False
        """It goes on without us: whatever becomes of this request, its usage is asked for elsewhere."""
        self.headers = [(b"x-generation-id", admitted.generation_id.encode()), *left_out.headers(call.removed)]
        self._ignored: tuple[str, ...] = ()
        self.manner = Manner(admitted.generation_id, is_plain=call.is_plain)
        self.out = ClientStream(exchange, self.headers, left=self.client_left, array=endpoint.array(call))

    async def run(self) -> None:
        """Raises `Refusal` for an answer that has not begun, `ClientGone` where nobody is left to answer."""
        try:
            with Bound(self._start_watching) as self.bound:
                if monotonic() - self._started > WATCH_AFTER_SECONDS and self.has_left():
                    raise ClientGone  # while it was admitted
                while not await self._relay_one():
                    pass
        except Refusal as refusal:
            if not self.exchange.started:
                raise
            # Its head went out while an upstream was silent.
            await self.out.end(self.endpoint.error_event(refusal, self.exchange.request_id, self.out.latest))
        except TimeoutError:
            # Only the bound ends here: the client is gone, and the upstream was hung up on.
            self.is_gone = True
            raise ClientGone from None
        except asyncio.CancelledError:
            self.is_gone = self.is_gone or self.exchange.is_deserted
            raise
        finally:
            self.out.close()
            self.failover.close()
            if self.window is not None:
                self.window.close()
            if self.bound is not None:
                self._drains.discard(self.bound)
                self.bound = self.failover.waiting = None
            self._resolve_if_open()
            if self.failover.attempts:
                self._attempts.add(self.admitted.generation_id, self.failover.attempts)
            if self._watcher is not None:
                self._watcher.cancel()
                self._watcher = None  # what was cancelled keeps its frames, and they this: a circle, seldom collected

    async def _relay_one(self) -> bool:
        """Relay the next upstream's answer; False where it broke before anything could be relayed."""
        try:
            response, destination = await self.failover.open(self.has_left)
        except NoUpstream as none:
            self.why = none.reason
            raise none.refusal from None
        self._has_opened(destination)
        try:
            async with response:
                await RELAYS[self.failover.dialect(destination).reply(self.call)](self, response, destination)
        except BrokenEarly as broken:
            self.why = broken.reason
            self.failover.note(destination, broken.outcome, headers=response.headers, reported=broken.reported)
            if broken.reason != Reason.TIMEOUT:
                self.failover.took = None
            if self.has_left():
                raise ClientGone from None
            if broken.refusal.is_final:
                self.failover.ended_with(destination, broken.refusal)
                raise broken.refusal from None
            if monotonic() - self._started > destination.total_timeout:
                raise broken.refusal from None  # a request has its time once, not once an upstream
            self.failover.broke(destination, broken)
            return False
        finally:
            if self.share is not None:
                self.share.give_back()
        return True

    def _resolve_if_open(self) -> None:
        """Nothing was used that we know of: give the hold back, unless an upstream that the caller left bills it."""
        if self._resolved:
            return
        self._resolved = True
        if not self.has_left():
            self.failover.note_open()
            self._release(self.admitted.generation_id, self.why)
        elif self._is_unknown and self.failover.took is not None:
            self.failover.keep_open()
            nothing, left = Reported(None), Reason.CLIENT_DISCONNECTED
            self._metering.put(self.record(NO_HEADERS, self.failover.took, nothing, produced_bytes=0, reason=left))
            self.exchange.note_charge()
        else:
            self.failover.note_open()
            self._release(self.admitted.generation_id, Reason.CLIENT_DISCONNECTED)

    def _has_opened(self, destination: Destination) -> None:
        self._first_byte = monotonic()
        asked = self.call.model if destination.is_renamed and not self.call.is_plain else ""
        if asked != self.manner.model:
            self.manner = Manner(self.admitted.generation_id, asked, self.call.is_plain)
        ignored = self.failover.dialect(destination).ignored(self.call)
        if ignored != self._ignored:
            self._ignored = ignored
            self.headers[1:] = left_out.headers(self.call.removed, ignored)

    def _start_watching(self) -> None:
        if self.call.stream:
            self.out.keep_alive()
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        """When the client leaves, see what its upstream does then."""
        await self.exchange.gone()
        self.client_left()

    def has_left(self) -> bool:
        """Whether nobody waits for the answer any more."""
        if not self.is_gone and self._watcher is None and self.exchange.is_abandoned:
            self.client_left()
        return self.is_gone

    def client_left(self) -> None:
        """Let an upstream that goes on and bills tell what it used; hang up on any other, at once."""
        if self.is_gone:
            return
        took = self.failover.took
        is_billed = took is not None and took.bills_abandoned and not self.is_job
        self.is_gone = not self.exchange.goes_on(is_billed=is_billed)
        if self.bound is None:
            return
        if is_billed or not self.is_gone:
            self._drains.add(self.bound, ends_at=self.failover.ends_at)
        if is_billed:
            self.failover.hear_to_the_end()
        elif self.is_gone:
            self.bound.end_in(0)

    def hears_out(self) -> None:
        """Its caller has its end, and its upstream goes on and bills: what it uses is to be learnt."""
        if self.bound is not None:
            self._drains.add(self.bound, ends_at=self.failover.ends_at)
        self.failover.hear_to_the_end()

    @property
    def _is_unknown(self) -> bool:
        """Whether an upstream works on this, or did, for a caller that left, and bills what it does not tell."""
        took = self.failover.took
        return self.is_gone and took is not None and took.bills_abandoned

    async def hand_over(self, destination: Destination, name: str) -> None:
        """Commit what its upstream works on in the background under that id, so that its caller may learn it. Raises
        `Refusal`, and what works there is cancelled then.
        """
        self._resolved = self.is_job = True  # a commit on its way is not called back
        try:
            await asyncio.shield(begin(self, destination, name))
            self.exchange.note_charge()
        except (*AWAY, NotHeld):
            self._resolved = self.is_job = False
            raise unwritten(self.admitted.generation_id) from None

    def record(
        self,
        headers: Mapping[str, str],
        destination: Destination,
        reported: Reported,
        *,
        produced_bytes: int,
        reason: str,
    ) -> Metered:
        """The record METER writes: the upstream's usage, else what was relayed; never charged beyond the bound."""
        is_unknown = reason in CUT and self._is_unknown
        source, usage = self._usage(reported, produced_bytes, is_unknown=is_unknown)
        left = is_unknown or (reason == Reason.COMPLETED and (self.has_left() or self.exchange.is_deserted))
        now = monotonic()
        record, self._cost = recorded(
            self.held(destination),
            destination,
            reported,
            headers,
            source=source,
            usage=usage,
            reason=Reason.CLIENT_DISCONNECTED if left else reason,
            latency_ms=self._milliseconds(self._first_byte or now),
            generation_time_ms=self._milliseconds(now),
        )
        return record

    def held(self, destination: Destination) -> Held:
        """The request as it is held now; what its upstream has of it goes by the destination."""
        call, bound = self.call, self.admitted.decision.bound
        ending = self.window.ending if self.window is not None else None
        return Held(
            generation_id=self.admitted.generation_id,
            bound=self.window.bound if self.window is not None else bound,
            most=self.window.full if self.window is not None else bound,
            price=self.entry.price,
            terms=call.terms,
            least=call.least,
            asked_tier=call.service_tier or "",
            ended_by=None if ending is None else ending.by,
            left_out=left_out.stored(call.removed, self.failover.dialect(destination).ignored(call)),
        )

    def input_cost(self, reported: Reported) -> Decimal:
        """What the input costs, in USD, that an upstream tells before anything of the output; where it tells none, what
        is held for it."""
        if reported.usage is None or not reported.usage.input_tokens or self.window is None:
            return self.admitted.decision.bound
        served = terms_of(claims.served_tier(reported))
        return cost_of(
            self.entry.price, replace(reported.usage, output_tokens=0), asked=self.call.terms, served=served
        ).charged

    async def is_covered(self) -> bool:
        """Whether the last record is what it is to be: what it costs was held, and nothing more came of asking. Where
        more is held now it is to be made again.
        """
        window = self.window
        return window is None or self._cost <= window.bound or not await window.cover(self._cost)

    def _usage(self, reported: Reported, produced_bytes: int, *, is_unknown: bool) -> tuple[str, Usage]:
        """What to bill: the upstream's word, but for a zero beside an answer, which cannot be.

        Of what stays unknown, the prompt's fair count and what was relayed.
        """
        told = reported.usage
        if told is not None and reported.is_counted:
            return Source.UPSTREAM, told
        if not produced_bytes and not is_unknown:
            return (Source.NONE, NOTHING) if told is None else (Source.UPSTREAM, told)
        if self.call.fair is not None:
            return Source.ESTIMATED, self.call.fair
        told = told or NOTHING
        relayed = fair_tokens(produced_bytes, wide=0) if produced_bytes else 0
        material = self.call.material
        sound = {} if told.input_tokens or not material.fair_audio else {INPUT_AUDIO: material.fair_audio}
        return Source.ESTIMATED, replace(
            told,
            input_tokens=told.input_tokens or material.fair,
            output_tokens=told.output_tokens or relayed,
            more={**(told.more or {}), **sound} or None,
        )

    def _milliseconds(self, moment: float) -> int:
        return round((moment - self._started) * 1000)

    def charged(self, record: Metered) -> Charged:
        ending = self.window.ending if self.window is not None else None
        refusal = None if ending is None else ending.refusal
        return Charged(self.manner, record.latency_ms, record.cost.charged, refusal)

    def put(self, record: Metered) -> None:
        self._resolved = True
        self._metering.put(record)
        self._tell_outcome(record)

    def _tell_outcome(self, record: Metered) -> None:
        if self._outcome is not None:
            self._outcome(record, self.admitted.decision.hold if self.window is None else self.window.held)
        if record.usage_source != Source.NONE:
            self.exchange.note_charge()

    def meter_soon(self, record: Metered) -> None:
        if record.usage_source != Source.NONE:
            self.put(record)

    async def meter(
        self,
        record: Metered,
        prepare: Callable[[], bytes],
        *,
        every: float = ANSWER_SECONDS,
        meanwhile: Callable[[], Awaitable[None]] | None = None,
    ) -> bytes:
        """The answer's end, as `prepare` makes it, once it may leave. Raises `Unwritten`, and `ClientGone` where nobody
        waits for it.
        """
        if record.usage_source == Source.NONE and self.failover.took is not None:
            told = Reported(None, upstream_id=record.upstream_request_id)
            self.failover.note(self.failover.took, OUTCOMES.get(record.reason, Outcome.ANSWERED), reported=told)
        if self.is_gone:
            self.put(record)
            raise ClientGone
        self._resolved = True
        prepared = await self._metering.write(record, prepare=prepare, every=every, meanwhile=meanwhile)
        self._tell_outcome(record)
        if self.is_gone:
            raise ClientGone
        return prepared

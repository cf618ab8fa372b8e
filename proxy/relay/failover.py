"""The way to an upstream that takes the request: in order of priority, before the first byte, under one hold."""

import contextlib
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

import aiohttp

from proxy.batches.timeouts import timeout
from proxy.errors import Refusal, provider_late, unavailable
from proxy.models import Attempt as AttemptRow
from proxy.models import Generation
from proxy.prices.catalog import Destination
from proxy.protocols import lossless
from proxy.protocols.base import BadRequest, Call, Habits, Reported
from proxy.protocols.endpoint import Dialect, Endpoint, Sending
from proxy.relay import claims, errors
from proxy.relay.choosing.cooldown import Failed
from proxy.relay.choosing.sealed import Unopened, at_home_first
from proxy.relay.client import Client
from proxy.relay.hearing import Hearing
from proxy.relay.refusals import NotThere, count_error, read_refusal
from proxy.settlement.attempts import Attempt
from proxy.watch import metrics

log = logging.getLogger(__name__)

MOST_SECONDS = 7140.0
"""A request in all, whatever its upstreams may take: a minute before the sweeper takes it for left behind."""
MOST_ATTEMPTS = 3
"""At one upstream: once, and again without a field that it does not take, of the two kinds that there are."""
NOBODY = "No upstream serves this model at the moment."
FULL = "All of this model's providers have as many requests as they take. Try again in a second."
Reason = Generation.Reason
Outcome = AttemptRow.Outcome
UNTOLD = Reported(None)
NO_HEADERS: Mapping[str, str] = {}
NONE = frozenset[str]()
OUTCOMES: Mapping[str, Outcome] = {
    Reason.TIMEOUT: Outcome.TIMED_OUT,
    Reason.UPSTREAM_EOF: Outcome.ABANDONED,
    Reason.CLIENT_DISCONNECTED: Outcome.ABANDONED,
}
"""What an answer that ended so is as an attempt, where it is no refusal: else it was answered, with nothing."""


class NoUpstream(Exception):
    """Nobody took the request: what to tell the caller, and the reason to record."""

    def __init__(self, refusal: Refusal, reason: Generation.Reason) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.reason = reason


class BrokenEarly(Exception):
    """An upstream that took the request gave nothing to relay: another may be tried.

    `reported` is what it told of itself all the same; `is_refusal` where that is an error of its own.
    """

    def __init__(
        self,
        refusal: Refusal,
        reason: Generation.Reason,
        *,
        reported: Reported = UNTOLD,
        is_refusal: bool = False,
    ) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.reason = reason
        self.reported = reported
        self.outcome = Outcome.REFUSED if is_refusal else OUTCOMES.get(reason, Outcome.ANSWERED)


class Failover:
    """One request's way over its upstreams, each tried once; those that cool down after failures in a row come last."""

    def __init__(
        self,
        client: Client,
        endpoint: Endpoint[Any],
        call: Call,
        destinations: Sequence[Destination],
        *,
        output_limit: int | None,
    ) -> None:
        self._client = client
        self._cooldown = client.cooldown
        self._endpoint = endpoint
        self._call = call
        self._output_limit = output_limit
        self._began = monotonic()
        self._path = endpoint.path
        in_order = at_home_first(destinations, call.rest) if len(destinations) > 1 else destinations
        self._home = in_order[0].account if in_order else ""
        """Where what is sealed in the request was made, as far as anybody knows."""
        in_order = self._cooldown.order(in_order, self._path, now=self._began)
        self._left = iter(in_order)
        self._ready: tuple[Destination, Habits, Sending] | None = None
        """What the first of them will be sent, with these habits of its."""
        self._spoken: tuple[Destination, Dialect[Any]] | None = None
        """The one that was spoken with last, and how."""
        self._slot = ""
        """The upstream of which one is taken."""
        self._full: frozenset[str] = NONE
        """Accounts of upstreams that were passed over."""
        self._closed: frozenset[str] = NONE
        """Accounts that cannot open it."""
        self._refusal: Refusal | None = None
        self._untranslatable: Refusal | None = None
        if in_order:
            self._ready = self._prepared(in_order[0])
        self._reason: Generation.Reason | None = None
        self._asked: Destination | None = None
        self.attempts: tuple[Attempt, ...] = ()
        """Those that an upstream may bill, or that its bill may name, and that came to nothing here."""
        self._is_noted = False
        self.took: Destination | None = None
        """Which upstream has the whole request, as long as nothing tells that it came to nothing there."""
        self.waiting: timeout | Hearing | None = None
        """What bounds its silences."""
        self.ends_at = math.inf
        """When the upstream that was asked is given up: a request has its time once, not once an upstream."""

    async def open(self, has_left: Callable[[], bool]) -> tuple[aiohttp.ClientResponse, Destination]:
        """The next upstream that answers with success; raises `NoUpstream` with what the last one said.

        Once the caller `has_left`, no further one is asked.
        """
        for destination in self._left:
            if self._asked is not None and self._end_at(destination) <= monotonic():
                continue
            if destination.account in self._closed:
                continue
            ready, self._ready = self._ready, None
            if ready is None or ready[0] is not destination:
                ready = self._prepared(destination)
            if ready is None or not self._has_room(destination):
                continue
            self._cooldown.begins(destination, self._path, now=monotonic())
            self._reason, is_final = None, False
            _destination, habits, sending = ready
            known = habits
            for _attempt in range(MOST_ATTEMPTS):
                asked = monotonic()
                response = await self._send(destination, sending)
                if response is None:
                    break
                if response.status < 300:
                    if habits != known:
                        log.warning("upstream %s does not take a field of ours: %s", destination.upstream, habits)
                        self._client.habits.learn(destination, habits, now=monotonic())
                    label = metrics.model_label(destination.model)
                    metrics.count(metrics.upstream_requests(label, destination.upstream))
                    self._client.health.answered(destination.upstream_id, seconds=monotonic() - asked)
                    return response, destination
                self.took = None
                async with response:
                    refused = await read_refusal(response, destination, self._call)
                if refused.is_callers:
                    self._client.health.answered(destination.upstream_id, seconds=monotonic() - asked)
                else:
                    self._client.health.failed(destination.upstream_id, status=response.status, text=refused.said)
                self._tell(refused.refusal, destination)
                self._note_refusal(destination, response.headers, refused.body)
                if refused.failed is None:
                    self._cooldown.answered(destination, self._path)
                else:
                    self._cooldown.failed(destination, self._path, now=monotonic(), what=refused.failed)
                is_final = refused.refusal.is_final
                without = self._without_ours(destination, habits) if is_final else None
                if without is None or has_left():
                    break
                habits, sending = without, self._sending(destination, without)
            if is_final or has_left():
                break
        self.close()
        refusal = self._refusal or self._untranslatable or Refusal(503, "provider_unavailable", NOBODY)
        if self._full - self._closed and (self._refusal is None or isinstance(refusal, Unopened)):
            refusal = unavailable(FULL)  # in a moment somebody may take it
        reason = Reason.TIMEOUT if refusal.status == 504 else Reason.UPSTREAM_ERROR
        raise NoUpstream(refusal, self._reason or reason)

    async def _send(self, destination: Destination, sending: Sending) -> aiohttp.ClientResponse | None:
        """Its answer's head; None where there was none."""
        self.took, self._asked, self._is_noted = None, destination, False
        self.ends_at = self._end_at(destination)
        try:
            with timeout(min(destination.timeout, self.ends_at - monotonic())) as self.waiting:
                return await self._client.send(destination, sending, taken=self._was_taken)
        except TimeoutError as error:
            if self.took is not None:
                self.note(destination, Outcome.TIMED_OUT)
            self._failed(destination, "timeout", is_reached=not isinstance(error, aiohttp.ConnectionTimeoutError))
            self._tell(provider_late(), destination)
        except (aiohttp.ClientError, OSError) as error:
            log.warning("upstream %s: %s", destination.upstream, type(error).__name__)
            self.note_open()
            self.took = None
            self._failed(destination, "connection", is_reached=not isinstance(error, aiohttp.ClientConnectorError))
            retry = {"Retry-After": "5"}
            words = "The model's provider cannot be reached."
            self._tell(Refusal(503, "provider_unavailable", words, headers=retry), destination)
        return None

    def dialect(self, destination: Destination) -> Dialect[Any]:
        """How to speak with it; raises `LookupError` for one that cannot be asked."""
        if self._spoken is None or self._spoken[0] is not destination:
            found = self._endpoint.dialect(destination)
            if found is None:
                raise LookupError(destination.upstream)
            self._spoken = destination, found
        return self._spoken[1]

    def _prepared(self, destination: Destination) -> tuple[Destination, Habits, Sending] | None:
        """What it is sent, with these habits of its; None where its protocol has no words for what is asked."""
        habits = self._client.habits.of(destination, now=monotonic())
        try:
            return destination, habits, self._sending(destination, habits)
        except BadRequest as bad:
            self._untranslatable = Refusal(400, "validation_error", str(bad), param=bad.param)
            return None

    def _sending(self, destination: Destination, habits: Habits) -> Sending:
        return self.dialect(destination).request(
            self._call, destination, output_limit=self._output_limit, habits=habits
        )

    def _end_at(self, destination: Destination) -> float:
        return self._began + min(destination.total_timeout, MOST_SECONDS)

    def _was_taken(self) -> None:
        self.took = self._asked

    def _without_ours(self, destination: Destination, habits: Habits) -> Habits | None:
        """What to try without, where it refused exactly a field that we added."""
        if self._refusal is None or self._refusal.status not in (400, 422):
            return None
        return self.dialect(destination).after_refusal(self._call, destination, habits, self._refusal)

    def hearing(self, response: aiohttp.ClientResponse, destination: Destination) -> Hearing:
        """The answer of the last upstream that was asked."""
        self.waiting = hearing = Hearing(response.content, silence=destination.timeout, ends_at=self.ends_at)
        return hearing

    def hear_to_the_end(self) -> None:
        """The caller is gone: what its upstream used is waited for as long as the whole may last."""
        if isinstance(self.waiting, Hearing):
            self.waiting.to_the_end()
        elif self.waiting is not None:
            self.waiting.end_at(self.ends_at)

    def close(self) -> None:
        """No upstream works on this any more."""
        if self._slot:
            self._client.slots.give_back(self._slot)
            self._slot = ""

    def _has_room(self, destination: Destination) -> bool:
        self.close()
        if destination.max_concurrency is None:
            return True
        if self._client.slots.take(destination):
            self._slot = destination.upstream
            return True
        self._full |= {destination.account}
        metrics.FULL.labels(destination.upstream).inc()
        return False

    def _tell(self, refusal: Refusal, destination: Destination) -> None:
        """What the caller is told if nobody takes the request: what the last one said.

        Of what is sealed its own account has the word: that another cannot open it says nothing where that one failed,
        and where it cannot either, others' failures say nothing.
        """
        if isinstance(refusal, Unopened):
            self._closed |= {destination.account}
            if self._refusal is not None and destination.account != self._home:
                return
        elif isinstance(self._refusal, Unopened) and self._home in self._closed and not refusal.is_final:
            return
        if isinstance(refusal, NotThere) and self._refusal is not None:
            return  # of another that failed the caller is to hear: it may come again
        self._refusal = refusal

    def answered(self, destination: Destination) -> None:
        """A whole answer has come of it."""
        self._cooldown.answered(destination, self._path)

    def ended_with(self, destination: Destination, refusal: Refusal) -> None:
        """It began with success and ended so: what is the caller's fault is no failure of its own."""
        if refusal.is_failure:
            self._client.health.failed(
                destination.upstream_id, status=refusal.status, text=refusal.message, was_answered=True
            )
            self._cooldown.failed(destination, self._path, now=monotonic())
        else:
            self._cooldown.answered(destination, self._path)

    def broke(self, destination: Destination, broken: BrokenEarly) -> None:
        """It began with success and failed before anything could be relayed; another is tried."""
        self.ended_with(destination, broken.refusal)
        self._tell(broken.refusal, destination)
        self._reason = broken.reason

    def note(
        self,
        destination: Destination,
        outcome: Outcome,
        *,
        headers: Mapping[str, str] = NO_HEADERS,
        reported: Reported = UNTOLD,
    ) -> None:
        """The attempt under way came to nothing here, and its upstream may bill it: a refusal only where it tells its
        usage, or an id that a bill may name.
        """
        attempt = Attempt(
            destination.upstream_id,
            outcome,
            monotonic(),
            upstream_request_id=claims.request_id(headers, reported),
            usage=reported.usage,
            service_tier=claims.served_tier(reported),
            stated_cost=claims.stated_cost(headers, reported),
        )
        if outcome != Outcome.REFUSED or attempt.usage is not None or attempt.upstream_request_id:
            self.attempts, self._is_noted = (*self.attempts, attempt), True

    def note_open(self) -> None:
        """Nobody hears the end of the one under way, if an upstream has it whole."""
        if self.took is not None and not self._is_noted:
            self.note(self.took, Outcome.ABANDONED)

    def keep_open(self) -> None:
        """What the one under way used stands with the request itself."""
        if self._is_noted:
            self.attempts, self._is_noted = self.attempts[:-1], False

    def _note_refusal(self, destination: Destination, headers: Mapping[str, str], body: bytes) -> None:
        reported = UNTOLD
        if b"usage" in body:
            with contextlib.suppress(ValueError, RecursionError):
                said = lossless.load(body)
                reported = self.dialect(destination).read_answer(self._call, said) if isinstance(said, dict) else UNTOLD
        self.note(destination, Outcome.REFUSED, headers=headers, reported=reported)

    def refusal_of(self, error: object, destination: Destination) -> Refusal:
        """What an error that came with success means for the caller."""
        return errors.of_success(error, destination=destination, own=self._call.rest)

    def _failed(self, destination: Destination, kind: str, *, is_reached: bool) -> None:
        count_error(destination, kind)
        self._client.health.failed(destination.upstream_id, status=0, text=kind)
        what = Failed.ROUTE if is_reached else Failed.HOST
        self._cooldown.failed(destination, self._path, now=monotonic(), what=what)

"""A request that was sent before gets the first one's answer: live, when it is there, or from where it is kept."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from time import monotonic
from typing import Any

from proxy.batches.threads import in_thread
from proxy.errors import Refusal, unavailable
from proxy.exchange import ClientGone, Exchange
from proxy.once import rows
from proxy.once.claims import Claim
from proxy.once.recording import AT_ONCE, REPLAYED
from proxy.once.rows import Answer, Found, unpacked
from proxy.once.table import Once
from proxy.protocols.base import Call
from proxy.protocols.endpoint import Endpoint
from proxy.relay.answers.client_stream import ClientStream
from proxy.watch import metrics

FIRST_LOOK_SECONDS, SLOWEST_LOOK_SECONDS = 0.05, 1.0
WAIT_SECONDS = 1_800.0
"""For what another process works on; who comes again afterwards waits on."""
RELEASE_SECONDS = 1.0
"""What failed is released within this time: only then another request with its key is a conflict for good."""
UNTOLD_SECONDS = 5.0
"""A process that is asked for an answer that it still has tells within this time."""


def conflict() -> Refusal:
    words = "This Idempotency-Key was used with another request: its path and body have to be the same."
    return Refusal(409, "idempotency_conflict", words, headers={"X-Should-Retry": "false"})


def lost(generation_id: str) -> Refusal:
    words = f"This request was sent before, and {generation_id} is charged for it. It is not done again, and its answer"
    words += " cannot be given: it is too long to be kept, was cut, or is not kept here."
    return Refusal(409, "answer_not_kept", words, headers={"X-Should-Retry": "false"})


class Repeat:
    """`check` raises `Refusal` where the caller may not see an answer now."""

    def __init__(
        self,
        once: Once,
        exchange: Exchange,
        endpoint: Endpoint[Any],
        call: Call,
        *,
        check: Callable[[], Awaitable[None]],
    ) -> None:
        self._once = once
        self._exchange = exchange
        self._endpoint = endpoint
        self._call = call
        self._check = check
        self._is_checked = False
        self._out: ClientStream | None = None

    @property
    def claim(self) -> Claim:
        claim = self._exchange.claim
        if claim is None:
            raise ValueError("a request without a claim repeats nothing")
        return claim

    async def is_joined(self) -> bool:
        """Answered with what another request of this process gets, or got; else this one is the first here."""
        claim = self.claim
        if claim.is_retry and self._once.may_try_anew(claim):
            self._exchange.claim = claim = replace(claim, is_retry=False)
        if not claim.is_looked_up:
            return False
        while (first := self._once.find(claim)) is not None:
            await self._may_see()
            if first.claim.asked != claim.asked:
                if not (first.generation_id or first.is_over):
                    await first.changed()  # nothing is held for it: it may be no first
                    continue
                raise _told("conflict", conflict())
            if not first.is_kept:
                raise _told("lost", lost(first.generation_id))
            if await first.follow(self._exchange):
                metrics.ONCE.labels("joined").inc()
                return True
        return False

    async def is_replayed(self) -> bool:
        """Answered with what is kept of another request, once that is there; else this is to be tried again."""
        await self._may_see()
        if self._call.stream and self._out is None:
            array = self._endpoint.array(self._call)
            self._out = ClientStream(self._exchange, [], left=_nobody, array=array)
            self._out.taken()
            self._out.keep_alive()
        found = await self._waited_for(self.claim)
        if found is None:
            return False
        answer = None if found.answer is None else unpacked(bytes(found.answer))
        if answer is None:
            raise _told("lost", lost(found.generation_id))
        self.close()
        metrics.ONCE.labels("replayed").inc()
        await self._send(answer)
        return True

    async def end(self, refusal: Refusal) -> None:
        """Where the head of a stream is gone already. Raises the refusal where it is not."""
        if self._out is None or not self._exchange.started:
            raise refusal
        await self._out.end(self._endpoint.error_event(refusal, self._exchange.request_id))

    def close(self) -> None:
        """No more comments."""
        if self._out is not None:
            self._out.close()

    async def _may_see(self) -> None:
        if not self._is_checked:
            await self._check()
            self._is_checked = True

    async def _waited_for(self, claim: Claim) -> Found | None:
        """What was begun elsewhere, with its answer; None where it came to nothing. Raises `Refusal`."""
        since, pause = monotonic(), FIRST_LOOK_SECONDS
        asked_at = 0.0
        while True:
            found = await self._once.look(claim)
            if found is None or found.is_void or found.generation_id == claim.unless:
                return None
            now = monotonic()
            if found.asked != claim.asked:
                if found.is_charged or now - since > RELEASE_SECONDS:
                    raise _told("conflict", conflict())
                await self._pause(pause)
                continue
            if found.answer is not None:
                return found
            is_gone = found.status == rows.LOST or (found.is_charged and not found.is_alive)
            if found.is_charged and not is_gone:
                is_gone = found.is_old if claim.is_named else bool(asked_at) and now - asked_at > UNTOLD_SECONDS
            if is_gone:
                self._give_up(claim, found)
                return None
            if not claim.is_named and not asked_at:
                await in_thread(rows.want)(claim)
                asked_at = now
            if now - since > WAIT_SECONDS:
                words = f"The first request is still at work, as {found.generation_id}. Try again in a while."
                raise unavailable(words, retry_after=30)
            await self._pause(pause)
            pause = min(1.5 * pause, SLOWEST_LOOK_SECONDS)

    async def _pause(self, seconds: float) -> None:
        """Raises `ClientGone`."""
        await asyncio.sleep(seconds)
        if self._exchange.is_abandoned:
            raise ClientGone

    def _give_up(self, claim: Claim, found: Found) -> None:
        """The answer will never be here. What has no key and was delivered in full is another request."""
        if claim.is_named or not found.was_delivered:
            raise _told("lost", lost(found.generation_id))
        self._exchange.claim = replace(claim, unless=found.generation_id)

    async def _send(self, answer: Answer) -> None:
        exchange, body = self._exchange, answer.body
        if not exchange.started:
            await exchange.start(answer.status, [*answer.headers, REPLAYED])
        at = 0
        while len(body) - at > AT_ONCE:
            await exchange.write(body[at : at + AT_ONCE])
            at += AT_ONCE
        await exchange.end(body[at:])


def _told(outcome: str, refusal: Refusal) -> Refusal:
    metrics.ONCE.labels(outcome).inc()
    return refusal


def _nobody() -> None:
    """Whether the caller is there is looked at with each look for the answer."""

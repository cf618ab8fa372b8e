"""A request as admission decides upon it: a large prompt is counted, and looked at closer before it is refused."""

from typing import Any

from django.conf import settings

from accounts.limits.policy import KeyPolicy
from proxy.admission.ask import ask_of
from proxy.admission.rule import Ask, Short
from proxy.learning.counter import COUNTED_FROM, TokenCounter
from proxy.learning.counting import ProviderCounts
from proxy.learning.guess import Guess
from proxy.learning.memory import Memory
from proxy.learning.outcome import prompt_of
from proxy.learning.vocabularies import vocabulary_of
from proxy.once.claims import Claim
from proxy.prices.catalog import Entry
from proxy.protocols.base import Call
from proxy.protocols.endpoint import Endpoint

LEAST_RATIO = 12
"""No text has more bytes a token on average: where not even so few tokens would fit, none are counted."""


class Asking:
    """One request of a key; `ask` is what is to be held for, by what is known of its `prompt` so far."""

    __slots__ = (
        "_call",
        "_counts",
        "_endpoint",
        "_entry",
        "_memory",
        "_once",
        "_policy",
        "_tokenized",
        "ask",
        "prompt",
    )

    def __init__(
        self,
        memory: Memory,
        counts: ProviderCounts,
        endpoint: Endpoint[Any],
        call: Call,
        entry: Entry,
        policy: KeyPolicy,
        *,
        once: Claim | None = None,
    ) -> None:
        self._memory = memory
        self._counts = counts
        self._endpoint = endpoint
        self._call = call
        self._entry = entry.at(policy.factor)
        self._policy = policy
        self._once = once
        self._tokenized: int | None = None
        self.prompt = prompt_of(memory, endpoint, call, entry, policy)
        self.ask = self._ask_of(guess=None if self.prompt is None else self.prompt.guess())

    def counted_by(self) -> str:
        """By which vocabulary the prompt is worth counting; "" where it is small, or known well enough."""
        prompt = self.prompt
        if prompt is None or self._call.material.text_bytes < COUNTED_FROM or prompt.is_known:
            return ""
        return vocabulary_of(self._entry.slug)

    async def count(self, counter: TokenCounter, vocabulary: str) -> None:
        """Ask anew, by the prompt's tokens, if they are counted in time."""
        call = self._call
        found = await counter.count(vocabulary, call.rest, call.material, customer_id=self._policy.customer_id)
        if found is not None and self.prompt is not None:
            self._tokenized = found
            self.ask = self._ask_of(guess=self.prompt.guess(tokenized=found))

    async def look_closer(self, short: Short) -> Ask | None:
        """The request by what its model's provider counts, and what other processes have learned; None where that is
        nothing more.
        """
        prompt, call, customer_id = self.prompt, self._call, self._policy.customer_id
        if prompt is None:
            return None
        await self._memory.look(customer_id=customer_id, model_id=prompt.model_id, session=prompt.session)
        prompt = prompt_of(self._memory, self._endpoint, call, self._entry, self._policy) or prompt
        counted = None
        might_do = self._ask_of(counted=call.material.text_bytes // LEAST_RATIO)
        if not self._endpoint.adds_input(call) and might_do.input_most < short.room + short.may_come_free:
            counted = await self._counts.count(self._endpoint, call, self._entry, customer_id=customer_id)
        guess = prompt.guess(counted=counted, tokenized=self._tokenized)
        if guess is None:
            return None
        self.prompt, self.ask = prompt, self._ask_of(guess=guess, counted=counted)
        return self.ask

    def _ask_of(self, *, guess: Guess | None = None, counted: int | None = None) -> Ask:
        return ask_of(
            self._endpoint,
            self._call,
            self._entry,
            policy=self._policy,
            model_rpm=settings.DEFAULT_MODEL_RPM,
            guess=guess,
            counted=counted,
            once=self._once,
        )

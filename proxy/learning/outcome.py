"""What a request's guess was worth: told to `/metrics`, and learned from."""

from decimal import Decimal
from time import monotonic
from typing import Any

from accounts.limits.policy import KeyPolicy
from core.records import value
from proxy.admission.ask import limit_of
from proxy.admission.rule import Ask
from proxy.learning.guess import Guess, Ratio, Warm, guess_of, is_learned_from, lesson_of
from proxy.learning.memory import Memory, session_number
from proxy.models import Generation
from proxy.prices.catalog import Entry
from proxy.protocols.base import Call
from proxy.protocols.endpoint import Endpoint
from proxy.relay.choosing.affinity import session_name
from proxy.settlement.metered import Metered
from proxy.watch import metrics

Reason = Generation.Reason


@value
class Prompt:
    """A large prompt: whose it is, for which model, and in which session."""

    memory: Memory
    customer_id: int
    model_id: int
    session: int
    call: Call
    limit: int
    ratio: Ratio | None
    last: Warm | None
    """Of its session."""

    @property
    def is_known(self) -> bool:
        """Whether most of it was counted by its provider, as its session's last prompt, and the rest is little."""
        return self.ratio is not None and self.last is not None and self.last.goes_on_in(self.call.material.text_bytes)

    def guess(self, *, counted: int | None = None, tokenized: int | None = None) -> Guess | None:
        """What it likely uses; `counted` tokens of input, where somebody counted them."""
        return guess_of(
            self.call.material,
            limit=self.limit,
            ratio=self.ratio,
            warm=self.last,
            counted=counted,
            tokenized=tokenized,
        )


def prompt_of(memory: Memory, endpoint: Endpoint[Any], call: Call, entry: Entry, policy: KeyPolicy) -> Prompt | None:
    """None for one that is too small, or of which nothing is learned."""
    if not is_learned_from(call.material) or call.units or call.fetches:
        return None
    session = session_number(session_name(call, endpoint.session_member), key_id=policy.key_id)
    ratio, last = memory.known(customer_id=policy.customer_id, model_id=entry.id, session=session)
    return Prompt(memory, policy.customer_id, entry.id, session, call, limit_of(call, entry), ratio, last)


class Outcome:
    """Of one admitted request; called once, with what METER has of it and what is held in the end, USD."""

    __slots__ = ("_ask", "_prompt", "_started")

    def __init__(self, ask: Ask, prompt: Prompt | None) -> None:
        self._ask = ask
        self._prompt = prompt
        self._started = monotonic()

    def __call__(self, record: Metered, held: Decimal) -> None:
        if held:
            estimated = min(self._ask.estimate, self._ask.bound)
            metrics.worth(metrics.model_label(self._ask.model), held, estimated, record.cost.charged)
        prompt = self._prompt
        if prompt is None or record.usage_source != Generation.UsageSource.UPSTREAM or record.is_flagged:
            return
        lesson = lesson_of(
            prompt.call.material,
            record.usage,
            customer_id=prompt.customer_id,
            model_id=prompt.model_id,
            session=prompt.session,
            last=prompt.last,
            choices=prompt.call.choices,
            is_whole=record.reason == Reason.COMPLETED,
            started=self._started,
        )
        if lesson is not None:
            prompt.memory.learn(lesson)

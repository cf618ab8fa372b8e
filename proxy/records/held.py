"""How a request's hold came about: what was held at first, and each change while its answer was written."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext_lazy as _

from billing.books.money import ZERO
from core.records import value
from proxy.learning.guess import BY_COUNT, BY_LEARNING, BY_VOCABULARY
from proxy.models import Change, Generation
from proxy.records import ended

BY = {
    BY_COUNT: _(
        "Its likely cost goes by the prompt's count: %(input)s tokens, %(cached)s of them from the cache, and"
        " %(output)s of output."
    ),
    BY_VOCABULARY: _(
        "Its likely cost goes by the prompt's count with the model's vocabulary: %(input)s tokens, %(cached)s of them"
        " from the cache, and %(output)s of output."
    ),
    BY_LEARNING: _(
        "Its likely cost goes by what your prompts to this model came to before: %(input)s tokens, %(cached)s of them"
        " from the cache, and %(output)s of output."
    ),
}


@value
class HoldChange:
    """What was held more, or less, from a moment on; USD. `held` is what it came to; its bound changed by `bound`."""

    after_ms: int
    why: Change
    amount: Decimal
    held: Decimal
    bound: Decimal

    @property
    def seconds(self) -> str:
        return f"{self.after_ms / 1000:.1f}"

    @property
    def words(self) -> str:
        return str(self.why.label)

    @property
    def is_given_back(self) -> bool:
        return self.amount < 0


@value
class HoldStory:
    """`first` was held when the request left, of the `first_bound` that it could cost by then; USD."""

    first: Decimal
    first_bound: Decimal
    changes: Sequence[HoldChange]
    ended_early: bool
    """Whether its answer was ended because there was nothing more to hold."""
    advice: str
    """What helps against that; "" where it was not."""
    guess: str
    """By what its likely cost was reckoned, in words; "" for the usual way."""

    @property
    def is_below_bound(self) -> bool:
        return self.first < self.first_bound


def changes_of(generation: Generation) -> list[HoldChange]:
    """In the order in which they were made, those that left the hold as it was too."""
    return [
        HoldChange(after, Change(why), Decimal(amount), Decimal(held), Decimal(bound[0] if bound else amount))
        for after, why, amount, held, *bound in generation.hold_changes or ()
    ]


def story_of(generation: Generation) -> HoldStory:
    changes = changes_of(generation)
    return HoldStory(
        first=generation.held - sum((change.amount for change in changes), ZERO),
        first_bound=generation.bound - sum((change.bound for change in changes), ZERO),
        changes=[change for change in changes if change.amount],
        ended_early=ended.is_ended_early(generation),
        advice=ended.advice_words(generation),
        guess=_guess_words(generation.guess),
    )


def _guess_words(guess: Any) -> str:
    if not isinstance(guess, dict) or guess.get("by") not in BY:
        return ""
    said = {name: f"{guess.get(name) or 0:,}" for name in ("input", "cached", "output")}
    return str(BY[guess["by"]]) % said

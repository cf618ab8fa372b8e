"""What a bill and our prices say of the same thing, side by side, and when that is a difference. Pure."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from billing.models import Discrepancy
from proxy.bills.lines import COUNTS

Kind = Discrepancy.Kind
AMOUNT = "amount"
ZERO = Decimal(0)
MOST_IDS = 10


class Key(NamedTuple):
    """What figures are about. Model, tier and part are "" where the bill does not tell them apart."""

    day: date
    model: str = ""
    tier: str = ""
    part: str = ""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Up to `absolute`, in the bill's currency, or up to `share` of a figure, nothing is a difference.

    Each line may be off by half of `rounding`, the step that its format rounds to.
    """

    absolute: Decimal
    share: Decimal
    rounding: Decimal = ZERO

    def is_beyond(self, gap: Decimal, *, of: Decimal, lines: int = 0, absolute: bool = True) -> bool:
        least = self.absolute if absolute else ZERO
        return gap > max(least, self.share * of) + self.rounding / 2 * lines


@dataclass(slots=True)
class Figures:
    """Sums by name, the amount and counts. `out` and `into` are ours of requests that began on another day than they
    ended on: a bill may have them on either.
    """

    theirs: dict[str, Decimal] = field(default_factory=dict)
    ours: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    out: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    into: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    lines: int = 0
    requests: int = 0
    ids: list[str] = field(default_factory=list)

    def add_ids(self, ids: Iterable[str]) -> None:
        self.ids = (self.ids + list(ids))[:MOST_IDS]

    def beyond(self, tolerance: Tolerance, told: Collection[str]) -> list[str]:
        """The names, among those that the bill tells, of the figures that differ; the amount first."""
        return [name for name in (AMOUNT, *COUNTS) if name in told and self._gap(name, tolerance)]

    def _gap(self, name: str, tolerance: Tolerance) -> bool:
        theirs, ours = self.theirs.get(name, ZERO), self.ours[name]
        low, high = ours - self.out[name], ours + self.into[name]
        gap = max(theirs - high, low - theirs, ZERO)
        is_amount = name == AMOUNT
        lines = self.lines if is_amount else 0
        return tolerance.is_beyond(gap, of=max(theirs, ours), lines=lines, absolute=is_amount)


def kind_of(theirs: Decimal, ours: Decimal) -> Kind:
    """What a difference of two sums is called."""
    if not ours:
        return Kind.MISSING_HERE
    return Kind.AMOUNT_DIFFERS if theirs else Kind.MISSING_THERE

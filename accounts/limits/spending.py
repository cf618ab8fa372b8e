"""What a key or a member has spent in the hands of one batch, and the caps that bound it. Amounts in USD.

A meter keeps the last day that something was counted on and the sums of that day, its week, its month and in all, what
is held included. A later day begins those anew that it does not lie in. No day is ever gone back to, so that a clock
that is behind, or an account that changes its zone to and fro, gives nothing twice.
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

from accounts.limits.periods import Period, begins, ends
from accounts.models.meters import SpendingMeter

ZERO = Decimal(0)


class Whose(StrEnum):
    """Whose cap it is; an account has a budget a month that it is warned of. The last one is a run's budget."""

    KEY = "key"
    MEMBER = "member"
    ACCOUNT = "account"
    BUDGET = "budget"


SPENT = tuple(f"{period.name.lower()}_spent" for period in Period)
CHARGED = tuple(f"{period.name.lower()}_charged" for period in Period)
COLUMNS = ("day", *SPENT, *CHARGED)
"""Of a meter, as `Spending` reads them."""
Caps = tuple[tuple[Period, Decimal], ...]
"""Those that are set: what may be spent in a period."""


def caps_of(amounts: Sequence[Decimal | None]) -> Caps:
    """Of the amounts by `Period`, None for no cap, those that there are."""
    return tuple((period, most) for period in Period if (most := amounts[period]) is not None)


class Spending:
    """A meter's sums: read under the wallet lock, counted in Python, written once."""

    __slots__ = ("_caps", "_room", "changed", "charged", "day", "spent")

    def __init__(self, row: Sequence[Any]) -> None:
        """`row`: what `COLUMNS` say, the sums by `Period`."""
        self.day: date = row[0]
        self.spent: list[Decimal] = list(row[1:5])
        self.charged: list[Decimal] = list(row[5:9])
        self.changed = False
        self._caps: Caps | None = None
        self._room: Decimal | None = None
        """What `_caps` leave, as a batch asks once a request and all sums of a day grow alike."""

    @classmethod
    def of(cls, meter: SpendingMeter) -> "Spending":
        """As it stands in a meter's row."""
        return Spending([getattr(meter, name) for name in COLUMNS])

    def turn_to(self, day: date) -> None:
        """What is over begins anew."""
        if day <= self.day:
            return
        for period, first in enumerate(begins(day)):
            if self.day < first:
                self.spent[period] = self.charged[period] = ZERO
        self.day, self._caps = day, None

    def count(self, day: date, held: Decimal) -> date:
        """Count a hold; the day on which it counts, which settlement corrects."""
        self.turn_to(day)
        self.spent = [spent + held for spent in self.spent]
        if self._room is not None:
            self._room -= held
        self.changed = True
        return self.day

    def count_more(self, counted_on: date, held: Decimal) -> None:
        """More is held for a request that was counted on that day: it counts where that did, unless it is over."""
        for period, end in enumerate(ends(counted_on)):
            if self.day < end:
                self.spent[period] += held
        self.changed, self._caps = True, None

    def room(self, caps: Caps) -> Decimal | None:
        """What the narrowest of these caps leaves; None without any."""
        if self._caps is not caps:
            self._caps, self._room = caps, min(self.rooms(caps), default=None)
        return self._room

    def rooms(self, caps: Caps, *, counted_on: date | None = None) -> list[Decimal]:
        """What each of these caps leaves; to a request that was counted on that day, those that are not over."""
        over = ends(counted_on or self.day)
        return [most - self.spent[period] for period, most in caps if self.day < over[period]]

    def broken(self, caps: Caps, *, needed: Decimal, counted_on: date | None = None) -> tuple[Period, Decimal] | None:
        """The first cap that leaves no room for so much more, as of `rooms`."""
        over = ends(counted_on or self.day)
        for period, most in caps:
            if self.day < over[period] and self.spent[period] + needed > most:
                return period, most
        return None

    @property
    def row(self) -> tuple[Any, ...]:
        """As it is written: the day, when its week and month began, and what is spent by `Period`."""
        return *begins(self.day)[:3], *self.spent

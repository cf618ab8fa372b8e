"""What a settled request should have been charged at another version of its model's price, and how the difference is
split. Pure but for reading the versions.
"""

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum

from billing.books.money import ZERO
from core.records import value
from proxy.models import Price
from proxy.prices.sums import cost_of
from proxy.prices.versions import PriceVersion
from proxy.purchases.costs import Used, terms_of, usage_of
from proxy.rerating.reading import Request


class Verdict(StrEnum):
    SAME = "same"
    CORRECTED = "corrected"
    DEARER = "dearer"
    """It would cost more, and the re-rating goes downwards alone."""
    UNCLEAR = "unclear"
    """What it was charged does not follow from what is stored of it: borne in part, or priced by what it named."""
    REVERSED = "reversed"


@value
class Correction:
    """A request whose charge goes from `before` to `after`, USD."""

    request: Request
    before: Decimal
    after: Decimal

    @property
    def back(self) -> Decimal:
        return max(ZERO, self.before - self.after)

    @property
    def up(self) -> Decimal:
        return max(ZERO, self.after - self.before)


@value
class Split:
    """Of a correction, what moves on each balance, USD."""

    paid: Decimal
    bonus: Decimal


class Versions:
    """Prices by version and factor of a group, each worked out once."""

    def __init__(self, price_ids: Iterable[int]) -> None:
        self._plain = {pk: PriceVersion.from_row(row) for pk, row in Price.objects.in_bulk(set(price_ids)).items()}
        self._with_factor: dict[tuple[int, Decimal], PriceVersion] = {}

    def charge(self, price_id: int, used: Used) -> Decimal:
        """USD, as METER works it out: by what was asked and served, at the group's factor then, within the bound."""
        version = self._version(price_id, used.factor)
        asked, served = terms_of(used)
        return min(cost_of(version, usage_of(used), asked=asked, served=served).charged, used.bound)

    def _version(self, price_id: int, factor: Decimal | None) -> PriceVersion:
        plain = self._plain[price_id]
        if factor is None:
            return plain
        found = self._with_factor.get((price_id, factor))
        return found or self._with_factor.setdefault((price_id, factor), plain.times(factor))


def judge(request: Request, versions: Versions, *, price_id: int, upwards: bool) -> tuple[Verdict, Correction | None]:
    """What becomes of a request at the corrected price; the correction, where there is one."""
    if request.is_reversed:
        return Verdict.REVERSED, None
    if versions.charge(request.used.price_id, request.used) != request.cost:
        return Verdict.UNCLEAR, None
    after = versions.charge(price_id, request.used)
    if after == request.net:
        return Verdict.SAME, None
    if after > request.net and not upwards:
        return Verdict.DEARER, None
    return Verdict.CORRECTED, Correction(request, request.net, after)


def split_back(amount: Decimal, *, paid: Decimal) -> Split:
    """What goes back: the paid part first, never more than the `paid` that was taken and is not back yet."""
    from_paid = min(amount, max(ZERO, paid))
    return Split(paid=from_paid, bonus=amount - from_paid)


def split_up(amount: Decimal, *, available: Decimal, bonus: Decimal) -> Split:
    """What is taken, as a charge is: bonus first, and no more than is available."""
    most = min(amount, max(ZERO, available))
    from_bonus = min(most, max(ZERO, bonus))
    return Split(paid=most - from_bonus, bonus=from_bonus)

"""How far the caps of a key or a member are used up now, for whoever is shown them."""

from datetime import datetime, tzinfo
from decimal import Decimal

from accounts.limits.periods import Period, resets_at, zone_of
from accounts.limits.spending import ZERO, Spending
from accounts.models import ApiKey, Membership
from accounts.models.caps import CAPS
from accounts.models.meters import SpendingMeter
from core.records import value


@value
class Figure:
    """Of one period: the cap, None for none, what was spent, what is charged of that and what is held, in USD, and when
    it begins anew, None for never.
    """

    period: Period
    limit: Decimal | None
    spent: Decimal
    charged: Decimal
    resets_at: datetime | None

    @property
    def held(self) -> Decimal:
        return max(ZERO, self.spent - self.charged)

    @property
    def percent(self) -> int:
        """Of the cap, 0 to 100."""
        if not self.limit:
            return 0 if self.limit is None else 100
        return max(0, min(100, int(100 * self.spent / self.limit)))


def figures_of(
    owner: ApiKey | Membership, meter: SpendingMeter | None, *, zone: tzinfo, now: datetime
) -> tuple[Figure, ...]:
    """By `Period`. A member without a meter has no cap, and nothing is told of what was spent."""
    today = now.astimezone(zone).date()
    spending = Spending([today, *([ZERO] * 8)]) if meter is None else Spending.of(meter)
    spending.turn_to(today)
    return tuple(
        Figure(
            period,
            getattr(owner, CAPS[period]),
            spending.spent[period],
            spending.charged[period],
            resets_at(period, day=spending.day, zone=zone),
        )
        for period in Period
    )


def figures_now(owner: ApiKey | Membership, *, now: datetime) -> tuple[Figure, ...]:
    """Of one that was read with its meter and its customer."""
    return figures_of(owner, getattr(owner, "meter", None), zone=zone_of(owner.customer.time_zone), now=now)

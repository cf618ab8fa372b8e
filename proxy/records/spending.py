"""What an account spent, as a chart shows it: by day or month, and in each by model, key or member."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from accounts.models import Customer
from billing.books.money import ZERO
from proxy.records import sums
from proxy.records.sums import By, Chosen

OTHERS = ""
"""The name under which the smaller models of a chart go together."""
MOST_DAYS = 93
"""That a chart has a column for; of more it has months."""


@dataclass(frozen=True, slots=True)
class Day:
    """What one day, or the days up to `last`, cost in USD, by model."""

    day: date
    costs: Mapping[str, Decimal]
    last: date

    @property
    def total(self) -> Decimal:
        return sum(self.costs.values(), ZERO)


@dataclass(frozen=True, slots=True)
class Spending:
    """The days of a stretch, oldest first, and the models in them, dearest first."""

    days: list[Day]
    models: list[tuple[str, Decimal]]

    @property
    def total(self) -> Decimal:
        return sum((cost for _, cost in self.models), ZERO)

    @property
    def today(self) -> Decimal:
        return self.days[-1].total

    @property
    def week(self) -> Decimal:
        return sum((day.total for day in self.days[-7:]), ZERO)


def spending(*, customer: Customer, days: int, now: datetime, most_models: int = 3) -> Spending:
    """What the last `days` days of an account cost, today included; models beyond the dearest few go together."""
    today = sums.today_of(customer, now=now)
    chosen = Chosen(first=today - timedelta(days=days - 1), last=today)
    return spent(customer, By.MODEL, of=chosen, most=most_models)


def spent(customer: Customer, by: By, *, of: Chosen, most: int = 3) -> Spending:
    """What was chosen, by model, key or member; those beyond the `most` dearest go together."""
    parts = [part for part in sums.parts(customer, by, of=of) if part.cost]
    sizes: dict[int, Decimal] = defaultdict(lambda: ZERO)
    for part in parts:
        sizes[part.pk] += part.cost
    known = sums.names_of(by, list(sizes))
    names = {pk: known.get(pk) or str(pk or "–") for pk in sizes}
    dearest = sorted(sizes, key=lambda pk: (-sizes[pk], names[pk]))
    named = set(dearest[:most] if len(dearest) > most + 1 else dearest)
    columns = _columns(of)
    places = {day: number for number, (first, last) in enumerate(columns) for day in _days(first, last)}
    costs: list[dict[str, Decimal]] = [{} for _ in columns]
    totals: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for part in parts:
        name, column = names[part.pk] if part.pk in named else OTHERS, costs[places[part.day]]
        totals[name] += part.cost
        column[name] = column.get(name, ZERO) + part.cost
    order = list(
        dict.fromkeys([*(names[pk] for pk in dearest if pk in named), *([OTHERS] if OTHERS in totals else [])])
    )
    return Spending(
        days=[Day(first, found, last) for (first, last), found in zip(columns, costs, strict=True)],
        models=[(name, totals[name]) for name in order],
    )


def _columns(of: Chosen) -> list[tuple[date, date]]:
    if of.days <= MOST_DAYS:
        return [(day, day) for day in _days(of.first, of.last)]
    columns, first = [], of.first
    while first <= of.last:
        following = (first.replace(day=1) + timedelta(days=31)).replace(day=1)
        columns.append((first, min(of.last, following - timedelta(days=1))))
        first = following
    return columns


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]

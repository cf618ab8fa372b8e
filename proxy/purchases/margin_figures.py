"""Margins as the desk reads them: sums of the totals of days, by day, model, upstream or customer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.db import connection
from django.db.models import Min

from accounts.models import Customer
from billing.books.money import ZERO
from billing.months.journal import csv_line
from proxy.models import MarginDay, Model, Upstream
from proxy.purchases.margin import FIGURES


class By(StrEnum):
    """What a line is about."""

    DAY = "day"
    MODEL = "model"
    UPSTREAM = "upstream"
    CUSTOMER = "customer"


MOST_DAYS = {By.DAY: 400, By.MODEL: 400, By.UPSTREAM: 400, By.CUSTOMER: 93}
"""Of one look: of customers, who are thousands on each day, three months."""


@dataclass(frozen=True, slots=True)
class Line:
    """Sums in USD. `name` is a day or what it is of, `pk` its id.

    `charged` is after corrections and `bonus` a part of it; `purchase` is what is known: of `unknown` requests, whose
    claims cannot be believed, only the list cost is, and the cost of `unrated` ones has no value in USD.
    """

    name: str
    pk: int | None
    requests: int
    charged: Decimal
    bonus: Decimal
    listed: Decimal
    purchase: Decimal
    unknown: int
    unknown_listed: Decimal
    unrated: int

    @property
    def margin(self) -> Decimal:
        return self.charged - self.purchase

    @property
    def share(self) -> Decimal | None:
        """Of what was charged, percent to one place; None where nothing was."""
        return round(self.margin * 100 / self.charged, 1) if self.charged > 0 else None

    @property
    def without_cost(self) -> int:
        """Requests whose cost is not in `purchase`."""
        return self.unknown + self.unrated


SUMS = ", ".join(f"coalesce(sum({name}), 0)" for name in FIGURES)
KEYS = {By.DAY: "day", By.MODEL: "model_id", By.UPSTREAM: "upstream_id", By.CUSTOMER: "customer_id"}


def lines(by: By, *, first: date, last: date, most: int | None = None) -> list[Line]:
    """What these days of the books came to: days from the newest back, others from the highest charge down."""
    table = "proxy_customermarginday" if by == By.CUSTOMER else "proxy_marginday"
    order = "1 DESC" if by == By.DAY else "sum(charged) + sum(corrected) DESC, 1"
    query = f"SELECT {KEYS[by]}, {SUMS} FROM {table} WHERE day BETWEEN %s AND %s GROUP BY 1 ORDER BY {order} LIMIT %s"
    with connection.cursor() as cursor:
        cursor.execute(query, [first, last, most])
        rows = cursor.fetchall()
    names = _names(by, [key for key, *_ in rows])
    return [_line(str(names.get(key, key)), None if by == By.DAY else key, figures) for key, *figures in rows]


def total(*, first: date, last: date) -> Line:
    """All of these days together."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {SUMS} FROM proxy_marginday WHERE day BETWEEN %s AND %s", [first, last])
        return _line("", None, cursor.fetchone())


def counted_since() -> date | None:
    """The first day that has totals: requests posted before were not counted, so it may lack some."""
    found: date | None = MarginDay.objects.aggregate(day=Min("day"))["day"]
    return found


def by_day(found: list[Line], *, first: date, last: date) -> list[tuple[date, Line]]:
    """`lines` by day with the days that have none, the oldest first."""
    known = {line.name: line for line in found}
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return [(day, known.get(str(day)) or _line(str(day), None, [ZERO] * len(FIGURES))) for day in days]


def csv(by: By, *, first: date, last: date) -> Iterator[str]:
    """The same as CSV, every line of it."""
    names = [*([by.value] if by == By.DAY else [by.value, "id"]), "requests", "charged", "of it bonus", "list cost"]
    yield csv_line([*names, "purchase", "margin", "margin %", "cost unknown", "list cost of these", "no rate"])
    for line in lines(by, first=first, last=last):
        whose = [line.name] if by == By.DAY else [line.name, line.pk]
        known = [line.requests, line.charged, line.bonus, line.listed, line.purchase, line.margin, line.share]
        yield csv_line([*whose, *known, line.unknown, line.unknown_listed, line.unrated])


def _line(name: str, pk: int | None, figures: Sequence[Any]) -> Line:
    requests, charged, corrected, bonus, listed, purchase, unknown, unknown_listed, unrated = figures
    return Line(
        *(name, pk, int(requests), charged + corrected, bonus, listed, purchase),
        *(int(unknown), unknown_listed, int(unrated)),
    )


def _names(by: By, keys: list[Any]) -> dict[int, str]:
    if by == By.MODEL:
        return dict(Model.objects.filter(pk__in=keys).values_list("pk", "slug"))
    if by == By.UPSTREAM:
        return dict(Upstream.objects.filter(pk__in=keys).values_list("pk", "name"))
    if by == By.CUSTOMER:
        return dict(Customer.objects.filter(pk__in=keys).values_list("pk", "name"))
    return {}

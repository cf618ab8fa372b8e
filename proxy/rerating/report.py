"""The difference that a re-rating makes, or has made, by customer and in all, for those who decide about it."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.db.models import Count, F, Sum
from django.db.models.functions import Greatest

from billing.books.money import ZERO
from billing.months.journal import csv_line
from core.records import value
from proxy.models import Rerate, RerateShare

PAGE = 2_000
SUMS = ("requests", "charged", "back", "up", "posted", "given_back", "taken")
HEAD: list[object] = [
    "customer",
    "name",
    "requests",
    "charged",
    "corrected",
    "goes back",
    "is taken",
    "posted",
    "given back",
    "taken",
]


@value
class Totals:
    """Of all customers; amounts in USD. `back` and `up` were found beforehand, `given_back` and `taken` are posted."""

    customers: int
    requests: int
    charged: Decimal
    back: Decimal
    up: Decimal
    posted: int
    given_back: Decimal
    taken: Decimal

    @property
    def corrected(self) -> Decimal:
        return self.charged + self.up - self.back


def totals(rerate: Rerate) -> Totals:
    shares = RerateShare.objects.filter(rerate=rerate)
    found: dict[str, Any] = shares.aggregate(customers=Count("pk"), **{f"of_{name}": Sum(name) for name in SUMS})
    sums = {name: found[f"of_{name}"] or ZERO for name in SUMS}
    counts = {name: int(sums.pop(name)) for name in ("requests", "posted")}
    amounts: dict[str, Any] = {"customers": found["customers"], **counts, **sums}
    return Totals(**amounts)


def largest(rerate: Rerate, *, most: int) -> list[RerateShare]:
    """The customers whose share is largest."""
    shares = RerateShare.objects.filter(rerate=rerate).select_related("customer")
    return list(shares.order_by(Greatest(F("back"), F("up")).desc(), "customer_id")[:most])


def csv(rerate: Rerate) -> Iterator[str]:
    """Each customer's share as CSV, amounts in USD."""
    yield csv_line(HEAD)
    last = 0
    while True:
        shares = RerateShare.objects.filter(rerate=rerate, customer_id__gt=last).select_related("customer")
        page = list(shares.order_by("customer_id")[:PAGE])
        for one in page:
            sums = [f"{amount:f}" for amount in (one.charged, one.corrected, one.back, one.up)]
            done = [one.posted, f"{one.given_back:f}", f"{one.taken:f}"]
            yield csv_line([one.customer_id, one.customer.name, one.requests, *sums, *done])
        if len(page) < PAGE:
            return
        last = page[-1].customer_id

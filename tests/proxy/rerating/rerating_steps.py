"""What tests of re-rating do again and again: two of finance, a corrected price, and a worker until it has done all."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from accounts.models import User
from billing.models import Wallet
from proxy.models import Model, Price, Rerate
from proxy.prices.loading import set_price
from proxy.rerating import deciding, work
from tests.conftest import NOW
from tests.staffing import in_role

DAY = NOW.date()
HALF = {"input": "1.5", "output": "7.5"}
CHARGED, CORRECTED = Decimal("0.01417500"), Decimal("0.00708750")
"""2,000 tokens in and 500 out at 3 and 15 USD a million, and at half of it, with the margin."""


def version(price: dict[str, Any]) -> Price:
    """A further version of the only model."""
    model = Model.objects.get()
    with transaction.atomic():
        set_price(model, price, where=model.slug)
    return model.prices.latest("version")


def people() -> list[User]:
    """Two of finance."""
    addresses = [f"{name}@staff.example.org" for name in ("first", "second")]
    return [User.objects.filter(email=one).first() or in_role("finance", one) for one in addresses]


def proposed(price: Price, *, by: Any, now: datetime = NOW, **chosen: Any) -> Rerate:
    """A re-rating of all requests of the day, counted."""
    asked = {"first_day": DAY, "last_day": DAY, "model": price.model, "reason": "a wrong price", **chosen}
    rerate = deciding.propose(**asked, price=price, by=by, now=now)
    run(now=now)
    rerate.refresh_from_db()
    return rerate


def approved(price: Price, *, now: datetime = NOW, **chosen: Any) -> Rerate:
    """One that another of finance approved, and that is posted as far as it can be by then."""
    first, second = people()
    rerate = proposed(price, by=first, now=now, **chosen)
    deciding.approve(proposal_id=rerate.pk, by=second, now=now)
    run(now=now)
    rerate.refresh_from_db()
    return rerate


def run(*, now: datetime = NOW) -> int:
    """Work until there is nothing to do; return in how many steps."""
    steps = 0
    while work.step(now=now):
        steps += 1
    return steps


def balances(customer: Any) -> tuple[Decimal, Decimal]:
    wallet = Wallet.objects.get(customer=customer)
    return wallet.paid, wallet.bonus

"""What billing does when accounts says that something became true."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.dispatch import receiver

from accounts.models import Customer
from accounts.signals import customer_created, welcome_due
from billing.books.grants import grant_bonus
from billing.books.ledger import open_wallet


@receiver(customer_created)
def open_the_wallet(sender: Any, *, customer: Customer, **_kwargs: Any) -> None:
    open_wallet(customer=customer)


@receiver(welcome_due)
def grant_the_welcome_credit(sender: Any, *, customer: Customer, now: datetime, **_kwargs: Any) -> None:
    if settings.SIGNUP_CREDIT > 0:
        grant_bonus(
            customer=customer,
            amount=settings.SIGNUP_CREDIT,
            key=f"welcome:{customer.pk}",
            reason="Welcome credit",
            now=now,
        )

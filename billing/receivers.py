"""What billing does when accounts says that something became true."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.dispatch import receiver
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.customers import language_of
from accounts.models import ApiKey, Customer
from accounts.signals import customer_created, key_made, welcome_due
from billing import mail
from billing.grants import grant_bonus
from billing.ledger import open_wallet


@receiver(customer_created)
def open_the_wallet(sender: Any, *, customer: Customer, **_kwargs: Any) -> None:
    open_wallet(customer=customer)


@receiver(key_made)
def tell_of_the_key(sender: Any, *, key: ApiKey, address: str, now: datetime, **_kwargs: Any) -> None:
    with translation.override(language_of(key.customer)):
        text = _(
            "A new API key was made for your account: %(name)s, %(prefix)s… It was asked for from %(address)s. If "
            "that was none of you, delete the key and change your password."
        )
        values = {"name": key.name, "prefix": key.prefix, "address": address or "?"}
        mail.write(
            customer=key.customer,
            about=f"key {key.pk}",
            subject=_("A new API key was made"),
            body=f"{text % values}\n\n{settings.SITE_URL}/console/keys",
            now=now,
        )


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

"""Customers: whose they are, the language they are written to in, and their suspension."""

from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext

from accounts.limits.periods import zone_names
from accounts.models import Customer, Membership, User
from accounts.signals import customer_suspended


def memberships(user: User) -> QuerySet[Membership]:
    """A user's memberships, the oldest first."""
    return Membership.objects.filter(user=user).select_related("customer").order_by("id")


def language_of(customer: Customer) -> str:
    """The language to write to a customer in: the first member's."""
    language = customer.members.order_by("membership__id").values_list("language", flat=True).first()
    return language or settings.LANGUAGE_CODE


def suspend(*, customer: Customer, reason: str, now: datetime, is_told: bool = True) -> None:
    """Stop a customer from spending, from the next request on (a trigger tells the meters).

    Owners are written to, unless what suspends tells them by itself (`is_told` false).
    """
    with transaction.atomic():
        Customer.objects.filter(pk=customer.pk).update(suspended_at=now, suspended_reason=reason)
        customer.suspended_at, customer.suspended_reason = now, reason
        customer_suspended.send(sender=Customer, customer=customer, now=now, is_told=is_told)


def suspension_words(reason: str) -> str:
    """Why a customer is suspended, in the language of the moment where it is a reason of ours."""
    text, bracket, rest = reason.partition(" (")
    return f"{gettext(text)}{bracket}{rest}" if text else ""


def lift_suspension(*, customer: Customer) -> None:
    """Let a customer spend again, from the next request on."""
    Customer.objects.filter(pk=customer.pk).update(suspended_at=None, suspended_reason="")


def set_time_zone(*, customer: Customer, name: str) -> None:
    """Let an account's days begin at midnight in another zone, from the next request on.

    A day that requests were counted on already does not come back, and so does no cap. Raises `ValueError` for a zone
    that there is not.
    """
    if name not in zone_names():
        raise ValueError(f"no zone {name!r}")
    Customer.objects.filter(pk=customer.pk).update(time_zone=name)
    customer.time_zone = name


def customers_with(email: str) -> list[int]:
    """The ids of the customers that have a member with that address."""
    return list(Membership.objects.filter(user__email=email.strip().lower()).values_list("customer_id", flat=True))


def belongs_to(user: User, customer_id: int) -> bool:
    """Whether this is one of the customer's own people, who never decides about its money at the desk."""
    return Membership.objects.filter(user_id=user.pk, customer_id=customer_id).exists()


def belongs_to_group(user: User, group: str) -> bool:
    """Whether this is one of the people of a customer in the group of that name."""
    return Membership.objects.filter(user_id=user.pk, customer__group=group).exists()

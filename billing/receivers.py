"""What billing does when accounts says that something became true."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.dispatch import receiver

from accounts.models import ApiKey, Customer, Invitation, Membership, User
from accounts.people.customers import language_of
from accounts.signals import (
    customer_created,
    customer_suspended,
    invitation_ended,
    invitation_made,
    key_ended,
    key_made,
    member_changed,
    people_change,
    welcome_due,
)
from billing.books.grants import grant_bonus
from billing.books.ledger import lock_wallets, open_wallet
from billing.limits import members
from billing.outbox import people
from billing.outbox.events import record
from billing.outbox.kinds import Fact


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


@receiver(key_made)
def tell_of_a_key(sender: Any, *, key: ApiKey, now: datetime, **_kwargs: Any) -> None:
    subject = f"key:{key.pk}"
    record(
        Fact.KEY_CREATED,
        key=f"{subject}:created",
        subject=subject,
        data={},
        now=now,
        customer_id=key.customer_id,
        about=key,
    )


@receiver(key_ended)
def tell_of_its_end(sender: Any, *, key: ApiKey, now: datetime, **_kwargs: Any) -> None:
    subject = f"key:{key.pk}"
    record(
        Fact.KEY_ENDED,
        key=f"{subject}:ended",
        subject=subject,
        data={},
        now=now,
        customer_id=key.customer_id,
        about=key,
        may_come_again=True,
    )


@receiver(customer_suspended)
def tell_of_a_suspension(
    sender: Any, *, customer: Customer, now: datetime, is_told: bool = True, **_kwargs: Any
) -> None:
    subject = f"account:{customer.pk}"
    data = {"reason": customer.suspended_reason, "locale": language_of(customer), "is_told": is_told}
    record(
        Fact.ACCOUNT_SUSPENDED,
        key=f"{subject}:suspended",
        subject=subject,
        data=data,
        now=now,
        customer_id=customer.pk,
        about=customer,
        may_come_again=True,
    )


@receiver(people_change)
def lock_the_wallet(sender: Any, *, customer_id: int, **_kwargs: Any) -> None:
    """Before the account and its meters, as everywhere."""
    lock_wallets([customer_id])


@receiver(invitation_made)
def write_to_the_invited(sender: Any, *, invitation: Invitation, token: str, now: datetime, **_kwargs: Any) -> None:
    people.invited(invitation, token=token, now=now)


@receiver(invitation_ended)
def do_not_write_to_the_invited(sender: Any, *, invitation: Invitation, now: datetime, **_kwargs: Any) -> None:
    people.uninvited(invitation, now=now)


@receiver(member_changed)
def tell_of_the_member(
    sender: Any, *, member: Membership, what: str, by: User | None, now: datetime, **_kwargs: Any
) -> None:
    people.changed(member, what=what, by=by, now=now)


@receiver(member_changed)
def count_members_anew(sender: Any, *, member: Membership, what: str, now: datetime, **_kwargs: Any) -> None:
    """Keys of one who left may live on under another member."""
    if what in ("left", "removed"):
        for one in Membership.objects.filter(customer_id=member.customer_id, meter__isnull=False):
            members.fill(membership=one, now=now)

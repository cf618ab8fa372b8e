"""From a confirmed address to a customer with a wallet, and to the welcome credit where it is due, once."""

import ipaddress
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, connection, transaction

from accounts.models import Customer, Membership, User, WelcomedAddress
from accounts.people.addresses import is_disposable, mailbox
from accounts.people.inviting import waiting_for
from accounts.signals import customer_created, welcome_due
from core.crypto import keyed_hash


def network_of(address: str) -> str:
    """The /24 or /48 that an address lies in; "" for one that is private, loopback or none, which is not limited."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    mapped = getattr(parsed, "ipv4_mapped", None) or parsed
    if not mapped.is_global:
        return ""
    return str(ipaddress.ip_network(f"{mapped}/{24 if mapped.version == 4 else 48}", strict=False))


def arrive(*, user: User, address: str, now: datetime) -> Customer | None:
    """As `confirm`; None for somebody without an account whose address is invited to another's: they answer first."""
    if not Membership.objects.filter(user=user).exists() and waiting_for(user, now=now).exists():
        return None
    return confirm(user=user, address=address, now=now)


@transaction.atomic
def confirm(*, user: User, address: str, now: datetime) -> Customer:
    """What confirming an address brings: a customer of one's own, unless invited to another's, and the welcome credit.

    `address` is the client's; "" where there is none, as on the command line. Doing it again changes nothing.
    """
    User.objects.select_for_update(no_key=True).get(pk=user.pk)
    membership = Membership.objects.filter(user=user).select_related("customer").order_by("id").first()
    if membership is not None:
        return membership.customer
    customer = Customer.objects.create(name=user.name or user.email.partition("@")[0], created_at=now)
    Membership.objects.create(user=user, customer=customer, role=Membership.Role.OWNER, created_at=now)
    customer_created.send(sender=Customer, customer=customer)
    if _is_welcome(email=user.email, address=address, now=now):
        welcome_due.send(sender=Customer, customer=customer, now=now)
    return customer


def _is_welcome(*, email: str, address: str, now: datetime) -> bool:
    """Whether this mailbox has the credit coming; if so, it is recorded, and it had it then."""
    if is_disposable(email):
        return False
    network = network_of(address)
    network_hash = keyed_hash(network, purpose="network") if network else ""
    if network:
        # One at a time from each network, or two at once would both see room for one.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"welcome:{network_hash}"])
        lately = WelcomedAddress.objects.filter(network_hash=network_hash, granted_at__gt=now - timedelta(days=1))
        if lately.count() >= settings.SIGNUP_CREDITS_PER_NETWORK_PER_DAY:
            return False
    try:
        with transaction.atomic():
            WelcomedAddress.objects.create(
                address_hash=keyed_hash(mailbox(email), purpose="welcome"),
                network_hash=network_hash,
                granted_at=now,
            )
    except IntegrityError:
        return False
    return True

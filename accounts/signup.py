"""From a confirmed address to a customer with a wallet, and to the welcome credit where it is due, once."""

import ipaddress
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, connection, transaction

from accounts.models import Customer, Membership, User, WelcomedAddress
from accounts.signals import customer_created, welcome_due
from chuizi.crypto import keyed_hash

GMAIL = frozenset({"gmail.com", "googlemail.com"})
DISPOSABLE_FILE = Path(__file__).parent / "data" / "disposable_domains.txt"


def normalised(email: str) -> str:
    """The mailbox behind an address: lower case, without a `+tag`, and without dots where Gmail ignores them."""
    local, _, domain = email.strip().lower().rpartition("@")
    local = local.partition("+")[0]
    if domain in GMAIL:
        local, domain = local.replace(".", ""), "gmail.com"
    return f"{local}@{domain}"


@cache
def disposable_domains() -> frozenset[str]:
    lines = DISPOSABLE_FILE.read_text(encoding="ascii").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def is_disposable(email: str) -> bool:
    """Whether the address is at a throw-away provider, or at a name below one."""
    labels = email.rpartition("@")[2].lower().split(".")
    return any(".".join(labels[start:]) in disposable_domains() for start in range(len(labels) - 1))


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
                address_hash=keyed_hash(normalised(email), purpose="welcome"),
                network_hash=network_hash,
                granted_at=now,
            )
    except IntegrityError:
        return False
    return True

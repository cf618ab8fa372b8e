"""How many top-ups may be opened, by whom and from where: stolen cards are tried in numbers."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from allauth.account.models import EmailAddress
from django.conf import settings
from django.db import connection
from django.db.models import Q, Sum
from django.utils.translation import gettext as _

from accounts.models import Customer
from accounts.people.signup import network_of
from core.crypto import keyed_hash
from payments.models import TopUp
from payments.providers import registry

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a top-up may not be opened now: the field at fault, words for the customer, seconds until it may be."""

    message: str
    field: str = "amount"
    retry_after: int | None = None


def network_hash(address: str) -> str:
    """The address's /24 or /48 as a keyed hash; "" for one that is not limited."""
    network = network_of(address)
    return keyed_hash(network, purpose="network") if network else ""


def refusal(*, customer: Customer, amount: Decimal, method: str, network: str, now: datetime) -> Refusal | None:
    """What stands against opening this top-up. The caller holds the customer's wallet, so that openings queue up.

    `network` is a `network_hash`. Lock order: the wallet, then the network's advisory lock.
    """
    if registry.SPECS[method].is_card and not _is_confirmed(customer):
        return Refusal(_("Confirm your email address before you pay by card."), "method")
    mine = TopUp.objects.filter(customer=customer, automatic__isnull=True)
    lately = mine.filter(created_at__gt=now - HOUR).order_by("created_at")
    if lately.count() >= settings.TOPUP_MOST_PER_HOUR:
        return Refusal(
            _("At most %(count)s top-ups an hour can be opened. Wait a while.")
            % {"count": settings.TOPUP_MOST_PER_HOUR},
            retry_after=_until(lately[0].created_at + HOUR, now),
        )
    room = daily_room(customer=customer, now=now, with_unpaid=False)
    if room is not None and amount > room:
        words = _("In the first %(days)s days at most $%(most)s a day can be topped up.")
        values = {"days": settings.TOPUP_NEW_CUSTOMER_DAYS, "most": settings.TOPUP_NEW_CUSTOMER_DAILY}
        return Refusal(words % values, retry_after=3600)
    return _network_refusal(network, now=now)


def daily_room(*, customer: Customer, now: datetime, with_unpaid: bool = True) -> Decimal | None:
    """What a new customer may still top up in these 24 hours, USD, automatic ones counted; None for no limit.

    `with_unpaid` says whether orders count that are open and may be closed to make room.
    """
    most = settings.TOPUP_NEW_CUSTOMER_DAILY
    if not most or not _is_new(customer, now=now):
        return None
    lately = TopUp.objects.filter(customer=customer, created_at__gt=now - DAY)
    counted = lately.filter(Q(state=TopUp.State.PAID) | Q(expires_at__gt=now)).exclude(state=TopUp.State.FAILED)
    if not with_unpaid:
        counted = counted.exclude(state=TopUp.State.OPEN, automatic__isnull=True)
    return Decimal(most - (counted.aggregate(amount=Sum("amount"))["amount"] or 0))


def wants_three_d_secure(*, customer: Customer, method: str) -> bool:
    """The first payment by card is to be confirmed by the card's holder."""
    paid = TopUp.objects.filter(customer=customer, method=method, state=TopUp.State.PAID)
    return registry.SPECS[method].is_card and not paid.exists()


def _network_refusal(network: str, *, now: datetime) -> Refusal | None:
    if not network:
        return None
    # One at a time from each network, or many at once would all see room for one.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"topup:{network}"])
    lately = TopUp.objects.filter(network_hash=network, created_at__gt=now - HOUR).order_by("created_at")
    if lately.count() < settings.TOPUP_MOST_PER_NETWORK_PER_HOUR:
        return None
    return Refusal(
        _("Too many top-ups were opened from your network. Wait a while."),
        retry_after=_until(lately[0].created_at + HOUR, now),
    )


def _is_confirmed(customer: Customer) -> bool:
    return bool(EmailAddress.objects.filter(user__in=customer.members.all(), verified=True).exists())


def _is_new(customer: Customer, *, now: datetime) -> bool:
    return customer.created_at > now - timedelta(days=settings.TOPUP_NEW_CUSTOMER_DAYS)


def _until(moment: datetime, now: datetime) -> int:
    return max(1, int((moment - now).total_seconds()) + 1)

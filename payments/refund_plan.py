"""Which top-ups a refund goes back to: within the provider's window, not invoiced first, then the newest."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db.models import Sum

from billing import invoices
from billing.models import RefundRequest
from billing.money import ZERO, cents, floor_cents
from payments.models import RefundPart, TopUp


@dataclass(frozen=True, slots=True)
class Share:
    """What goes back to one top-up: USD at 2 places, and in the currency it was paid in. No top-up: by bank."""

    topup: TopUp | None
    amount: Decimal
    charge_amount: Decimal
    charge_currency: str


def charge_of(topup: TopUp, amount: Decimal) -> Decimal:
    """What is paid back of a top-up for `amount` USD more, in its currency (the formula of ledger.md).

    The caller holds the top-up's lock, or only shows it.
    """
    if topup.charge_currency == "USD":
        return amount
    after = topup.refunded + amount
    return floor_cents(topup.charge_amount * after / topup.amount) - topup.refunded_charge


def window_of(method: str) -> timedelta:
    """How long after a payment its provider still refunds it."""
    return timedelta(days=settings.REFUND_WINDOW_DAYS[method])


def plan(
    *,
    customer_id: int,
    amount: Decimal,
    now: datetime,
    invoiced: frozenset[int] | None = None,
    first: frozenset[int] = frozenset(),
) -> list[Share]:
    """Spread `amount` USD over a customer's top-ups; what they do not cover is left to a bank transfer.

    `invoiced` are top-ups of which something is invoiced or is to be (default: those there are). `first` are top-ups
    that come before all others, as those that a card network reported as fraud.
    """
    if invoiced is None:
        invoiced = invoices.claimed(customer_id=customer_id)
    planned = dict(
        RefundPart.objects.filter(refund__customer_id=customer_id, state=RefundPart.State.PLANNED)
        .values_list("topup_id")
        .annotate(Sum("amount"))
    )
    topups = TopUp.objects.filter(customer_id=customer_id, state=TopUp.State.PAID, disputed=0)
    reachable = [t for t in topups if t.paid_at is not None and t.paid_at > now - window_of(t.method)]
    reachable.sort(key=lambda t: (t.pk not in first, t.pk in invoiced, -(t.paid_at or now).timestamp(), -t.pk))
    shares, left = [], amount
    for topup in reachable:
        share = cents(min(left, topup.amount - topup.refunded - planned.get(topup.pk, ZERO)))
        if share > 0:
            shares.append(Share(topup, share, charge_of(topup, share), topup.charge_currency))
            left -= share
    if left > 0:
        shares.append(Share(None, left, left, "USD"))
    return shares


def frozen_by_topup(*, customer_id: int, now: datetime, invoiced: frozenset[int] | None = None) -> dict[int, Decimal]:
    """What open refund requests will take from each top-up, in the currency it was paid in, 2 places.

    Parts that are being sent stand in the top-ups' own sums already.
    """
    frozen: dict[int, Decimal] = defaultdict(lambda: ZERO)
    planned = RefundPart.objects.filter(refund__customer_id=customer_id, state=RefundPart.State.PLANNED)
    for part in planned.select_related("topup"):
        if part.topup is not None:
            frozen[part.topup.pk] += charge_of(part.topup, part.amount)
    open_requests = RefundRequest.objects.filter(customer_id=customer_id, state__in=RefundRequest.OPEN)
    waiting = sum((request.left for request in open_requests), ZERO) - sum((p.amount for p in planned), ZERO)
    if waiting > 0:
        for share in plan(customer_id=customer_id, amount=waiting, now=now, invoiced=invoiced):
            if share.topup is not None:
                frozen[share.topup.pk] += share.charge_amount
    return {topup_id: cents(amount) for topup_id, amount in frozen.items()}

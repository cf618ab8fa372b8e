"""Which top-ups a refund goes back to: within the provider's window, not invoiced first, then the newest.

What is older goes by bank, and is taken from its top-up all the same: it cannot be invoiced any more.
"""

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
    """What goes back of one top-up: USD at 2 places, and in the currency it was paid in.

    `by_bank`: its provider no longer pays back; no top-up: what none of them covers goes by bank too.
    """

    topup: TopUp | None
    amount: Decimal
    charge_amount: Decimal
    charge_currency: str
    by_bank: bool = False


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
    """Spread `amount` USD over a customer's top-ups; those whose provider no longer pays back come last, by bank.

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
    paid = [(t.paid_at <= now - window_of(t.method), t.paid_at, t) for t in topups if t.paid_at is not None]
    paid.sort(key=lambda one: (one[0], one[2].pk not in first, one[2].pk in invoiced, -one[1].timestamp(), -one[2].pk))
    shares, left = [], amount
    for is_late, _paid_at, topup in paid:
        share = cents(min(left, topup.amount - topup.refunded - planned.get(topup.pk, ZERO)))
        if share > 0:
            shares.append(Share(topup, share, charge_of(topup, share), topup.charge_currency, by_bank=is_late))
            left -= share
    if left > 0:
        shares.append(Share(None, left, left, "USD", by_bank=True))
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

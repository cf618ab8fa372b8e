"""Which top-ups a refund goes back to: within the provider's window, not invoiced first, then the newest.

What is older, and what a dispute leaves of a payment, goes by bank, and is taken from its top-up all the same: it
cannot be invoiced any more.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db.models import Sum

from billing import invoices
from billing.books.money import ZERO, cents
from billing.models import RefundRequest
from payments.models import RefundPart, TopUp
from payments.topups.shares import back_of


@dataclass(frozen=True, slots=True)
class Share:
    """What goes back of one top-up: USD at 2 places, and in the currency it was paid in.

    `by_bank`: its provider does not pay it back; no top-up: what none of them covers goes by bank too.
    """

    topup: TopUp | None
    amount: Decimal
    charge_amount: Decimal
    charge_currency: str
    by_bank: bool = False


def is_late(part: RefundPart) -> bool:
    """Whether the part sends back a payment because it came too late."""
    refund, topup = part.refund, part.topup
    is_of_it = topup is not None and refund.reference == topup.number
    return is_of_it and refund.origin == RefundRequest.Origin.LATE_PAYMENT


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
    """Spread `amount` USD over a customer's top-ups; those whose provider does not pay back come last, by bank.

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
    topups = TopUp.objects.filter(customer_id=customer_id, state=TopUp.State.PAID)
    paid = [
        (t.disputed > 0 or t.paid_at <= now - window_of(t.method), t.paid_at, t)
        for t in topups
        if t.paid_at is not None
    ]
    paid.sort(key=lambda one: (one[0], one[2].pk not in first, one[2].pk in invoiced, -one[1].timestamp(), -one[2].pk))
    shares, left = [], amount
    for by_bank, _paid_at, topup in paid:
        share = cents(min(left, topup.amount - topup.refunded - topup.disputed - planned.get(topup.pk, ZERO)))
        if share > 0:
            shares.append(Share(topup, share, back_of(topup, share).charge, topup.charge_currency, by_bank=by_bank))
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
    for part in planned.select_related("topup", "refund"):
        if part.topup is not None:
            frozen[part.topup.pk] += back_of(part.topup, part.amount, is_late=is_late(part)).charge
    open_requests = RefundRequest.objects.filter(customer_id=customer_id, state__in=RefundRequest.OPEN)
    waiting = sum((request.left for request in open_requests), ZERO) - sum((p.amount for p in planned), ZERO)
    if waiting > 0:
        for share in plan(customer_id=customer_id, amount=waiting, now=now, invoiced=invoiced):
            if share.topup is not None:
                frozen[share.topup.pk] += share.charge_amount
    return {topup_id: cents(amount) for topup_id, amount in frozen.items()}

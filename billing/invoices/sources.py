"""What can be invoiced. Billing knows no provider: payments tells what was paid, and what went back of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import F, Sum

from billing.books.money import cents
from billing.models import InvoiceAllocation, InvoiceRequest

NOTHING = Decimal("0.00")


@dataclass(frozen=True, slots=True)
class Source:
    """A payment that arrived; amounts at 2 places in `currency`, the one charged.

    `source_id` is its id in the app that tells of it, `label` its order number and `method` a code, not a text.
    """

    source_id: int
    label: str
    method: str
    method_name: str
    """In the language that is active."""
    paid_at: datetime
    currency: str
    charged: Decimal
    refunded: Decimal
    frozen: Decimal
    """By refund requests that are open."""
    disputed: Decimal

    @property
    def left(self) -> Decimal:
        """What neither went back nor is to go back."""
        return self.charged - self.refunded - self.frozen - self.disputed


Teller = Callable[[int, datetime, frozenset[int]], list[Source]]
"""(customer's id, now, ids of payments that refunds should spare) -> every payment of the customer that arrived."""

_tellers: list[Teller] = []


def register(teller: Teller) -> None:
    """Let an app tell of payments; a repeat changes nothing. One app alone, so that ids are never mistaken."""
    if teller in _tellers:
        return
    if _tellers:
        raise RuntimeError("payments are told of already")
    _tellers.append(teller)


def all_of(*, customer_id: int, now: datetime) -> list[Source]:
    """A customer's payments, the oldest first."""
    spared = claimed(customer_id=customer_id)
    found = [source for teller in _tellers for source in teller(customer_id, now, spared)]
    return sorted(found, key=lambda source: (source.paid_at, source.source_id))


def claimed(*, customer_id: int) -> frozenset[int]:
    """Ids of payments of which something is invoiced or asked for: refunds take from the others first."""
    rows = InvoiceAllocation.objects.filter(
        request__customer_id=customer_id, request__state__in=InvoiceRequest.CLAIMING, amount__gt=F("credited")
    )
    return frozenset(rows.values_list("source_id", flat=True))


def claims(*, customer_id: int, currency: str, without: int | None = None) -> dict[int, tuple[Decimal, Decimal]]:
    """By payment: (invoiced and not credited, asked for). `without` leaves one request's own out."""
    rows = (
        InvoiceAllocation.objects.filter(
            request__customer_id=customer_id, request__currency=currency, request__state__in=InvoiceRequest.CLAIMING
        )
        .exclude(request_id=without)
        .values_list("source_id", "request__state")
        .annotate(claim=Sum(F("amount") - F("credited")))
    )
    found: dict[int, tuple[Decimal, Decimal]] = {}
    for source_id, state, amount in rows:
        invoiced, requested = found.get(source_id, (NOTHING, NOTHING))
        if state == InvoiceRequest.State.REQUESTED:
            requested += cents(amount)
        else:
            invoiced += cents(amount)
        found[source_id] = (invoiced, requested)
    return found

"""What was paid and may be invoiced: of each payment, in each currency, in each month, and what is taken of which."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.utils.translation import gettext as _

from accounts.limits.periods import zone_of
from accounts.models import Customer
from billing.invoices.core import InvoiceError
from billing.invoices.sources import NOTHING, Source, all_of, claims


@dataclass(frozen=True, slots=True)
class Invoiceable:
    """What of one payment may be invoiced, and why; amounts at 2 places in the payment's currency."""

    source: Source
    invoiced: Decimal
    """On documents, and not credited."""
    requested: Decimal

    @property
    def amount(self) -> Decimal:
        return max(NOTHING, self.source.left - self.invoiced - self.requested)


@dataclass(frozen=True, slots=True)
class Sum:
    """What may be invoiced in one currency, and the sums that explain it. Bonus was never paid and is in none.

    `amount` is the sum of what each payment allows, so it is never less than the difference of the other sums.
    """

    currency: str
    amount: Decimal
    charged: Decimal
    refunded: Decimal
    frozen: Decimal
    disputed: Decimal
    invoiced: Decimal
    requested: Decimal
    payments: tuple[Invoiceable, ...]
    """The oldest first, which is also the order in which they are invoiced."""


def currencies(*, customer_id: int, now: datetime) -> list[str]:
    """The currencies a customer has paid in, by name."""
    return sorted({source.currency for source in all_of(customer_id=customer_id, now=now)})


def invoiceable(*, customer_id: int, currency: str, now: datetime) -> Sum:
    """Per payment `charged - refunded - frozen - disputed - invoiced - requested`, never below zero.

    The rule is in docs/ledger.md, "What can be invoiced".
    """
    return summed(currency, payments_of(customer_id, currency, now=now))


@dataclass(frozen=True, slots=True)
class Month:
    """Payments of a month of the account's zone of which something can be invoiced, in one currency."""

    first: date
    currency: str
    payments: tuple[Invoiceable, ...]

    @property
    def name(self) -> str:
        """Such as 2026-10."""
        return f"{self.first:%Y-%m}"

    @property
    def amount(self) -> Decimal:
        return sum((payment.amount for payment in self.payments), NOTHING)


def sums_of(customer: Customer, *, now: datetime) -> list[Sum]:
    """What may be invoiced in each currency that the customer has paid in."""
    return [
        invoiceable(customer_id=customer.pk, currency=currency, now=now)
        for currency in currencies(customer_id=customer.pk, now=now)
    ]


def months_of(customer: Customer, *, now: datetime) -> list[Month]:
    """The months of which something can be invoiced, the newest first."""
    return months(*sums_of(customer, now=now), zone=customer.time_zone)


def months(*sums: Sum, zone: str) -> list[Month]:
    """The months of which something can be invoiced, the newest first."""
    found: dict[tuple[date, str], list[Invoiceable]] = {}
    for one in sums:
        for payment in one.payments:
            if payment.amount > 0:
                first = payment.source.paid_at.astimezone(zone_of(zone)).date().replace(day=1)
                found.setdefault((first, one.currency), []).append(payment)
    return [Month(*key, tuple(found[key])) for key in sorted(found, reverse=True)]


def taken(amount: Decimal | None, found: Sum, *, picked: Sequence[str] = ()) -> list[tuple[Source, Decimal]]:
    """How much is taken of which payment, the oldest first: of the `picked` order numbers, or of all.

    No `amount`: all that is left of the picked ones. Raises `InvoiceError`.
    """
    payments = found.payments
    if picked:
        known = {payment.source.label: payment for payment in payments}
        for label in picked:
            if label not in known or known[label].amount <= 0:
                words = _("Nothing is left to invoice of the payment %(number)s.") % {"number": label[:64]}
                raise InvoiceError(words, field="payments")
        payments = tuple(payment for payment in payments if payment.source.label in picked)
    most = sum((payment.amount for payment in payments), NOTHING)
    amount = most if amount is None else amount
    if amount > most:
        raise InvoiceError(
            _("At most %(most)s %(currency)s can be invoiced now.") % {"most": most, "currency": found.currency}
        )
    shares, left = [], amount
    for payment in payments:
        if (share := min(left, payment.amount)) > 0:
            shares.append((payment.source, share))
            left -= share
    return shares


def chosen_currency(wanted: str, *, customer_id: int, now: datetime) -> str:
    """The one that is named, or the only one paid in; raises `InvoiceError`."""
    paid_in = currencies(customer_id=customer_id, now=now)
    if not paid_in:
        raise InvoiceError(_("There is no payment to invoice."))
    if not wanted.strip():
        if len(paid_in) > 1:
            raise InvoiceError(
                _("You paid in %(currencies)s: choose one.") % {"currencies": ", ".join(paid_in)}, field="currency"
            )
        return paid_in[0]
    if wanted.strip().upper() not in paid_in:
        raise InvoiceError(
            _("Choose a currency you paid in: %(currencies)s.") % {"currencies": ", ".join(paid_in)}, field="currency"
        )
    return wanted.strip().upper()


def free_shares(
    *, customer_id: int, currency: str, wanted: dict[int, Decimal], now: datetime
) -> list[tuple[Source, Decimal]]:
    """What of the wanted amounts, by payment, can be invoiced now; the caller holds the wallet's lock."""
    payments = payments_of(customer_id, currency, now=now)
    shares = [(p.source, min(p.amount, wanted.get(p.source.source_id, NOTHING))) for p in payments]
    return [(source, amount) for source, amount in shares if amount > 0]


def payments_of(
    customer_id: int, currency: str, *, now: datetime, without: int | None = None
) -> tuple[Invoiceable, ...]:
    taken = claims(customer_id=customer_id, currency=currency, without=without)
    return tuple(
        Invoiceable(source, *taken.get(source.source_id, (NOTHING, NOTHING)))
        for source in all_of(customer_id=customer_id, now=now)
        if source.currency == currency
    )


def summed(currency: str, payments: tuple[Invoiceable, ...]) -> Sum:
    return Sum(
        currency=currency,
        amount=sum((p.amount for p in payments), NOTHING),
        charged=sum((p.source.charged for p in payments), NOTHING),
        refunded=sum((p.source.refunded for p in payments), NOTHING),
        frozen=sum((p.source.frozen for p in payments), NOTHING),
        disputed=sum((p.source.disputed for p in payments), NOTHING),
        invoiced=sum((p.invoiced for p in payments), NOTHING),
        requested=sum((p.requested for p in payments), NOTHING),
        payments=payments,
    )

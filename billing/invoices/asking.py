"""The customer's side: how much can be invoiced and why, asking for it, and taking it back."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Prefetch, QuerySet
from django.utils.translation import gettext as _

from accounts.models import Customer, User
from accounts.people.customers import language_of
from billing.books.ledger import lock_wallets
from billing.invoices.buyer.details import Details, checked
from billing.invoices.core import INVOICES, InvoiceError, State, language, locked, move, must_not_be_own
from billing.invoices.facts import tell
from billing.invoices.sources import NOTHING, Source, all_of, claims
from billing.models import Document, InvoiceAllocation, InvoiceRequest
from billing.outbox.kinds import Fact
from billing.requests.steps import DAYS
from billing.requests.workdays import due_after

FAPIAO_CURRENCY = "CNY"


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
    return _sum(currency, _payments(customer_id, currency, now=now))


def ask(
    *,
    customer: Customer,
    amount: object,
    company_name: str,
    now: datetime,
    tax_id: str = "",
    delivery: str = InvoiceRequest.Delivery.EMAIL,
    email: str = "",
    mailing_address: str = "",
    currency: str = "",
    invoice_type: str = InvoiceRequest.Type.COMMERCIAL,
    buyer_kind: str = InvoiceRequest.BuyerKind.COMPANY,
    country: str = "",
    billing_address: str = "",
    remark: str = "",
    tax_id_confirmed: bool = False,
    asked_by: User | None = None,
    entered_by: User | None = None,
    reference: str = "",
    locale: str = "",
    asked_from: str = "",
    in_transaction: Callable[[InvoiceRequest], None] | None = None,
) -> InvoiceRequest:
    """Open a request over `amount` in `currency` (default: the only one paid in), taken from the oldest payments.

    `entered_by` is staff who type in what came by mail, `reference` that mail; `locale` is the customer's language
    unless given; `asked_from` the IP address that it came from, for the mail about it. Raises `InvoiceError` naming the
    field; nothing is written then. Two who ask at once never get the same money: the wallet's lock is held.
    """
    details = checked(
        company_name=company_name,
        tax_id=tax_id,
        delivery=delivery,
        email=email,
        mailing_address=mailing_address,
        invoice_type=invoice_type,
        buyer_kind=buyer_kind,
        country=country,
        billing_address=billing_address,
        remark=remark,
        tax_id_confirmed=tax_id_confirmed or entered_by is not None,
    )
    asked = checked_amount(amount)
    if entered_by is not None:
        must_not_be_own(entered_by, customer)
    with transaction.atomic():
        lock_wallets([customer.pk])
        if entered_by is not None:
            INVOICES.must_be_new(customer, reference)
        else:
            _must_not_be_often(customer, now=now)
        currency = _currency(currency, customer_id=customer.pk, now=now)
        payments = _payments(customer.pk, currency, now=now)
        request = open_request(
            customer=customer,
            details=details,
            currency=currency,
            shares=_spread(asked, payments, currency),
            locale=locale or language_of(customer),
            now=now,
            asked_by=asked_by,
            entered_by=entered_by,
            reference=reference.strip()[:200],
        )
        if in_transaction is not None:
            in_transaction(request)
        tell(request, Fact.INVOICE_ASKED, now=now, asked_from=asked_from)
    return request


def cancel(*, request_id: int, now: datetime) -> InvoiceRequest:
    """The customer takes the request back before a document is made; raises `NotMovable`."""
    with locked(request_id) as request:
        move(request, State.CANCELLED, now=now)
    return request


def checked_amount(value: object) -> Decimal:
    """An amount of at least a cent with at most 2 decimals; raises `InvoiceError`."""
    return INVOICES.checked_amount(value, words=_("Enter an amount with at most two decimals."))


def open_request(
    *,
    customer: Customer,
    details: Details,
    currency: str,
    shares: Iterable[tuple[Source, Decimal]],
    locale: str,
    now: datetime,
    asked_by: User | None = None,
    entered_by: User | None = None,
    reference: str = "",
    replaces: InvoiceRequest | None = None,
) -> InvoiceRequest:
    """Write a request and its allocations; the caller holds the wallet's lock and knows that the shares are free."""
    shares = list(shares)
    if details.invoice_type != InvoiceRequest.Type.COMMERCIAL and currency != FAPIAO_CURRENCY:
        raise InvoiceError(_("A fapiao is made for what was paid in CNY."), field="invoice_type")
    request = InvoiceRequest.objects.create(
        customer=customer,
        number=INVOICES.new_number(),
        amount=sum((amount for _source, amount in shares), NOTHING),
        currency=currency,
        locale=language(locale),
        asked_by=asked_by,
        entered_by=entered_by,
        reference=reference,
        replaces=replaces,
        created_at=now,
        changed_at=now,
        due_at=due_after(now, days=DAYS),
        invoice_type=details.invoice_type,
        buyer_kind=details.buyer_kind,
        company_name=details.company_name,
        tax_id=details.tax_id,
        tax_id_is_doubtful=details.tax_id_is_doubtful,
        country=details.country,
        billing_address=details.billing_address,
        delivery=details.delivery,
        email=details.email,
        mailing_address=details.mailing_address,
        remark=details.remark,
    )
    allocate(request, shares)
    return request


def allocate(request: InvoiceRequest, shares: Iterable[tuple[Source, Decimal]]) -> None:
    """Take these sums, in the request's currency, from what was paid: nobody else can invoice them."""
    InvoiceAllocation.objects.bulk_create(
        InvoiceAllocation(
            request=request,
            source_id=source.source_id,
            label=source.label,
            method=source.method,
            paid_at=source.paid_at,
            amount=amount,
        )
        for source, amount in shares
    )


def fit_again(request: InvoiceRequest, *, now: datetime) -> None:
    """Refunds may have eaten into a locked request since it was asked: take what is missing from other payments.

    Raises `InvoiceError` with what is left if they do not cover it.
    """
    payments = _payments(request.customer_id, request.currency, now=now, without=request.pk)
    free = {payment.source.source_id: payment for payment in payments}
    kept: list[tuple[Source, Decimal]] = []
    for allocation in request.allocations.order_by("paid_at", "source_id"):
        payment = free.pop(allocation.source_id, None)
        if payment is not None and (share := min(allocation.amount, payment.amount)) > 0:
            kept.append((payment.source, share))
    missing = request.amount - sum((amount for _source, amount in kept), NOTHING)
    if missing <= 0:
        return
    most = _sum(request.currency, payments).amount
    if request.amount > most:
        raise InvoiceError(
            _("Money went back since this was asked: at most %(most)s %(currency)s can be invoiced.")
            % {"most": most, "currency": request.currency}
        )
    taken = {source.source_id: amount for source, amount in kept}
    shares = []
    for payment in payments:
        own = taken.get(payment.source.source_id, NOTHING)
        more = min(missing, payment.amount - own)
        missing -= more
        if own + more > 0:
            shares.append((payment.source, own + more))
    request.allocations.all().delete()
    allocate(request, shares)


def free_shares(
    *, customer_id: int, currency: str, wanted: dict[int, Decimal], now: datetime
) -> list[tuple[Source, Decimal]]:
    """What of the wanted amounts, by payment, can be invoiced now; the caller holds the wallet's lock."""
    payments = _payments(customer_id, currency, now=now)
    shares = [(p.source, min(p.amount, wanted.get(p.source.source_id, NOTHING))) for p in payments]
    return [(source, amount) for source, amount in shares if amount > 0]


def _payments(customer_id: int, currency: str, *, now: datetime, without: int | None = None) -> tuple[Invoiceable, ...]:
    taken = claims(customer_id=customer_id, currency=currency, without=without)
    return tuple(
        Invoiceable(source, *taken.get(source.source_id, (NOTHING, NOTHING)))
        for source in all_of(customer_id=customer_id, now=now)
        if source.currency == currency
    )


def _sum(currency: str, payments: tuple[Invoiceable, ...]) -> Sum:
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


def _must_not_be_often(customer: Customer, *, now: datetime) -> None:
    own = InvoiceRequest.objects.filter(customer=customer, entered_by__isnull=True)
    INVOICES.must_not_be_often(own, open_states=(State.REQUESTED,), now=now)


def _currency(wanted: str, *, customer_id: int, now: datetime) -> str:
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


def _spread(amount: Decimal, payments: tuple[Invoiceable, ...], currency: str) -> list[tuple[Source, Decimal]]:
    most = _sum(currency, payments).amount
    if amount > most:
        raise InvoiceError(
            _("At most %(most)s %(currency)s can be invoiced now.") % {"most": most, "currency": currency}
        )
    shares, left = [], amount
    for payment in payments:
        if (share := min(left, payment.amount)) > 0:
            shares.append((payment.source, share))
            left -= share
    return shares


def of_customer(customer: Customer) -> QuerySet[InvoiceRequest]:
    """A customer's invoice requests with what is shown of them; the documents without their files."""
    documents = Prefetch("documents", Document.objects.defer("content").order_by("id"))
    return InvoiceRequest.objects.filter(customer=customer).prefetch_related(documents)

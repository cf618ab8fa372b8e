"""The customer's side: asking for an invoice, and taking the request back."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Prefetch, QuerySet
from django.utils.translation import gettext as _

from accounts.models import Customer, User
from accounts.people.customers import language_of
from billing.books.ledger import lock_wallets
from billing.invoices.buyer import saved
from billing.invoices.buyer.details import Details, checked
from billing.invoices.core import INVOICES, InvoiceError, State, language, locked, move, must_not_be_own
from billing.invoices.facts import tell
from billing.invoices.payments import chosen_currency, invoiceable, payments_of, summed, taken
from billing.invoices.sources import NOTHING, Source
from billing.models import Document, InvoiceAllocation, InvoiceRequest
from billing.outbox.kinds import Fact
from billing.requests.steps import DAYS, Faults
from billing.requests.workdays import due_after

FAPIAO_CURRENCY = "CNY"


def ask(
    *,
    customer: Customer,
    amount: object = None,
    payments: Sequence[str] = (),
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

    `payments` are order numbers: those payments alone, the whole of them where no `amount` is named.
    `entered_by` is staff who type in what came by mail, `reference` that mail; `locale` is the customer's language
    unless given; `asked_from` the IP address that it came from, for the mail about it. Raises `InvoiceError` naming the
    first field and in `faults` all that is wrong; nothing is written then. Two who ask at once never get the same
    money: the wallet's lock is held.
    """
    faults = Faults()
    details: Details
    shares: list[tuple[Source, Decimal]]
    asked: Decimal | None = None
    with faults:
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
    with faults:
        if not (payments and amount in ("", None)):
            asked = checked_amount(amount)
    if entered_by is not None:
        must_not_be_own(entered_by, customer)
    with transaction.atomic():
        lock_wallets([customer.pk])
        if entered_by is not None:
            INVOICES.must_be_new(customer, reference)
        else:
            _must_not_be_often(customer, now=now)
        with faults:
            currency = chosen_currency(currency, customer_id=customer.pk, now=now)
            if invoice_type != InvoiceRequest.Type.COMMERCIAL and currency != FAPIAO_CURRENCY:
                raise InvoiceError(_("A fapiao is made for what was paid in CNY."), field="invoice_type")
        with faults:
            found = invoiceable(customer_id=customer.pk, currency=currency, now=now)
            shares = taken(asked, found, picked=payments)
        faults.raise_all()
        request = open_request(
            customer=customer,
            details=details,
            currency=currency,
            shares=shares,
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
    saved.keep(customer=customer, details=details, by=asked_by, now=now)
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
    payments = payments_of(request.customer_id, request.currency, now=now, without=request.pk)
    free = {payment.source.source_id: payment for payment in payments}
    kept: list[tuple[Source, Decimal]] = []
    for allocation in request.allocations.order_by("paid_at", "source_id"):
        payment = free.pop(allocation.source_id, None)
        if payment is not None and (share := min(allocation.amount, payment.amount)) > 0:
            kept.append((payment.source, share))
    missing = request.amount - sum((amount for _source, amount in kept), NOTHING)
    if missing <= 0:
        return
    most = summed(request.currency, payments).amount
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


def _must_not_be_often(customer: Customer, *, now: datetime) -> None:
    own = InvoiceRequest.objects.filter(customer=customer, entered_by__isnull=True)
    INVOICES.must_not_be_often(own, open_states=(State.REQUESTED,), now=now)


def of_customer(customer: Customer) -> QuerySet[InvoiceRequest]:
    """A customer's invoice requests with what is shown of them; the documents without their files."""
    documents = Prefetch("documents", Document.objects.defer("content").order_by("id"))
    return InvoiceRequest.objects.filter(customer=customer).prefetch_related(documents)

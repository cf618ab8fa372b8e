"""Making documents: numbers without gaps from a locked series, and what was true on that day, kept for good."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, OperationalError, transaction
from django.db.models import QuerySet, Sum
from django.utils import translation
from django.utils.translation import gettext as _
from psycopg.errors import LockNotAvailable, QueryCanceled, UniqueViolation

from accounts.models import User
from billing.books.money import net_of
from billing.invoices.core import CHINESE, InvoiceError
from billing.invoices.papers.drawing import render
from billing.invoices.papers.files import TYPES, kind_of
from billing.invoices.sources import all_of
from billing.models import Document, InvoiceAllocation, InvoiceRequest, InvoiceSeries
from billing.months.periods import day_of

Kind = Document.Kind
MOST_WAITS = 5
"""How many times a number is waited for as long as a lock or a query may take, before staff are asked to try again:
for 20 to 25 s. A query that waits behind several others waits for a lock more than once.
"""
TOO_LONG = (LockNotAvailable, QueryCanceled)


def series_in_use(*, currency: str) -> QuerySet[InvoiceSeries]:
    """The series a document in a currency may come from: its own before those for any, the newest first."""
    return InvoiceSeries.objects.filter(is_active=True, currency__in=["", currency]).order_by("-currency", "-id")


def series_for(*, currency: str) -> InvoiceSeries:
    """The series that is taken unless staff choose; raises `InvoiceError` (field `series`) if none is in use."""
    series = series_in_use(currency=currency).first()
    if series is None:
        raise InvoiceError(
            _("No invoice series is in use for %(currency)s: enter the seller's details first.")
            % {"currency": currency},
            field="series",
        )
    return series


def seller_in_use(*, currency: str, locale: str) -> dict[str, str]:
    """The seller whom an invoice in a currency would name now; our name alone where no series is in use."""
    series = series_in_use(currency=currency).first()
    if series is None:
        return dict.fromkeys(("address", "tax_id", "contact", "tax_name", "tax_note"), "") | {"name": "Chuizi"}
    return seller_of(series, locale)


@contextmanager
def turn(series: InvoiceSeries) -> Iterator[InvoiceSeries]:
    """A transaction in which the series' next number is ours: its row stays locked, and is read anew.

    Taken before the request's lock and the wallet's, so that who waits for a number, or draws with it, holds up no
    customer. Raises `InvoiceError` (field `series`) if others take numbers for too long.
    """
    with transaction.atomic():
        yield _lock(series)


def _lock(series: InvoiceSeries) -> InvoiceSeries:
    for _wait in range(MOST_WAITS):
        try:
            with transaction.atomic():
                return InvoiceSeries.objects.select_for_update(no_key=True).get(pk=series.pk)
        except OperationalError as error:
            if not isinstance(error.__cause__, TOO_LONG):
                raise
    raise InvoiceError(_("Others take numbers of this series just now: try again in a moment."), field="series")


def make(
    request: InvoiceRequest,
    *,
    shares: list[tuple[InvoiceAllocation, Decimal]],
    series: InvoiceSeries,
    by: User,
    now: datetime,
    refers_to: Document | None = None,
    reason: str = "",
) -> Document:
    """Our own document with the series' next number: an invoice, or with `refers_to` the credit note that takes
    the shares of it back. In the caller's transaction, best in the series' `turn`, which waits without other locks.
    """
    series = _lock(series)
    document = draft(request, shares=shares, series=series, by=by, now=now, refers_to=refers_to, reason=reason)
    content = render(document)
    document.content, document.sha256 = content, hashlib.sha256(content).hexdigest()
    document.content_type, document.file_name = TYPES["pdf"], f"{document.number}.pdf"
    document.save(force_insert=True)
    series.next_number += 1
    series.save(update_fields=["next_number"])
    return document


def draft(
    request: InvoiceRequest,
    *,
    shares: list[tuple[InvoiceAllocation, Decimal]],
    series: InvoiceSeries,
    by: User,
    now: datetime,
    refers_to: Document | None = None,
    reason: str = "",
) -> Document:
    """The document that would be made now; nothing is written. Drawn in the series' `turn` before a wallet is locked,
    it need not be drawn again under that lock (`pdf.render` remembers), unless the shares changed meanwhile.
    """
    sign = 1 if refers_to is None else -1
    rate = refers_to.tax_rate if refers_to is not None and refers_to.tax_rate is not None else series.tax_rate
    gross = sign * sum((amount for _allocation, amount in shares), Decimal("0.00"))
    net = net_of(gross, rate=rate) if refers_to is None else _net_of_credit(refers_to, gross, rate)
    return Document(
        kind=Kind.INVOICE if refers_to is None else Kind.CREDIT_NOTE,
        number=f"{series.prefix}{series.next_number:06d}",
        series=series,
        sequence=series.next_number,
        gross=gross,
        net=net,
        tax=gross - net,
        tax_rate=rate,
        seller=seller_of(series, request.locale) if refers_to is None else refers_to.seller,
        **_common(request, shares, sign, by=by, now=now, refers_to=refers_to, reason=reason),
    )


def record(
    request: InvoiceRequest,
    *,
    shares: list[tuple[InvoiceAllocation, Decimal]],
    fapiao_number: str,
    content: bytes,
    by: User,
    now: datetime,
    refers_to: Document | None = None,
    reason: str = "",
) -> Document:
    """A document that the tax platform made, by its number: a fapiao, or with `refers_to` its red letter.

    The file may be missing for a red letter alone. Raises `InvoiceError` (fields `fapiao_number`, `file`).
    """
    number = "".join(fapiao_number.split())
    if not (number.isascii() and number.isdigit() and 8 <= len(number) <= 20):
        raise InvoiceError(_("A fapiao number has 8 to 20 digits."), field="fapiao_number")
    kind = kind_of(content) if content or refers_to is None else ""
    sign = 1 if refers_to is None else -1
    try:
        with transaction.atomic():
            return Document.objects.create(
                kind=Kind.FAPIAO if refers_to is None else Kind.RED_LETTER,
                number=number,
                fapiao_number=number,
                gross=sign * sum((amount for _allocation, amount in shares), Decimal("0.00")),
                content=content,
                content_type=TYPES.get(kind, ""),
                file_name=f"{number}.{kind}" if kind else "",
                sha256=hashlib.sha256(content).hexdigest() if content else "",
                **_common(request, shares, sign, by=by, now=now, refers_to=refers_to, reason=reason),
            )
    except IntegrityError as error:
        if not isinstance(error.__cause__, UniqueViolation):
            raise
        raise InvoiceError(_("This fapiao number is recorded already."), field="fapiao_number") from error


def seller_of(series: InvoiceSeries, locale: str) -> dict[str, str]:
    """The seller and the words on tax in a language; what has no Chinese stays English."""
    names = ("seller_name", "seller_address", "tax_name", "tax_note")
    is_chinese = locale == CHINESE
    said = {
        name: (getattr(series, f"{name}_zh") if is_chinese else "") or getattr(series, f"{name}_en") for name in names
    }
    return {
        "name": said["seller_name"],
        "address": said["seller_address"],
        "tax_id": series.seller_tax_id,
        "contact": series.seller_contact,
        "tax_name": said["tax_name"],
        "tax_note": said["tax_note"],
    }


def buyer_of(request: InvoiceRequest) -> dict[str, str]:
    """Whom a document names, as it is kept in the document."""
    return {
        "kind": request.buyer_kind,
        "name": request.company_name,
        "tax_id": request.tax_id,
        "country": request.country,
        "billing_address": request.billing_address,
        "mailing_address": request.mailing_address,
        "email": request.email,
        "remark": request.remark,
    }


def _net_of_credit(first: Document, gross: Decimal, rate: Decimal) -> Decimal:
    """What all credit notes together take, less what those before took: so they are the invoice to the cent however it
    is split, and none changes its sign (rounded each by itself, a hundred of 0.01 take 0.17 of net too much).
    """
    so_far = first.credits.aggregate(gross=Sum("gross"), net=Sum("net"))
    return net_of((so_far["gross"] or 0) + gross, rate=rate) - (so_far["net"] or 0)


def _common(
    request: InvoiceRequest,
    shares: list[tuple[InvoiceAllocation, Decimal]],
    sign: int,
    *,
    by: User,
    now: datetime,
    refers_to: Document | None,
    reason: str,
) -> dict[str, Any]:
    with translation.override(request.locale):
        names = {source.method: source.method_name for source in all_of(customer_id=request.customer_id, now=now)}
    lines = [
        {
            "source_id": allocation.source_id,
            "label": allocation.label,
            "method": allocation.method,
            "method_name": names.get(allocation.method, allocation.method),
            "paid_on": day_of(allocation.paid_at).isoformat(),
            "gross": f"{sign * amount:f}",
        }
        for allocation, amount in shares
    ]
    return {
        "customer_id": request.customer_id,
        "request": request,
        "refers_to": refers_to,
        "currency": request.currency,
        "buyer": buyer_of(request) if refers_to is None else refers_to.buyer,
        "lines": lines,
        "reason": reason,
        "locale": request.locale,
        "issued_at": now,
        "issued_by": by,
    }

"""Fapiao in bulk: what the tax platform has to make, as a sheet, and its files, taken in by their names."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from billing import invoices
from billing.models import InvoiceRequest
from billing.months.journal import csv_line
from billing.requests.workdays import day_of
from desk.trail import recorded

MOST_FILES = 50
NAME = re.compile(r"(invoice_[0-9A-Za-z]{20})[^0-9A-Za-z]+([0-9]{8,20})(?![0-9])")
"""The request's number, then the fapiao's: invoice_AbC…_24952000000012345678.pdf."""
COLUMNS = (
    *("request", "type", "buyer", "name", "tax number", "amount", "currency", "address", "remark"),
    *("delivery", "email", "mailing address", "asked (UTC)", "due (UTC)"),
)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one file."""

    name: str
    text: str
    invoice: InvoiceRequest | None = None


def sheet() -> Iterator[str]:
    """The fapiao that are waiting, as lines of CSV, the most urgent first. It begins with a mark that Excel reads."""
    yield "\ufeff" + csv_line(list(COLUMNS))
    waiting = InvoiceRequest.objects.filter(state=InvoiceRequest.State.REQUESTED)
    for one in waiting.exclude(invoice_type=InvoiceRequest.Type.COMMERCIAL).order_by("due_at", "id").iterator():
        yield csv_line(
            [
                *(one.number, one.invoice_type, one.buyer_kind, one.company_name, one.tax_id, f"{one.amount:f}"),
                *(one.currency, one.billing_address, one.remark, one.delivery, one.email, one.mailing_address),
                *(f"{one.created_at:%Y-%m-%d %H:%M}", day_of(one.due_at)),
            ]
        )


def take(request: HttpRequest, *, name: str, content: bytes, by: User) -> Taken:
    """Record one file on the request that its name tells; each stands for itself, and a refusal is told in words."""
    shown = name[-120:]
    match = NAME.search(name)
    if match is None:
        return Taken(shown, _("The name does not hold a request's number and the fapiao's: invoice_…_12345678.pdf."))
    invoice = InvoiceRequest.objects.filter(number=match[1]).first()
    if invoice is None:
        return Taken(shown, _("There is no request %(number)s.") % {"number": match[1]})
    try:
        with recorded(request, invoice, f"Recorded from a file: {match[2]}"):
            invoices.record_fapiao(
                request_id=invoice.pk, fapiao_number=match[2], content=content, by=by, now=timezone.now()
            )
    except invoices.InvoiceError as error:
        return Taken(shown, str(error), invoice)
    return Taken(shown, "", invoice)

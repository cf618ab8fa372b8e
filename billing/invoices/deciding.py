"""Deciding: an invoice is made, a fapiao recorded, a request denied, a letter posted. Staff are named each time."""

from datetime import datetime
from decimal import Decimal

from django.utils import translation
from django.utils.translation import gettext as _

from accounts.models import User
from billing.invoices.asking import fit_again
from billing.invoices.core import (
    INVOICES,
    InvoiceError,
    NotMovable,
    State,
    locked,
    move,
    must_not_be_own,
    must_say_why,
)
from billing.invoices.facts import tell
from billing.invoices.papers import documents
from billing.invoices.papers.drawing import render
from billing.models import Document, InvoiceAllocation, InvoiceRequest, InvoiceSeries
from billing.outbox.kinds import Fact


def issue(*, request_id: int, by: User, now: datetime, series: InvoiceSeries | None = None) -> Document:
    """Make the commercial invoice of a request, with the next number of its series, and mail it.

    What is asked has to be covered still; raises `InvoiceError` if refunds took of it, and `NotMovable` if
    somebody else decided. Nothing is numbered then.
    """
    request = InvoiceRequest.objects.get(pk=request_id)
    if request.is_fapiao:
        raise InvoiceError(_("A fapiao is made in the tax platform: record it here."), field="invoice_type")
    with documents.turn(series or documents.series_for(currency=request.currency)) as series:
        render(documents.draft(request, shares=_whole(request), series=series, by=by, now=now))
        with locked(request_id) as request:
            _must_be_requested(request)
            must_not_be_own(by, request.customer)
            if not series.is_active or series.currency not in ("", request.currency):
                raise InvoiceError(_("This series is not in use for the currency."), field="series")
            fit_again(request, now=now)
            document = documents.make(request, shares=_whole(request), series=series, by=by, now=now)
            _issued(request, document, by=by, now=now)
    return document


def preview(*, request_id: int, series: InvoiceSeries, by: User, now: datetime) -> bytes:
    """The commercial invoice that would be made now, as a PDF without a number; nothing is written."""
    request = InvoiceRequest.objects.get(pk=request_id)
    document = documents.draft(request, shares=_whole(request), series=series, by=by, now=now)
    with translation.override(request.locale):
        document.number = _("Preview, no number yet")
    return render(document)


def record_fapiao(*, request_id: int, fapiao_number: str, content: bytes, by: User, now: datetime) -> Document:
    """Keep the PDF, OFD or XML that the tax platform made for a request, under its number, and mail it on.

    Raises `InvoiceError`: the file is not what it should be, or the number is recorded already.
    """
    with locked(request_id) as request:
        _must_be_requested(request)
        must_not_be_own(by, request.customer)
        if not request.is_fapiao:
            raise InvoiceError(_("This request is for a commercial invoice."), field="invoice_type")
        fit_again(request, now=now)
        document = documents.record(
            request, shares=_whole(request), fapiao_number=fapiao_number, content=content, by=by, now=now
        )
        _issued(request, document, by=by, now=now)
    return document


def deny(*, request_id: int, words: str, by: User, now: datetime) -> InvoiceRequest:
    """Refuse a request, with a reason that the customer reads; raises `InvoiceError`."""
    said = must_say_why(words)
    with locked(request_id) as request:
        must_not_be_own(by, request.customer)
        move(request, State.DENIED, now=now, decided_by=by, decided_at=now, decision=said, problem="")
        tell(request, Fact.INVOICE_DENIED, now=now)
    return request


def mark_posted(*, request_id: int, carrier: str, tracking: str, by: User, now: datetime) -> InvoiceRequest:
    """The paper left; the customer is told with whom and under which number. Raises `InvoiceError`."""
    carrier, tracking = " ".join(carrier.split()), "".join(tracking.split())
    if not carrier or len(carrier) > 60:
        raise InvoiceError(_("Enter the carrier, in at most 60 characters."), field="carrier")
    if not tracking or len(tracking) > 80:
        raise InvoiceError(_("Enter the tracking number, in at most 80 characters."), field="tracking")
    with locked(request_id) as request:
        must_not_be_own(by, request.customer)
        if request.delivery != InvoiceRequest.Delivery.POST:
            raise InvoiceError(_("This invoice goes by email."), field="delivery")
        if request.state not in InvoiceRequest.STANDING:
            raise NotMovable(_("There is no invoice to post."), field="state")
        request.carrier, request.tracking, request.posted_at, request.changed_at = carrier, tracking, now, now
        request.save(update_fields=["carrier", "tracking", "posted_at", "changed_at"])
        tell(request, Fact.INVOICE_POSTED, now=now)
    return request


def _must_be_requested(request: InvoiceRequest) -> None:
    if request.state != State.REQUESTED:
        raise INVOICES.is_already(request)


def _whole(request: InvoiceRequest) -> list[tuple[InvoiceAllocation, Decimal]]:
    return [(a, a.amount) for a in request.allocations.order_by("paid_at", "source_id")]


def _issued(request: InvoiceRequest, document: Document, *, by: User, now: datetime) -> None:
    move(request, State.ISSUED, now=now, decided_by=by, decided_at=now, problem="")
    tell(request, Fact.INVOICE_ISSUED, now=now, document=document)

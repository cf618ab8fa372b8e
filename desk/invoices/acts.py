"""What staff do to an invoice request: each act reads its form, calls the domain, and says in words what was done."""

from collections.abc import Callable

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext as _

from billing import invoices
from billing.invoices.papers.files import MOST_BYTES
from billing.models import InvoiceRequest, InvoiceSeries
from desk.site import row_id
from desk.trail import staff_of

HANDLE = "billing.handle_invoices"
FINANCE = "billing.post_adjustments"
DETAILS = (
    *("invoice_type", "buyer_kind", "company_name", "tax_id", "country", "billing_address"),
    *("delivery", "email", "mailing_address", "remark"),
)


def series_named(chosen: str, invoice: InvoiceRequest) -> InvoiceSeries:
    """The series that was chosen; raises `InvoiceError` for one that is not in use: no other takes its place."""
    series = invoices.series_in_use(currency=invoice.currency).filter(pk=row_id(chosen)).first()
    if series is None:
        raise invoices.InvoiceError(_("Choose one of the series in use."), field="series")
    return series


def _issue(request: HttpRequest, invoice: InvoiceRequest) -> str:
    series = series_named(request.POST.get("series", ""), invoice)
    document = invoices.issue(request_id=invoice.pk, series=series, by=staff_of(request), now=timezone.now())
    return _("Issued: %(number)s.") % {"number": document.number}


def _record(request: HttpRequest, invoice: InvoiceRequest) -> str:
    document = invoices.record_fapiao(
        request_id=invoice.pk,
        fapiao_number=request.POST.get("fapiao_number", ""),
        content=_upload(request),
        by=staff_of(request),
        now=timezone.now(),
    )
    return _("Recorded: %(number)s.") % {"number": document.number}


def _deny(request: HttpRequest, invoice: InvoiceRequest) -> str:
    words = request.POST.get("words", "")
    invoices.deny(request_id=invoice.pk, words=words, by=staff_of(request), now=timezone.now())
    return _("Denied: %(words)s") % {"words": words[:200]}


def _post(request: HttpRequest, invoice: InvoiceRequest) -> str:
    carrier, tracking = request.POST.get("carrier", ""), request.POST.get("tracking", "")
    invoices.mark_posted(
        request_id=invoice.pk, carrier=carrier, tracking=tracking, by=staff_of(request), now=timezone.now()
    )
    return _("Posted with %(carrier)s, %(tracking)s.") % {"carrier": carrier, "tracking": tracking}


def _credit(request: HttpRequest, invoice: InvoiceRequest) -> str:
    task = request.POST.get("task", "")
    document = invoices.credit(
        request_id=invoice.pk,
        amount=request.POST.get("amount", ""),
        reason=request.POST.get("reason", ""),
        task_id=row_id(task) or None,
        fapiao_number=request.POST.get("fapiao_number", ""),
        content=_upload(request),
        by=staff_of(request),
        now=timezone.now(),
    )
    return _("Credited by %(number)s.") % {"number": document.number}


def _override(request: HttpRequest, invoice: InvoiceRequest) -> str:
    chosen, words = request.POST.get("task", ""), request.POST.get("words", "")
    task = get_object_or_404(invoice.tasks, pk=row_id(chosen))
    invoices.override(task_id=task.pk, words=words, by=staff_of(request), now=timezone.now())
    return _("No credit note: %(words)s") % {"words": words[:200]}


def _reissue(request: HttpRequest, invoice: InvoiceRequest) -> str:
    again = invoices.reissue(
        request_id=invoice.pk,
        details=invoices.checked(**{name: request.POST.get(name, "") for name in DETAILS}, tax_id_confirmed=True),
        reason=request.POST.get("reason", ""),
        fapiao_number=request.POST.get("fapiao_number", ""),
        content=_upload(request),
        by=staff_of(request),
        now=timezone.now(),
    )
    return _("Credited whole; %(number)s takes its place.") % {"number": again.number}


def _upload(request: HttpRequest) -> bytes:
    file = request.FILES.get("file")
    return b"" if file is None else file.read(MOST_BYTES + 1)


ACTS: dict[str, tuple[str, Callable[[HttpRequest, InvoiceRequest], str]]] = {
    "issue": (HANDLE, _issue),
    "record": (HANDLE, _record),
    "deny": (HANDLE, _deny),
    "post": (HANDLE, _post),
    "credit": (FINANCE, _credit),
    "override": (FINANCE, _override),
    "reissue": (FINANCE, _reissue),
}

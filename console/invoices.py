"""Pages of invoices: what can be invoiced and why, asking for one, what became of it, and the documents."""

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.models import Customer
from billing import invoices
from billing.invoices.form import InvoiceForm
from billing.models import Document, InvoiceRequest
from console.access.membership import current_customer, current_user
from console.access.reauthentication import confirmed_lately
from core.addresses import request_address
from core.web.downloads import as_file


@never_cache
@login_required
@confirmed_lately
@require_http_methods(["GET", "HEAD", "POST"])
def invoice_list(request: HttpRequest) -> HttpResponse:
    """What can be invoiced in each currency, each number explained; the form; earlier requests."""
    customer, now = current_customer(request), timezone.now()
    sums = _sums(customer, now=now)
    free = [found.currency for found in sums if found.amount > 0]
    initial = _initial(request, customer) | {"amount": sums[0].amount if free and len(sums) == 1 else ""}
    form = InvoiceForm(request.POST if request.method == "POST" else None, currencies=free, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            made = invoices.ask(
                customer=customer,
                **form.cleaned_data,
                asked_by=current_user(request),
                locale=get_language() or "en",
                asked_from=request_address(request),
                now=now,
            )
        except invoices.InvoiceError as error:
            form.add_error(error.field if error.field in form.fields else None, str(error))
        else:
            messages.success(request, _("We have your request."))
            return redirect("invoice-show", number=made.number)
    context = {
        "nav": "invoices",
        "form": form,
        "sums": sums,
        "free": free,
        "requests": invoices.of_customer(customer).order_by("-id")[:50],
    }
    return render(request, "console/invoices.html", context, status=400 if form.errors else 200)


@never_cache
@login_required
@require_GET
def invoice_show(request: HttpRequest, number: str) -> HttpResponse:
    """One request: where it stands, its documents, the payments it stands on."""
    invoice = get_object_or_404(invoices.of_customer(current_customer(request)), number=number)
    context = {
        "nav": "invoices",
        "invoice": invoice,
        "documents": invoice.documents.defer("content").order_by("id"),
        "may_cancel": invoice.state == InvoiceRequest.State.REQUESTED,
    }
    return render(request, "console/invoice.html", context)


@login_required
@require_POST
def invoice_cancel(request: HttpRequest, number: str) -> HttpResponse:
    """Take the request back before a document is made."""
    invoice = get_object_or_404(invoices.of_customer(current_customer(request)), number=number)
    try:
        invoices.cancel(request_id=invoice.pk, now=timezone.now())
    except invoices.NotMovable as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("Cancelled."))
    return redirect("invoice-show", number=number)


@never_cache
@login_required
@require_GET
def invoice_document(request: HttpRequest, number: str, document_id: int) -> HttpResponse:
    """A customer's own document as a file."""
    document = get_object_or_404(Document, pk=document_id, request__number=number, customer=current_customer(request))
    return as_file(name=document.file_name, kind=document.content_type, content=document.content)


def _sums(customer: Customer, *, now: datetime) -> list[invoices.Sum]:
    return [
        invoices.invoiceable(customer_id=customer.pk, currency=currency, now=now)
        for currency in invoices.currencies(customer_id=customer.pk, now=now)
    ]


def _initial(request: HttpRequest, customer: Customer) -> dict[str, Any]:
    """What the customer wrote last time, to be looked over; else only the member's address."""
    last = InvoiceRequest.objects.filter(customer=customer).order_by("-id").first()
    if last is None:
        return {"email": current_user(request).email}
    names = ("buyer_kind", "company_name", "tax_id", "country", "billing_address", "delivery", "mailing_address")
    return {name: getattr(last, name) for name in names} | {"email": last.email or current_user(request).email}

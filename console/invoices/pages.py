"""Pages of invoices: what can be invoiced and why, asking for one, what became of it, and the documents."""

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

from accounts.roles import Right, rights_of
from billing import invoices
from billing.invoices.form import PaymentsForm
from billing.models import Document, InvoiceRequest
from console.access.membership import current_customer, current_membership, current_user
from console.access.reauthentication import confirmed_lately
from console.invoices.buyer import initial
from core.addresses import request_address
from core.web.downloads import as_file


@never_cache
@login_required
@confirmed_lately
@require_http_methods(["GET", "HEAD", "POST"])
def invoice_list(request: HttpRequest) -> HttpResponse:
    """What can be invoiced in each currency, each number explained; a form over payments; earlier requests.

    `?month=2026-10` is about the payments of one month, `?currency=CNY` about one of several currencies.
    """
    membership, now = current_membership(request), timezone.now()
    customer = membership.customer
    sums = invoices.sums_of(customer, now=now)
    context: dict[str, Any] = {
        "nav": "invoices",
        "sums": sums,
        "free": [found.currency for found in sums if found.amount > 0],
        "months": invoices.months(*sums, zone=customer.time_zone),
        "requests": invoices.of_customer(customer).order_by("-id")[:50],
    }
    if Right.INVOICES not in rights_of(membership.role):
        return render(request, "console/invoices.html", context)
    chosen = _chosen(request, context)
    form = PaymentsForm(
        request.POST if request.method == "POST" else None,
        currency=chosen["currency"],
        payments=chosen["payments"],
        initial={**initial(request, customer), "currency": chosen["currency"], "amount": chosen["preset"]},
    )
    if request.method == "POST" and form.is_valid():
        given = dict(form.cleaned_data)
        try:
            made = invoices.ask(
                customer=customer,
                **given,
                asked_by=current_user(request),
                locale=get_language() or "en",
                asked_from=request_address(request),
                now=now,
            )
        except invoices.InvoiceError as error:
            form.add_faults(error)
        else:
            messages.success(request, _("We have your request."))
            return redirect("invoice-show", number=made.number)
    picked = form["payments"].value() if form.is_bound else None
    context |= chosen | {
        "form": form,
        "picked": picked if picked is not None else [one.source.label for one in chosen["payments"]],
        "buyer": invoices.saved(customer),
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


def _chosen(request: HttpRequest, found: dict[str, Any]) -> dict[str, Any]:
    """Which currency, month and payments the form is about: those of the address, or of what was sent."""
    free = found["free"]
    wanted = (request.POST.get("currency") or request.GET.get("currency", "")).upper()
    named = request.GET.get("month", "")
    months = [one for one in found["months"] if one.name == named]
    if months and wanted not in {one.currency for one in months}:
        wanted = months[0].currency
    currency = wanted if wanted in free else (free[0] if free else "")
    month = next((one for one in months if one.currency == currency), None)
    whole = next((one for one in found["sums"] if one.currency == currency), None)
    if month is not None:
        payments, amount = month.payments, month.amount
    else:
        payments = tuple(one for one in whole.payments if one.amount > 0) if whole is not None else ()
        amount = whole.amount if whole is not None else None
    return {
        "currency": currency,
        "month": month,
        "payments": payments,
        "whole": amount,
        "preset": "",
        "currencies": [one.currency for one in months] or free,
    }

"""Pages of invoices: what can be invoiced and why, asking for one, what became of it, and the documents."""

from datetime import datetime
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.customers import current_customer
from accounts.models import Customer, User
from billing import invoices
from billing.invoice_api import of_customer
from billing.models import Document, InvoiceRequest

LINES = forms.Textarea(attrs={"rows": 3, "maxlength": 500})


class InvoiceForm(forms.Form):
    """What a customer writes; the domain checks it and names the field that is wrong."""

    currency = forms.ChoiceField(label=gettext_lazy("Currency"))
    amount = forms.CharField(
        max_length=20,
        label=gettext_lazy("Amount"),
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    invoice_type = forms.ChoiceField(
        choices=InvoiceRequest.Type.choices, initial=InvoiceRequest.Type.COMMERCIAL, label=gettext_lazy("Type")
    )
    buyer_kind = forms.ChoiceField(
        choices=InvoiceRequest.BuyerKind.choices, initial=InvoiceRequest.BuyerKind.COMPANY, label=gettext_lazy("Buyer")
    )
    company_name = forms.CharField(
        max_length=200,
        label=gettext_lazy("Name on the invoice"),
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )
    tax_id = forms.CharField(
        max_length=60,
        required=False,
        label=gettext_lazy("Tax identification number"),
        help_text=gettext_lazy("Companies of the EU and of China give it; others may leave it out."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    tax_id_confirmed = forms.BooleanField(
        required=False, label=gettext_lazy("I have checked the tax number, though its check digit does not fit")
    )
    country = forms.CharField(
        max_length=2,
        required=False,
        label=gettext_lazy("Country, two letters"),
        widget=forms.TextInput(attrs={"autocomplete": "country", "placeholder": "CN"}),
    )
    billing_address = forms.CharField(
        max_length=500, required=False, label=gettext_lazy("Address on the invoice, if wanted"), widget=LINES
    )
    delivery = forms.ChoiceField(
        choices=InvoiceRequest.Delivery.choices, initial=InvoiceRequest.Delivery.EMAIL, label=gettext_lazy("Delivery")
    )
    email = forms.CharField(
        max_length=254,
        required=False,
        label=gettext_lazy("Mail it to"),
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    mailing_address = forms.CharField(max_length=500, required=False, label=gettext_lazy("Post it to"), widget=LINES)
    remark = forms.CharField(max_length=200, required=False, label=gettext_lazy("Remark on the invoice, if wanted"))

    def __init__(self, *args: Any, currencies: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast(forms.ChoiceField, self.fields["currency"]).choices = [(name, name) for name in currencies]
        if invoices.FAPIAO_CURRENCY not in currencies:
            cast(forms.ChoiceField, self.fields["invoice_type"]).choices = [InvoiceRequest.Type.choices[0]]


@never_cache
@login_required
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
                asked_by=cast(User, request.user),
                locale=get_language() or "en",
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
        "requests": of_customer(customer).order_by("-id")[:50],
    }
    return render(request, "console/invoices.html", context, status=400 if form.errors else 200)


@never_cache
@login_required
@require_GET
def invoice_show(request: HttpRequest, number: str) -> HttpResponse:
    """One request: where it stands, its documents, the payments it stands on."""
    invoice = get_object_or_404(of_customer(current_customer(request)), number=number)
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
    invoice = get_object_or_404(of_customer(current_customer(request)), number=number)
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
    return as_file(document)


def as_file(document: Document) -> HttpResponse:
    """A document to download: never shown as a page of ours, whatever the file holds."""
    if not document.content:
        raise Http404
    answer = HttpResponse(bytes(document.content), content_type=document.content_type)
    answer["Content-Disposition"] = f'attachment; filename="{document.file_name}"'
    answer["Content-Security-Policy"] = "sandbox"
    answer["X-Content-Type-Options"] = "nosniff"
    return answer


def _sums(customer: Customer, *, now: datetime) -> list[invoices.Sum]:
    return [
        invoices.invoiceable(customer_id=customer.pk, currency=currency, now=now)
        for currency in invoices.currencies(customer_id=customer.pk, now=now)
    ]


def _initial(request: HttpRequest, customer: Customer) -> dict[str, Any]:
    """What the customer wrote last time, to be looked over; else only the member's address."""
    last = InvoiceRequest.objects.filter(customer=customer).order_by("-id").first()
    if last is None:
        return {"email": cast(User, request.user).email}
    names = ("buyer_kind", "company_name", "tax_id", "country", "billing_address", "delivery", "mailing_address")
    return {name: getattr(last, name) for name in names} | {"email": last.email or cast(User, request.user).email}

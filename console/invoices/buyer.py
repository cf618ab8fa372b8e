"""The page of the buyer that invoices begin with, and what an invoice's form begins with."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.models import Customer
from billing import invoices
from billing.invoices.buyer.countries import country_of
from billing.invoices.buyer.saved import FIELDS
from billing.invoices.form import BuyerForm
from console.access.membership import current_customer, current_user
from console.access.reauthentication import confirmed_lately


@never_cache
@login_required
@confirmed_lately
@require_http_methods(["GET", "HEAD", "POST"])
def invoice_buyer(request: HttpRequest) -> HttpResponse:
    """The buyer as it is kept, to be changed or forgotten."""
    customer = current_customer(request)
    currencies = invoices.currencies(customer_id=customer.pk, now=timezone.now())
    if request.method == "POST" and "forget" in request.POST:
        invoices.forget(customer)
        messages.success(request, _("Forgotten. What you asked for before stays as it is."))
        return redirect("invoices")
    form = BuyerForm(
        request.POST if request.method == "POST" else None,
        currencies=currencies,
        initial=initial(request, customer),
    )
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            details = invoices.checked(**form.cleaned_data)
            invoices.keep(customer=customer, details=details, by=current_user(request), now=timezone.now())
        messages.success(request, _("Saved."))
        return redirect("invoices")
    context = {"nav": "invoices", "form": form, "buyer": invoices.saved(customer)}
    return render(request, "console/invoice_buyer.html", context, status=400 if form.errors else 200)


def initial(request: HttpRequest, customer: Customer) -> dict[str, Any]:
    """The buyer as it is kept; else the member's address, and the country of the account's time zone."""
    buyer = invoices.saved(customer)
    own = current_user(request).email
    if buyer is None:
        return {"email": own, "country": country_of(customer.time_zone)}
    kept = {name: getattr(buyer, name) for name in FIELDS}
    return {**kept, "email": buyer.email or own, "tax_id_confirmed": buyer.tax_id_is_doubtful}

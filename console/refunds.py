"""Pages of refunds: how much can go back and why, asking for it, and what became of it."""

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.roles import Right, rights_of
from billing import refunds
from billing.models import RefundRequest
from console.access.membership import current_customer, current_membership, current_user
from console.access.reauthentication import confirmed_lately
from core.addresses import request_address
from payments import refunds as refunding
from payments.automatic.agreements import is_on
from payments.refunds.plan import plan


class RefundForm(forms.Form):
    """An amount of at most what is refundable, and why."""

    amount = forms.CharField(
        max_length=20,
        label=gettext_lazy("Amount in USD"),
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    reason = forms.CharField(
        max_length=500, label=gettext_lazy("Reason"), widget=forms.Textarea(attrs={"rows": 3, "maxlength": 500})
    )


@never_cache
@login_required
@confirmed_lately
@require_http_methods(["GET", "HEAD", "POST"])
def refund_list(request: HttpRequest) -> HttpResponse:
    """What can be refunded, each number explained; the form, preset to all of it; earlier requests."""
    customer, now = current_customer(request), timezone.now()
    most = refunds.refundable(customer_id=customer.pk)
    form = RefundForm(request.POST if request.method == "POST" else None, initial={"amount": most.amount})
    if request.method == "POST" and form.is_valid():
        try:
            refund = refunds.ask(
                customer=customer,
                amount=form.cleaned_data["amount"],
                reason=form.cleaned_data["reason"],
                asked_by=current_user(request),
                locale=get_language() or "en",
                asked_from=request_address(request),
                now=now,
            )
        except refunds.RefundError as error:
            form.add_error(error.field if error.field in form.fields else None, str(error))
        else:
            messages.success(request, _("We have your request. The amount is set aside until we decide."))
            if is_on(customer.pk):
                messages.info(request, _("Automatic top-up is paused until the refund is done or taken back."))
            return redirect("refund-show", number=refund.number)
    context = {
        "nav": "refunds",
        "form": form,
        "most": most,
        "ways": plan(customer_id=customer.pk, amount=most.amount, now=now) if most.amount else [],
        "is_automatic": is_on(customer.pk),
        "requests": refunding.of_customer(customer).order_by("-id")[:50],
    }
    return render(request, "console/refunds.html", context, status=400 if form.errors else 200)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def refund_show(request: HttpRequest, number: str) -> HttpResponse:
    """One request: where it stands, what goes where; POST answers the desk's question."""
    membership = current_membership(request)
    refund = get_object_or_404(refunding.of_customer(membership.customer), number=number)
    problem = ""
    if request.method == "POST":
        try:
            refunds.answer(refund_id=refund.pk, text=request.POST.get("answer", ""), now=timezone.now())
        except refunds.RefundError as error:
            problem = str(error)
        else:
            messages.success(request, _("Thank you, support has your answer."))
            return redirect("refund-show", number=number)
    context = {
        "nav": "refunds",
        "refund": refund,
        "problem": problem,
        "may_cancel": refund.state == RefundRequest.State.REQUESTED
        and refund.origin != RefundRequest.Origin.FRAUD_WARNING,
        "may_answer": refund.needs_answer and Right.REFUNDS in rights_of(membership.role),
    }
    return render(request, "console/refund.html", context, status=400 if problem else 200)


@login_required
@require_POST
def refund_cancel(request: HttpRequest, number: str) -> HttpResponse:
    """Take the request back."""
    refund = get_object_or_404(refunding.of_customer(current_customer(request)), number=number)
    try:
        refunds.cancel(refund_id=refund.pk, now=timezone.now())
    except refunds.NotMovable as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("Cancelled. The amount is yours to spend again."))
    return redirect("refund-show", number=number)

"""Pages to top up on."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.people.customers import suspension_words
from accounts.roles import Right, rights_of
from billing.models import RefundRequest
from console import qr
from console.access.membership import current_customer, current_membership, current_user
from console.forms.topups import OTHER, PRESETS, TopUpForm
from core.addresses import request_address
from core.web.downloads import as_file
from payments import tasks
from payments.automatic import agreements
from payments.automatic.keeping import keeper
from payments.models import TopUp
from payments.topups import closing, fx, opening, orders, polling, quotes, receipts


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def topup_new(request: HttpRequest) -> HttpResponse:
    """Choose an amount and a method; what will be paid stands there before the button is pressed."""
    membership, now = current_membership(request), timezone.now()
    customer = membership.customer
    form = TopUpForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            topup = opening.open_topup(
                customer=customer,
                amount=form.cleaned_data["credit"],
                method=form.cleaned_data["method"],
                now=now,
                user=current_user(request),
                locale=get_language() or "en",
                address=request_address(request),
                may_reuse=True,
            )
        except orders.TopUpError as error:
            form.add_error(error.field if error.field in form.fields else None, str(error))
        else:
            return redirect(topup.checkout_url or f"/console/topup/{topup.number}")
    try:
        rate = fx.sold_at(fx.current_rate(now=now))
    except fx.NoRate:
        rate = None
    methods = quotes.methods()
    context = {
        "nav": "topup",
        "form": form,
        "customer": customer,
        "suspension": suspension_words(customer.suspended_reason),
        "presets": PRESETS,
        "chosen_preset": form["preset"].value() or "20",
        "chosen_method": form["method"].value() or (methods[0] if methods else ""),
        "other": OTHER,
        "methods": [(method, quotes.least(method), *quotes.fee_rule(method)) for method in methods],
        "keeps_fee": not settings.TOPUP_FEE_REFUNDED and any(any(quotes.fee_rule(method)) for method in methods),
        "rate": rate,
        "least": settings.TOPUP_MIN,
        "most": settings.TOPUP_MAX,
        "may_automate": Right.AUTO_TOPUP in rights_of(membership.role) and keeper() is not None,
        "automatic": agreements.current(customer.pk),
        "recent": TopUp.objects.filter(customer=customer).order_by("-id")[:5],
    }
    return render(request, "payments/topup_new.html", context, status=400 if form.errors else 200)


@never_cache
@login_required
@require_GET
def topup_show(request: HttpRequest, number: str) -> HttpResponse:
    """One top-up: its code to scan, its state, what to do when something looks wrong."""
    topup = get_object_or_404(TopUp, number=number, customer=current_customer(request))
    if topup.state == TopUp.State.OPEN:
        polling.watch(topup=topup, now=timezone.now())
        # A payer who comes back from the provider's page should not wait for the next round of the poller.
        tasks.wake(tasks.poll_topup, topup.pk)
    context = {
        "nav": "topup",
        "topup": topup,
        "sent_back": RefundRequest.objects.filter(
            customer_id=topup.customer_id, reference=topup.number, origin=RefundRequest.Origin.LATE_PAYMENT
        ).first(),
        "qr": qr.svg(topup.qr_code) if topup.qr_code and topup.state == TopUp.State.OPEN else "",
        "seconds_left": max(0, int((topup.expires_at - timezone.now()).total_seconds())),
    }
    return render(request, "payments/topup_show.html", context)


@never_cache
@login_required
@require_GET
def topup_state(request: HttpRequest, number: str) -> JsonResponse:
    """The live state, asked for every two seconds by the page."""
    topup = get_object_or_404(TopUp, number=number, customer=current_customer(request))
    polling.watch(topup=topup, now=timezone.now())
    return JsonResponse({"state": topup.shown_state, "ready": topup.has_checkout})


@never_cache
@login_required
@require_POST
def topup_cancel(request: HttpRequest, number: str) -> HttpResponse:
    """Give an unpaid top-up up; its page tells if it was paid before."""
    topup = get_object_or_404(TopUp, number=number, customer=current_customer(request))
    try:
        result = closing.cancel(topup_id=topup.pk, now=timezone.now())
    except orders.TopUpNotMovable:
        return redirect("topup-show", number)
    if result is orders.Result.CLOSED:
        messages.success(request, _("The top-up of $%(amount)s is cancelled.") % {"amount": topup.amount})
        return redirect("topup")
    if result is orders.Result.UNKNOWN:
        messages.info(request, _("The payment provider does not answer. The top-up is closed as soon as it does."))
    return redirect("topup-show", number)


@never_cache
@login_required
@require_GET
def topup_receipt(request: HttpRequest, number: str) -> HttpResponse:
    """The receipt of a credited top-up as a PDF, in the language of who looks."""
    topup = get_object_or_404(TopUp, number=number, customer=current_customer(request))
    paper = receipts.receipt(topup, now=timezone.now(), locale=get_language() or "")
    if paper is None:
        raise Http404
    return as_file(name=receipts.file_name(paper.number), kind="application/pdf", content=paper.content)

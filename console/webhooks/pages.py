"""Pages of webhooks, for owners. A secret stands in the answer to the POST that made it, and nowhere else."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from console.access.membership import current_customer, current_user
from console.access.reauthentication import confirmed_lately
from console.webhooks.forms import EndpointForm
from webhooks import deliveries, endpoints
from webhooks.models import Delivery, Endpoint


@never_cache
@login_required
@confirmed_lately
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_list(request: HttpRequest) -> HttpResponse:
    """The account's endpoints, and the form for another one."""
    customer = current_customer(request)
    form = EndpointForm(request.POST if request.method == "POST" else None)
    made = None
    if request.method == "POST" and form.is_valid():
        try:
            made = endpoints.make(
                customer=customer, made_by=current_user(request), now=timezone.now(), **form.cleaned_data
            )
        except endpoints.EndpointError as error:
            _show(form, error)
        else:
            form = EndpointForm()
    found = Endpoint.objects.of(customer.pk).select_related("created_by", "known_to").order_by("-id")
    context = {"nav": "webhooks", "form": form, "made": made, "endpoints": found, "most": endpoints.MOST}
    return render(request, "console/webhooks.html", context, status=400 if form.errors else 200)


@never_cache
@login_required
@confirmed_lately
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_show(request: HttpRequest, number: str) -> HttpResponse:
    """One endpoint: the form, its secret, and what was posted."""
    endpoint = _own(request, number)
    form = EndpointForm(request.POST if request.method == "POST" else None, endpoint=endpoint)
    if request.method == "POST" and form.is_valid():
        try:
            endpoints.change(endpoint, now=timezone.now(), **form.cleaned_data)
        except endpoints.EndpointError as error:
            _show(form, error)
        else:
            messages.success(request, _("The endpoint is changed."))
            return redirect("webhook-show", number=number)
    return _page(request, endpoint, form=form)


@never_cache
@login_required
@confirmed_lately
@require_POST
def webhook_rotate(request: HttpRequest, number: str) -> HttpResponse:
    """A new secret; the one before signs too, for a day."""
    endpoint = _own(request, number)
    try:
        secret = endpoints.rotate(endpoint, by=current_user(request), now=timezone.now())
    except endpoints.EndpointError as error:
        return _refused(request, number, error)
    return _page(request, _own(request, number), secret=secret)


@login_required
@require_POST
def webhook_switch(request: HttpRequest, number: str) -> HttpResponse:
    """Switch it off, or on again."""
    active = request.POST.get("active") == "1"
    try:
        endpoints.change(_own(request, number), active=active, now=timezone.now())
    except endpoints.EndpointError as error:
        return _refused(request, number, error)
    messages.success(request, _("The endpoint is switched on.") if active else _("The endpoint is switched off."))
    return redirect("webhook-show", number=number)


@login_required
@require_POST
def webhook_test(request: HttpRequest, number: str) -> HttpResponse:
    """Post an event that says nothing, once."""
    try:
        deliveries.send_test(_own(request, number), now=timezone.now())
    except endpoints.EndpointError as error:
        return _refused(request, number, error)
    messages.success(request, _("A test is on its way. Load this page again in a moment to see how it went."))
    return redirect("webhook-show", number=number)


@login_required
@require_POST
def webhook_replay(request: HttpRequest, number: str, delivery: str) -> HttpResponse:
    """Post a delivery again, from the first attempt on."""
    row = get_object_or_404(
        Delivery.objects.select_related("endpoint"), number=delivery, endpoint=_own(request, number)
    )
    try:
        deliveries.send_again(row, now=timezone.now())
    except endpoints.EndpointError as error:
        return _refused(request, number, error)
    messages.success(request, _("It is on its way again. Load this page again in a moment to see how it went."))
    return redirect("webhook-show", number=number)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_delete(request: HttpRequest, number: str) -> HttpResponse:
    """Ask once, then delete it for good."""
    endpoint = _own(request, number)
    if request.method != "POST":
        return render(request, "console/webhook_delete.html", {"nav": "webhooks", "endpoint": endpoint})
    endpoints.delete(endpoint, now=timezone.now())
    messages.success(request, _("The endpoint is deleted. Nothing is posted to it any more."))
    return redirect("webhooks")


def _page(
    request: HttpRequest, endpoint: Endpoint, *, form: EndpointForm | None = None, secret: str = ""
) -> HttpResponse:
    form = form or EndpointForm(endpoint=endpoint)
    page = deliveries.page_of(
        endpoint, before=_number(request.GET.get("before")), after=_number(request.GET.get("after"))
    )
    now = timezone.now()
    context: dict[str, Any] = {
        "nav": "webhooks",
        "endpoint": endpoint,
        "form": form,
        "secret": secret,
        "page": page,
        "both_until": endpoint.old_secret_until if len(endpoints.secrets_of(endpoint, now=now)) > 1 else None,
    }
    return render(request, "console/webhook.html", context, status=400 if form.errors else 200)


def _own(request: HttpRequest, number: str) -> Endpoint:
    found = Endpoint.objects.of(current_customer(request).pk).select_related("created_by", "known_to")
    return get_object_or_404(found, number=number)


def _show(form: EndpointForm, error: endpoints.EndpointError) -> None:
    form.add_error({"url": "url", "events": "wanted"}.get(error.field), str(error))


def _refused(request: HttpRequest, number: str, error: endpoints.EndpointError) -> HttpResponse:
    messages.error(request, str(error))
    return redirect("webhook-show", number=number)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None

"""The page of automatic top-up: the terms, the text that is agreed to, the card, and what was charged."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.models import ApiKey, Customer
from console.access.membership import current_customer, current_user
from console.access.reauthentication import confirmed_lately
from console.automatic.form import AutoTopUpForm
from core.addresses import request_address
from payments.automatic import agreements, cards, looking, terms
from payments.automatic.keeping import keeper
from payments.automatic.terms import AutoTopUpError, Terms
from payments.models import AutoTopUp, TopUp

SHOWN = 20
PRESETS = {"amount": "20", "threshold": "10", "ceiling": f"{terms.CEILING:.0f}"}


@never_cache
@login_required
@confirmed_lately
@require_http_methods(["GET", "HEAD", "POST"])
def auto_topup(request: HttpRequest) -> HttpResponse:
    """POST `step` is `read` (show the text of these terms), `agree` (to that text) or `off`."""
    customer = current_customer(request)
    step = request.POST.get("step", "") if request.method == "POST" else ""
    if step == "off":
        if agreements.switch_off(customer=customer, now=timezone.now()):
            messages.success(request, _("Automatic top-up is off. The card is removed."))
        return redirect("auto-topup")
    form = AutoTopUpForm(request.POST if step else None, initial=_initial(customer))
    wanted = _checked(form, customer) if step else None
    if step == "agree" and wanted is not None:
        answer = _agree(request, form, customer, wanted)
        if answer is not None:
            return answer
        wanted = None
    if request.method == "GET":
        _find_out(request, customer)
    context = _context(customer) | {"nav": "topup", "form": form, "wanted": wanted}
    if wanted is not None:
        context["consent"] = terms.consent(wanted, customer=customer, locale=get_language() or "en")
    return render(request, "payments/auto_topup.html", context, status=400 if form.errors else 200)


def _checked(form: AutoTopUpForm, customer: Customer) -> Terms | None:
    method = keeper()
    if method is None or not form.is_valid():
        return None
    try:
        return terms.checked(**form.values(), method=method, customer=customer, now=timezone.now())
    except AutoTopUpError as error:
        form.add_error(error.field or None, str(error))
        return None


def _agree(request: HttpRequest, form: AutoTopUpForm, customer: Customer, wanted: Terms) -> HttpResponse | None:
    """Where to go on; None if it was not taken, and the form says why."""
    try:
        agreement = agreements.agree(
            customer=customer,
            terms=wanted,
            version=request.POST.get("version", ""),
            by=current_user(request),
            address=request_address(request),
            locale=get_language() or "en",
            now=timezone.now(),
            new_card=bool(request.POST.get("new_card")),
        )
    except AutoTopUpError as error:
        form.add_error(error.field if error.field in form.fields else None, str(error))
        return None
    if agreement.state == AutoTopUp.State.ON:
        messages.success(request, _("Automatic top-up is on."))
        return redirect("auto-topup")
    address = cards.start(agreement.card)
    if address:
        return redirect(address)
    form.add_error(None, _("The payment provider does not answer now. Nothing was switched on; try again."))
    return None


def _find_out(request: HttpRequest, customer: Customer) -> None:
    """Who comes back from the provider's page need not wait for the worker's next round."""
    waiting = agreements.waiting(customer.pk)
    if waiting is None or not waiting.card.setup_reference:
        return
    cards.look(card_id=waiting.card_id, now=timezone.now())
    waiting.refresh_from_db()
    if waiting.state == AutoTopUp.State.ON:
        messages.success(request, _("The card is saved, and automatic top-up is on."))


def _initial(customer: Customer) -> dict[str, Any]:
    last = agreements.current(customer.pk)
    until = (timezone.now() + terms.USUALLY).date().isoformat()
    if last is None:
        return {**PRESETS, "until": until}
    until = until if last.off_at else terms.last_day(last.ends_at, customer).isoformat()
    return {"amount": last.amount, "threshold": last.threshold, "ceiling": last.ceiling, "until": until}


def _context(customer: Customer) -> dict[str, Any]:
    now, agreement = timezone.now(), agreements.current(customer.pk)
    waiting = agreements.waiting(customer.pk)
    attempts = TopUp.objects.filter(customer=customer, automatic__isnull=False)
    usable = Q(expires_at__isnull=True) | Q(expires_at__gt=now)
    no_cap = {f"{period}_limit__isnull": True for period in ("daily", "weekly", "monthly", "total")}
    return {
        "agreement": agreement,
        "waiting": waiting if waiting is not None and waiting.card.expires_at > now else None,
        "is_on": agreement is not None and agreement.state == AutoTopUp.State.ON,
        "spent": looking.spent(agreement, now=now) if agreement is not None else 0,
        "last_day": terms.last_day(agreement.ends_at, customer) if agreement is not None else None,
        "zone": customer.time_zone,
        "version": terms.VERSION,
        "is_offered": keeper() is not None,
        "uncapped": ApiKey.objects.filter(usable, customer=customer, is_active=True, **no_cap).count(),
        "attempts": attempts.select_related("automatic__card").order_by("-id")[:SHOWN],
    }

"""/console/settings: what an account is called, and what else is set once. A section a topic."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import Membership, SecurityEvent
from accounts.people import team
from accounts.people.customers import set_time_zone
from accounts.roles import Right, rights_of
from accounts.security import log
from billing.warnings import setting
from console.access.membership import current_membership, current_user
from console.forms.team import NameForm, ZoneForm
from console.people.team import explain
from console.settings.alerts_form import AlertsForm


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def settings_page(request: HttpRequest) -> HttpResponse:
    """The account's settings; POST gives it another name."""
    membership, by = current_membership(request), current_user(request)
    customer = membership.customer
    form = NameForm(request.POST if request.method == "POST" else None, initial={"name": customer.name})
    if request.method == "POST" and form.is_valid():
        try:
            with transaction.atomic():
                name = team.rename(customer=customer, name=form.cleaned_data["name"], by=by)
                log.note_team(SecurityEvent.Kind.RENAMED, request=request, by=by, about=name)
        except team.TeamError as error:
            explain(form, error)
        else:
            messages.success(request, _("Saved."))
            return redirect("settings")
    shown = context(membership, form=form)
    return render(request, "console/settings.html", shown, status=400 if form.errors else 200)


def context(
    membership: Membership, *, form: NameForm | None = None, alerts_form: AlertsForm | None = None
) -> dict[str, Any]:
    """The page, with a form that came back with an error."""
    customer, rights = membership.customer, rights_of(membership.role)
    alerts = setting.current(customer)
    spent = None if alerts.monthly_budget is None else setting.month_spent(customer, now=timezone.now())
    return {
        "nav": "settings",
        "zone_form": ZoneForm(initial={"zone": customer.time_zone}),
        "customer": customer,
        "form": form or NameForm(initial={"name": customer.name}),
        "alerts": alerts,
        "alerts_form": alerts_form or AlertsForm.of(alerts),
        "month_spent": spent,
        "may_automate": Right.AUTO_TOPUP in rights,
        "may_be_warned": Right.ALERTS in rights,
        "may_rename": Right.ACCOUNT in rights,
        "membership": membership,
    }


@login_required
@require_POST
def set_zone(request: HttpRequest) -> HttpResponse:
    """Where the account's days begin, from the next request on."""
    customer = current_membership(request).customer
    form = ZoneForm(request.POST)
    if form.is_valid():
        set_time_zone(customer=customer, name=form.cleaned_data["zone"])
        messages.success(request, _("Saved. It counts from the next request on."))
    else:
        messages.error(request, _("There is no such time zone."))
    return redirect("settings")

"""/console/settings: what an account is called, and what else is set once. A section a topic."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import SecurityEvent
from accounts.people import team
from accounts.people.customers import set_time_zone
from accounts.roles import Right, rights_of
from accounts.security import log
from console.access.membership import current_membership, current_user
from console.forms.team import NameForm, ZoneForm
from console.people.team import explain


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
    context = {
        "nav": "settings",
        "zone_form": ZoneForm(initial={"zone": customer.time_zone}),
        "customer": customer,
        "form": form,
        "may_automate": Right.AUTO_TOPUP in rights_of(membership.role),
        "may_rename": Right.ACCOUNT in rights_of(membership.role),
        "membership": membership,
    }
    return render(request, "console/settings.html", context, status=400 if form.errors else 200)


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

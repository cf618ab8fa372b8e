"""What owners want to be warned of is set, and a warning is put away."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from billing.warnings import notices, setting
from billing.warnings.setting import Wanted
from console.access.membership import current_customer, current_membership, current_user
from console.settings import page
from console.settings.alerts_form import AlertsForm


@login_required
@require_POST
def set_alerts(request: HttpRequest) -> HttpResponse:
    """What owners are told of from now on; a wrong amount comes back with the page."""
    membership = current_membership(request)
    form = AlertsForm(request.POST)
    if not form.is_valid():
        return render(request, "console/settings.html", page.context(membership, alerts_form=form), status=400)
    by, wanted = current_user(request), Wanted(**form.cleaned_data)
    setting.change(customer=membership.customer, wanted=wanted, by=by, now=timezone.now())
    messages.success(request, _("Saved."))
    return redirect("settings")


@login_required
@require_POST
def notice_dismiss(request: HttpRequest, notice_id: int) -> HttpResponse:
    """A warning is not shown any more, to nobody of the account's owners."""
    notices.dismiss(customer_id=current_customer(request).pk, notice_id=notice_id, now=timezone.now())
    back = request.POST.get("next", "")
    here = back.startswith("/console") and url_has_allowed_host_and_scheme(back, allowed_hosts=None)
    return redirect(back if here else "console")

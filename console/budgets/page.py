"""The page of budgets: set money aside for a run, see what became of it, end it."""

from datetime import timedelta
from typing import Any

from allauth.account.adapter import get_adapter
from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.models import SecurityEvent
from accounts.roles import Right, rights_of
from accounts.security import log
from billing.books.money import ZERO
from billing.budgets import ending, making
from billing.budgets.figures import Figures, figures_of
from billing.budgets.making import BudgetError, Made
from billing.models import Budget, Wallet
from console.access.membership import current_membership, current_user
from console.access.reauthentication import confirmed_lately
from core.clock import database_now

PER_PAGE = 50
HOUR = 3600
LIVES = (
    (HOUR, gettext_lazy("an hour")),
    (8 * HOUR, gettext_lazy("8 hours")),
    (24 * HOUR, gettext_lazy("a day")),
    (7 * 24 * HOUR, gettext_lazy("7 days")),
    (30 * 24 * HOUR, gettext_lazy("30 days")),
)


class BudgetForm(forms.Form):
    """A new budget."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=making.NAME_LENGTH,
        help_text=gettext_lazy("What it is for, such as “nightly run”."),
    )
    amount = forms.DecimalField(
        label=gettext_lazy("Amount"),
        min_value=making.LEAST,
        max_digits=20,
        decimal_places=8,
        help_text=gettext_lazy("US dollars of your balance."),
    )
    lasts = forms.TypedChoiceField(label=gettext_lazy("It ends after"), choices=LIVES, coerce=int, initial=24 * HOUR)


@never_cache
@login_required
@confirmed_lately
@require_http_methods(["GET", "HEAD", "POST"])
def budget_list(request: HttpRequest) -> HttpResponse:
    """A customer's budgets, and the form for another one. A new one's key stands in the answer to the POST alone."""
    membership = current_membership(request)
    form = BudgetForm(request.POST if request.method == "POST" else None)
    made = None
    if request.method == "POST" and form.is_valid():
        try:
            made = _make(request, form)
        except BudgetError as error:
            form.add_error("amount", str(error))
        else:
            form = BudgetForm()
    found = Budget.objects.filter(customer=membership.customer).select_related("key", "key__created_by")
    before = request.GET.get("before", "")
    if before.isascii() and before.isdigit() and len(before) < 18:
        found = found.filter(pk__lt=int(before))
    rows = list(found.order_by("-pk")[: PER_PAGE + 1])
    figures = figures_of(rows)
    rights = rights_of(membership.role)
    context = {
        "nav": "keys",
        "form": form,
        "made": made,
        "available": Wallet.objects.get(customer=membership.customer).available,
        "rows": [(row, figures[row.pk], _bar(row, figures[row.pk])) for row in rows[:PER_PAGE]],
        "older": rows[PER_PAGE - 1].pk if len(rows) > PER_PAGE else None,
        "own": membership.user_id,
        "may_make": Right.OWN_KEYS in rights,
        "may_end_all": Right.OTHERS_KEYS in rights,
    }
    return render(request, "console/budgets.html", context, status=400 if form.errors else 200)


def _make(request: HttpRequest, form: BudgetForm) -> Made:
    data = form.cleaned_data
    made = making.make(
        customer=current_membership(request).customer,
        amount=making.amount_of(data["amount"]),
        lasts=timedelta(seconds=data["lasts"]),
        name=data["name"],
        now=database_now(),
        created_by=current_user(request),
    )
    key = made.budget.key
    log.note(SecurityEvent.Kind.KEY_MADE, request=request, user=request.user, key=key)
    get_adapter(request).send_notification_mail("account/email/key_made", request.user, {"key": key})
    return made


def _bar(budget: Budget, figures: Figures) -> dict[str, str]:
    """How wide what is spent and what is held are drawn, in percent of the amount."""
    drawn: dict[str, Any] = {}
    at = ZERO
    for name, amount in (("spent", figures.spent), ("held", figures.held)):
        width = amount / budget.amount * 100
        drawn |= {name: f"{width:.2f}", f"{name}_x": f"{at:.2f}"}
        at += width
    return drawn


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def budget_end(request: HttpRequest, budget_id: int) -> HttpResponse:
    """Ask once, then end a budget."""
    membership = current_membership(request)
    found = Budget.objects.select_related("key")
    budget = get_object_or_404(found, pk=budget_id, customer=membership.customer)
    if Right.OTHERS_KEYS not in rights_of(membership.role) and budget.key.created_by_id != membership.user_id:
        raise PermissionDenied(_("Only an owner may end budgets that others made."))
    if request.method != "POST":
        context = {"nav": "keys", "budget": budget, "figures": figures_of([budget])[budget.pk]}
        return render(request, "console/budget_end.html", context)
    if ending.end(budget_id=budget.pk, reason=Budget.Ended.DELETED, now=database_now()):
        log.note(SecurityEvent.Kind.KEY_DELETED, request=request, user=request.user, key=budget.key)
        messages.success(
            request, _("%(name)s has ended. What was left is available again.") % {"name": budget.key.name}
        )
    return redirect("budgets")

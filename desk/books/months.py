"""Months for finance: which are locked, a further one to lock, and the trial balance of any day."""

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action
from unfold.widgets import UnfoldBooleanWidget

from accounts.models import User
from billing.models import MonthLock
from billing.months import closing, periods, trial_balance
from core.web.streaming import csv_answer
from desk.site import ReadOnlyAdmin
from desk.trail import recorded


class LockForm(forms.Form):
    is_sure = forms.BooleanField(
        required=False, label=gettext_lazy("Lock it with what is still open"), widget=UnfoldBooleanWidget
    )


class DayForm(forms.Form):
    day = forms.DateField(input_formats=["%Y-%m-%d"])


def _list_of(one: closing.Open) -> str:
    """The list that shows it."""
    place = reverse(f"admin:{one.model.replace('.', '_')}_changelist")
    return f"{place}?{one.filter}" if one.filter else place


@admin.register(MonthLock)
class MonthLockAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "locked_by", "locked_at")
    list_select_related = ("locked_by",)
    ordering = ("-month",)
    actions_list = ("lock", "trial_balance")

    @action(description=gettext_lazy("Lock a month"), icon="lock", permissions=["lock"], url_path="lock")
    def lock(self, request: HttpRequest) -> HttpResponse:
        """Show what is still open in the first month that can be locked, and lock it."""
        if not self.has_lock_permission(request) or not isinstance(request.user, User):
            raise PermissionDenied
        months = periods.lockable(now=timezone.now())
        asked = request.POST.get("month") or request.GET.get("month", "")
        month = next((one for one in months if f"{one:%Y-%m}" == asked), months[0] if months else None)
        found = closing.still_open(month) if month is not None else []
        form = LockForm(request.POST or None)
        if request.method == "POST" and month is not None and form.is_valid():
            if f"{month:%Y-%m}" != asked:
                form.add_error(None, _("This month cannot be locked any more, or not yet."))
            elif found and not form.cleaned_data["is_sure"]:
                form.add_error("is_sure", _("Something is still open: look at it first, or lock it all the same."))
            elif (lock := self._lock(request, form, month=month, by=request.user, found=found)) is not None:
                messages.success(request, _("%(month)s is locked.") % {"month": lock})
                return redirect("admin:billing_monthlock_changelist")
        waits = [(one, _list_of(one)) for one in found]
        context = {"title": _("Lock a month"), "month": month, "months": months, "waits": waits, "form": form}
        context["last"] = periods.next_month(month) - timedelta(days=1) if month is not None else None
        return self._page(request, "admin/lock_month.html", context)

    @staticmethod
    def _lock(
        request: HttpRequest, form: LockForm, *, month: date, by: User, found: list[closing.Open]
    ) -> MonthLock | None:
        still_open = ", ".join(f"{one.label}: {one.count}" for one in found)
        try:
            with recorded(request, None, why=still_open) as note:
                lock = periods.lock_month(month=month, by=by, now=timezone.now())
                note.obj, note.text = lock, f"Locked: {lock}"
        except periods.NotLockable as error:
            form.add_error(None, str(error))
            return None
        return lock

    @action(description=gettext_lazy("Trial balance"), icon="balance", url_path="trial-balance")
    def trial_balance(self, request: HttpRequest) -> HttpResponseBase:
        """The books at the end of `?day=`, yesterday if none is named; as a file with `&csv`."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        today = periods.day_of(timezone.now())
        day, form = today - timedelta(days=1), DayForm(request.GET if "day" in request.GET else None)
        if form.is_bound and form.is_valid() and date(2000, 1, 1) <= form.cleaned_data["day"] <= today:
            day = form.cleaned_data["day"]
        elif form.is_bound:
            messages.error(request, _("Name a day up to today, such as 2026-10-31."))
        if "csv" in request.GET:
            return csv_answer(request, trial_balance.csv(day), name=f"trial-balance-{day}.csv")
        lines = trial_balance.as_of(day)
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for line in lines:
            sums[line.currency] += line.balance
        context = {
            "title": _("Trial balance"),
            "day": day,
            "today": today,
            "lines": lines,
            "sums": sorted(sums.items()),
            "owed": trial_balance.liability(lines),
            "is_open": day >= today,
        }
        return self._page(request, "admin/trial_balance.html", context)

    def has_lock_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(periods.LOCK)

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        shared = self.admin_site.each_context(request)
        return TemplateResponse(request, template, {**shared, "opts": self.opts, "media": self.media, **context})

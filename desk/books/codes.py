"""Finance's page for codes: batches are made, approved by another where they are worth much, and stopped."""

from datetime import datetime
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSingleDateWidget, UnfoldAdminTextInputWidget

from accounts.models import User
from billing.bonus import batches
from billing.models import CodeBatch
from billing.months.journal import csv_line
from billing.requests.proposals import ProposalError
from desk.books.proposals import ProposalAdmin, propose_page
from desk.site import ReasonForm, WhyForm, asked_once, form_page
from desk.trail import recorded, staff_of

MOST_SHOWN = 50


class BatchForm(ReasonForm):
    words = forms.CharField(
        label=gettext_lazy("Words to the customer"), max_length=200, widget=UnfoldAdminTextInputWidget
    )
    amount = forms.CharField(
        label=gettext_lazy("Bonus of each code in USD"), max_length=24, widget=UnfoldAdminTextInputWidget
    )
    count = forms.IntegerField(label=gettext_lazy("How many codes"), initial=1, widget=UnfoldAdminTextInputWidget)
    uses = forms.IntegerField(label=gettext_lazy("Customers a code"), initial=1, widget=UnfoldAdminTextInputWidget)
    ends_at = forms.DateTimeField(
        label=gettext_lazy("May be entered until (UTC)"),
        input_formats=["%Y-%m-%d", "%Y-%m-%d %H:%M"],
        widget=UnfoldAdminSingleDateWidget,
    )
    days = forms.IntegerField(
        label=gettext_lazy("Days that the bonus lasts"),
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("Empty: it does not end."),
    )
    field_order = ("words", "amount", "count", "uses", "ends_at", "days", "reason")


@asked_once
def _uses_of(batch: CodeBatch) -> str:
    """A batch's latest uses, a line each."""
    latest = batch.used.select_related("customer", "used_by").order_by("-pk")[:MOST_SHOWN]
    lines = ((f"{use.used_at:%Y-%m-%d %H:%M}", use.customer, use.customer_id, use.used_by or "-") for use in latest)
    return format_html_join("", "<div>{}: {} ({}), {}</div>", lines) or "-"


@admin.register(CodeBatch)
class CodeBatchAdmin(ProposalAdmin):
    right = batches.FINANCE
    approved_words = gettext_lazy("Approved. Now make its codes.")
    list_display = ("id", "words", "shown_state", "amount", "count", "uses", "ends_at", "proposed_at", "stopped_at")
    list_filter = ("state",)
    list_select_related = ("proposed_by", "decided_by", "stopped_by")
    ordering = ("-id",)
    fieldsets = (
        (None, {"fields": ("words", "amount", "count", "uses", "ends_at", "days", "reason", "used", "uses_shown")}),
        (
            gettext_lazy("Decision"),
            {
                "fields": (
                    "state",
                    "needs_second",
                    "proposed_by",
                    "proposed_at",
                    "decided_by",
                    "decided_at",
                    "decision",
                    "made_at",
                    "stopped_at",
                    "stopped_by",
                )
            },
        ),
    )
    readonly_fields = ("used", "uses_shown")
    actions_detail = ("approve", "refuse", "make_codes", "stop")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_finance_permission(request) or bool(super().has_view_permission(request, obj))

    def offers(self, obj: Any, act: str) -> bool:
        if act in ("make_codes", "stop"):
            is_running = obj.state == CodeBatch.State.POSTED and obj.stopped_at is None
            return is_running and (act == "stop" or obj.made_at is None)
        return super().offers(obj, act)

    def post(self, proposal: CodeBatch, *, by: User, now: datetime) -> object:
        return batches.approve(batch_id=proposal.pk, by=by, now=now)

    def close(self, proposal: CodeBatch, *, why: str, by: User, now: datetime) -> object:
        return batches.refuse(batch_id=proposal.pk, why=why, by=by, now=now)

    def in_words(self, proposal: CodeBatch) -> str:
        values = {"count": proposal.count, "uses": proposal.uses, "amount": f"{proposal.amount:.2f}"}
        values["worth"] = f"{proposal.worth:.2f}"
        text = _("%(count)s codes for %(uses)s customers each, $%(amount)s a customer: $%(worth)s in all.")
        return f"{text % values}\n{proposal.words}\n{proposal.reason}"

    @display(description=gettext_lazy("Used"))
    def used(self, batch: CodeBatch) -> str:
        given = batch.used.aggregate(sum=Sum("transfer__amount"))["sum"] or 0
        return f"{batch.used.count()}, ${given:.2f}"

    @display(description=gettext_lazy("Latest uses"))
    def uses_shown(self, batch: CodeBatch) -> str:
        return _uses_of(batch)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Propose a batch."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        return propose_page(
            request,
            model_admin=self,
            form=BatchForm(request.POST or None),
            propose=batches.propose,
            title=_("Propose codes"),
            text=_("What is worth more than the limit needs somebody else of finance. Codes are never sold."),
        )

    @action(description=gettext_lazy("Make the codes"), icon="download", permissions=["finance"], url_path="make-codes")
    def make_codes(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """A file with the codes, once."""
        batch = self._named(object_id)
        if request.method != "POST":
            text = self.in_words(batch) + "\n" + _("The file is made once: keep it, nobody can read the codes again.")
            title = _("Make the codes")
            return form_page(
                request, model_admin=self, obj=batch, form=forms.Form(), title=title, button=title, text=text
            )
        try:
            with recorded(request, batch, f"Codes made: {batch}", why=batch.reason):
                texts = batches.make_codes(batch_id=batch.pk, by=staff_of(request), now=timezone.now())
        except ProposalError as error:
            messages.error(request, str(error))
            return redirect("admin:billing_codebatch_change", batch.pk)
        lines = "".join(csv_line([text]) for text in ("code", *texts))
        answer = HttpResponse(lines, content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="codes-{batch.pk}.csv"'
        answer["Cache-Control"] = "no-store"
        return answer

    @action(description=gettext_lazy("Stop"), icon="block", permissions=["finance"], url_path="stop")
    def stop(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Nobody enters a code of it any more."""
        batch, form, title = self._named(object_id), WhyForm(request.POST or None), _("Stop")
        if request.method == "POST" and form.is_valid():
            act = partial(batches.stop, batch_id=batch.pk, by=staff_of(request), now=timezone.now())
            try:
                with recorded(request, batch, f"Stopped: {batch}", why=form.cleaned_data["why"]):
                    act()
            except ProposalError as error:
                messages.error(request, str(error))
            else:
                messages.success(request, _("Stopped. What was given stays."))
            return redirect("admin:billing_codebatch_change", batch.pk)
        return self._page(request, batch, form, title=title)

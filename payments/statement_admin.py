"""Statements for staff: the files' lines to read, and the queue of what does not fit."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextareaWidget

from accounts.staff import recorded
from chuizi.adminsite import ReadOnlyAdmin, form_page, row_id
from payments import reconcile
from payments.models import Discrepancy, Statement, StatementLine

HANDLE = "payments.handle_discrepancies"


class _ClosedMeanwhile(Exception):
    """Somebody else was faster."""


class NoteForm(forms.Form):
    note = forms.CharField(
        label=gettext_lazy("What it was, and what was done"), max_length=500, widget=UnfoldAdminTextareaWidget
    )


@admin.register(Statement)
class StatementAdmin(ReadOnlyAdmin):
    list_display = ("provider", "day", "lines", "fetched_at", "sha256")
    list_filter = ("provider",)
    fields = ("provider", "day", "lines", "fetched_at", "sha256")
    ordering = ("-day", "provider")


@admin.register(StatementLine)
class StatementLineAdmin(ReadOnlyAdmin):
    list_display = ("at", "provider", "kind", "amount", "fee", "currency", "number", "transaction_id", "refund_id")
    list_filter = ("provider", "kind")
    search_fields = ("number__exact", "transaction_id__exact", "key__exact")
    ordering = ("-id",)


@admin.register(Discrepancy)
class DiscrepancyAdmin(ReadOnlyAdmin):
    """Open ones come first; each is closed with a note, or cures itself when its day is done again."""

    list_display = ("day", "provider", "shown_kind", "key", "theirs", "ours", "currency", "shown_state", "detail")
    list_filter = ("state", "provider", "kind")
    search_fields = ("key__exact",)
    ordering = ("-state", "-found_at")
    actions_detail = ("explain",)

    @display(description=gettext_lazy("Kind"), label={"missing_here": "danger", "missing_there": "danger"})
    def shown_kind(self, row: Discrepancy) -> tuple[str, str]:
        return row.kind, row.get_kind_display()

    @display(description=gettext_lazy("State"), label={"open": "warning", "cured": "success", "explained": "info"})
    def shown_state(self, row: Discrepancy) -> tuple[str, str]:
        return row.state, row.get_state_display()

    @action(description=gettext_lazy("Explain"), icon="edit_note", permissions=["explain"])
    def explain(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Close one with a note."""
        if not self.has_explain_permission(request):
            raise PermissionDenied
        row = get_object_or_404(Discrepancy, pk=row_id(object_id))
        form = NoteForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            note, by = form.cleaned_data["note"], request.user.pk
            try:
                with recorded(request, row, f"Explained: {note}", why=note):
                    if by is None or not reconcile.explain(
                        discrepancy_id=row.pk, note=note, by_id=by, now=timezone.now()
                    ):
                        raise _ClosedMeanwhile
            except _ClosedMeanwhile:
                messages.error(request, _("It was closed meanwhile."))
            else:
                messages.success(request, _("Explained."))
            return redirect("admin:payments_discrepancy_change", row.pk)
        text = _("The books are not changed by this. Post what is missing first, if anything is.")
        return form_page(
            request, model_admin=self, obj=row, form=form, title=_("Explain"), button=_("Explain"), text=text
        )

    def has_explain_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm(HANDLE))

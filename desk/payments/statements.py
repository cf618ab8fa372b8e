"""Statements for staff: the files' lines to read, and the queue of what does not fit."""

from datetime import date, timedelta
from decimal import Decimal
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
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from accounts.models import User
from billing.books import entries
from billing.books.entries import EntryError
from billing.books.money import PLACES
from billing.discrepancies import queue, resolving
from desk.bills.words import behind
from desk.books.entry_form import DayInput, EntryForm
from desk.site import Colours, ReadOnlyAdmin, form_page, row_id
from desk.trail import recorded, staff_of
from payments.models import Discrepancy, Method, Statement, StatementLine
from payments.statements import reconcile

HANDLE = queue.FINANCE


class _ClosedMeanwhile(Exception):
    """Somebody else was faster."""


class _NoDays(Exception):
    """None of the days named waits for a statement."""


class NoteForm(forms.Form):
    note = forms.CharField(
        label=gettext_lazy("What it was, and what was done"), max_length=500, widget=UnfoldAdminTextareaWidget
    )


class GiveUpForm(forms.Form):
    provider = forms.ChoiceField(label=gettext_lazy("Provider"), choices=Method.choices, widget=UnfoldAdminSelectWidget)
    first = forms.DateField(label=gettext_lazy("First day"), widget=DayInput, input_formats=["%Y-%m-%d"])
    last = forms.DateField(label=gettext_lazy("Last day"), widget=DayInput, input_formats=["%Y-%m-%d"])
    note = forms.CharField(
        label=gettext_lazy("Why there is none, and what was done"), max_length=500, widget=UnfoldAdminTextareaWidget
    )


@admin.register(Statement)
class StatementAdmin(ReadOnlyAdmin):
    list_display = ("provider", "day", "lines", "held_back", "fetched_at", "matched_at", "shared_at", "given_up_at")
    list_filter = ("provider",)
    fieldsets = (
        (None, {"fields": ("provider", "day", "lines", "held_back", "fetched_at", "matched_at", "sha256")}),
        (gettext_lazy("Said by finance"), {"fields": ("shared_at", "shared_by", "given_up_at", "given_up_by")}),
    )
    ordering = ("-day", "provider")
    actions_list = ("give_up",)
    actions_detail = ("share",)

    @action(description=gettext_lazy("Give up days"), icon="event_busy", permissions=["share"], url_path="give-up")
    def give_up(self, request: HttpRequest) -> HttpResponse:
        """Days whose provider gives no statement any more are asked for no longer: with a note."""
        if not self.has_share_permission(request):
            raise PermissionDenied
        form, now = GiveUpForm(request.POST or None), timezone.now()
        if request.method == "POST" and form.is_valid():
            given = dict(form.cleaned_data)
            try:
                with recorded(request, None, why=given.pop("note")) as note:
                    days = reconcile.give_up(**given, by=staff_of(request), now=now)
                    if not days:
                        raise _NoDays
                    note.obj = days[0]
                    note.text = f"Given up without a statement: {', '.join(f'{one.day}' for one in reversed(days))}"
            except _NoDays:
                form.add_error("first", _("None of these days is late."))
            else:
                messages.success(request, _("Done."))
                return redirect("admin:payments_statement_changelist")
        late = {label: reconcile.late_days_of(provider=code, now=now) for code, label in Method.choices}
        lines = [f"{label}: {_in_stretches(days)}" for label, days in late.items() if days]
        text = _(
            "They are asked for no longer, and what was paid on them stays as it was booked. Fees and payouts of them"
            " are in no statement: enter them by a journal entry. Late now are:"
        )
        title, button = _("Give up days"), _("Give up")
        shown = "\n".join([text, *(lines or ["—"])])
        return form_page(request, model_admin=self, obj=None, form=form, title=title, button=button, text=shown)

    def offers(self, obj: Statement, act: str) -> bool:
        return obj.shared_at is None

    @action(description=gettext_lazy("The account is shared"), icon="call_split", permissions=["share"])
    def share(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Another shop uses the account too, from this day on: with a note."""
        if not self.has_share_permission(request) or request.user.pk is None:
            raise PermissionDenied
        row = get_object_or_404(Statement, pk=row_id(object_id))
        form = NoteForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            with recorded(request, row, "Said to be shared with another shop", why=form.cleaned_data["note"]):
                reconcile.share(provider=row.provider, day=row.day, by_id=request.user.pk, now=timezone.now())
            messages.success(request, _("Done."))
            return redirect("admin:payments_statement_change", row.pk)
        title, button = _("The account is shared"), _("Post fees and payouts")
        text = _(
            "Another shop is paid on this account, from this day on. Its payments, refunds and fees are booked to the"
            " account others:…, apart from ours, and fees and payouts of the day are posted."
        )
        return form_page(request, model_admin=self, obj=row, form=form, title=title, button=button, text=text)

    def has_share_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm(HANDLE))


@admin.register(StatementLine)
class StatementLineAdmin(ReadOnlyAdmin):
    list_display = (
        "at",
        "provider",
        "kind",
        "shown_amount",
        "shown_fee",
        "currency",
        "number",
        "transaction_id",
        "refund_id",
        "detail",
    )
    list_filter = ("provider", "kind")
    search_fields = ("number__exact", "transaction_id__exact", "key__exact")
    ordering = ("-id",)

    @display(description=gettext_lazy("Amount"))
    def shown_amount(self, line: StatementLine) -> str:
        return _amount(line.amount, line.currency)

    @display(description=gettext_lazy("Fee"))
    def shown_fee(self, line: StatementLine) -> str:
        return _amount(line.fee, line.currency)


@admin.register(Discrepancy)
class DiscrepancyAdmin(ReadOnlyAdmin):
    """Open ones come first; each is closed with a note, or cures itself when its day is done again."""

    list_display = (
        "day",
        "provider",
        "shown_kind",
        "key",
        "shown_theirs",
        "shown_ours",
        "currency",
        "shown_state",
        "detail",
    )
    list_filter = ("state", "provider", "kind")
    search_fields = ("key__exact",)
    readonly_fields = ("told_by",)
    ordering = ("-state", "-found_at")
    actions_detail = ("explain", "resolve")

    def offers(self, obj: Discrepancy, act: str) -> bool:
        return obj.state == Discrepancy.State.OPEN

    @display(description=gettext_lazy("Kind"), label=Colours(missing_here="danger", missing_there="danger"))
    def shown_kind(self, row: Discrepancy) -> tuple[str, str]:
        return row.kind, row.get_kind_display()

    @display(
        description=gettext_lazy("State"),
        label=Colours(open="warning", cured="success", explained="info", resolved="success"),
    )
    def shown_state(self, row: Discrepancy) -> tuple[str, str]:
        return row.state, row.get_state_display()

    @display(description=gettext_lazy("Told by"))
    def told_by(self, row: Discrepancy) -> str:
        return behind(row) or str(row.get_provider_display())

    @display(description=gettext_lazy("Theirs"))
    def shown_theirs(self, row: Discrepancy) -> str:
        return _amount(row.theirs, row.currency)

    @display(description=gettext_lazy("Ours"))
    def shown_ours(self, row: Discrepancy) -> str:
        return _amount(row.ours, row.currency)

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
                    if by is None or not queue.explain(discrepancy_id=row.pk, note=note, by_id=by, now=timezone.now()):
                        raise _ClosedMeanwhile
            except _ClosedMeanwhile:
                messages.error(request, _("It was closed meanwhile."))
            else:
                messages.success(request, _("Explained."))
            return redirect("admin:payments_discrepancy_change", row.pk)
        words = _("The books are not changed by this. Post what is missing first, if anything is.")
        text = f"{_in_words(row)}\n{words}"
        return form_page(
            request, model_admin=self, obj=row, form=form, title=_("Explain"), button=_("Explain"), text=text
        )

    @action(
        description=gettext_lazy("Resolve with an entry"),
        icon="edit_note",
        permissions=["resolve"],
        url_path="resolve",
    )
    def resolve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Propose the journal entry that closes it when somebody else approves."""
        if not self.has_resolve_permission(request) or not isinstance(request.user, User):
            raise PermissionDenied
        row = get_object_or_404(Discrepancy, pk=row_id(object_id))
        form = EntryForm(request.POST or None, initial=resolving.suggestion(row))
        if request.method == "POST" and form.is_valid():
            given, why = form.cleaned_data, form.cleaned_data["reason"]
            try:
                with recorded(request, row, why=why) as note:
                    entry = resolving.propose(discrepancy_id=row.pk, **given, by=request.user, now=timezone.now())
                    note.text = f"Entry proposed: {entry}"
            except EntryError as error:
                form.add_error(error.field if error.field in form.fields else None, str(error))
            else:
                messages.success(request, _("Proposed. It closes when somebody else of finance approves the entry."))
                return redirect("admin:billing_journalentry_change", entry.pk)
        text = _in_words(row)
        title, button = _("Resolve with an entry"), _("Propose")
        return form_page(request, model_admin=self, obj=row, form=form, title=title, button=button, text=text)

    def has_resolve_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm(HANDLE) and request.user.has_perm(entries.FINANCE))

    def has_explain_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm(HANDLE))


def _in_stretches(days: list[date]) -> str:
    """Days, the newest first, as `2026-10-01 – 2026-10-07, 2026-10-12`, the oldest first."""
    stretches: list[list[date]] = []
    for day in reversed(days):
        if stretches and day - stretches[-1][-1] == timedelta(days=1):
            stretches[-1].append(day)
        else:
            stretches.append([day])
    return ", ".join(f"{one[0]}" if len(one) == 1 else f"{one[0]} – {one[-1]}" for one in stretches)


def _amount(amount: Decimal | None, currency: str) -> str:
    """As cash is written in its currency."""
    return f"{amount:,.{PLACES.get(currency, 2)}f}" if amount is not None else "—"


def _in_words(row: Discrepancy) -> str:
    return _("%(kind)s: theirs %(theirs)s, ours %(ours)s %(currency)s. %(detail)s") % {
        "kind": row.get_kind_display(),
        "theirs": _amount(row.theirs, row.currency),
        "ours": _amount(row.ours, row.currency),
        "currency": row.currency,
        "detail": row.detail,
    }

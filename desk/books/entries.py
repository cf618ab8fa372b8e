"""Finance's page for journal entries: one proposes, another posts."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from accounts.models import User
from billing.books import entries
from billing.books.money import shown
from billing.models import JournalEntry, Transfer
from billing.months import periods
from desk.books.entry_form import EntryForm
from desk.books.proposals import ProposalAdmin, propose_page


@admin.register(JournalEntry)
class JournalEntryAdmin(ProposalAdmin):
    right = entries.FINANCE
    list_display = ("id", "about", "debit", "credit", "shown_amount", "reference", "shown_state", "proposed_by")
    list_filter = ("state", "currency")
    list_select_related = ("debit", "credit", "proposed_by")
    search_fields = ("reference__exact",)
    search_help_text = gettext_lazy("A reference in full.")
    ordering = ("-id",)
    fieldsets = (
        (None, {"fields": ("debit", "credit", "shown_amount", "about", "reference", "reason")}),
        (
            gettext_lazy("Decision"),
            {
                "fields": (
                    "state",
                    "proposed_by",
                    "proposed_at",
                    "decided_by",
                    "decided_at",
                    "decision",
                    "transfer",
                )
            },
        ),
    )
    readonly_fields = ("shown_amount", "transfer")

    def post(self, proposal: JournalEntry, *, by: User, now: datetime) -> object:
        return entries.approve(entry_id=proposal.pk, by=by, now=now)

    def close(self, proposal: JournalEntry, *, why: str, by: User, now: datetime) -> object:
        return entries.refuse(entry_id=proposal.pk, why=why, by=by, now=now)

    def in_words(self, proposal: JournalEntry) -> str:
        return _in_words(proposal)

    @display(description=gettext_lazy("Amount"), ordering="amount")
    def shown_amount(self, entry: JournalEntry) -> str:
        return shown(entry.amount, currency=entry.currency)

    @display(description=gettext_lazy("Transfer"))
    def transfer(self, entry: JournalEntry) -> str:
        posted = Transfer.objects.filter(key=entry.key).first()
        if posted is None:
            return "-"
        link = reverse("admin:billing_transfer_change", args=[posted.pk])
        return format_html('<a href="{}">{}</a>, {} {}', link, posted.key, _("booked on"), posted.booked_on)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Propose an entry."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        text = _(
            "Between two accounts of the house, in one currency. A customer's balance is corrected by an adjustment."
            " Nothing moves until somebody else of finance approves it."
        )
        form, title = EntryForm(request.POST or None), _("Propose a journal entry")
        return propose_page(request, model_admin=self, form=form, propose=entries.propose, title=title, text=text)


def _in_words(entry: JournalEntry) -> str:
    """What is about to be posted, on which day, and what else rests on the same paper; a line each."""
    values = {
        "who": entry.proposed_by,
        "amount": shown(entry.amount, currency=entry.currency),
        "debit": entry.debit,
        "credit": entry.credit,
        "reference": entry.reference,
    }
    booked_on = periods.open_day(entry.about)
    lines = [
        _("%(who)s proposed %(amount)s: debit %(debit)s, credit %(credit)s, reference %(reference)s.") % values,
        entry.reason,
        _("It is booked on %(day)s.") % {"day": booked_on},
    ]
    if booked_on != entry.about:
        lines.append(_("It is about %(day)s, whose month is locked.") % {"day": entry.about})
    if others := ", ".join(str(other) for other in entries.same_reference(entry)[:5]):
        lines.append(_("The same reference stands on: %(others)s.") % {"others": others})
    return "\n".join(lines)

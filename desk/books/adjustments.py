"""Finance's page for adjustments: propose a correction or give a charge back, and decide what another proposed."""

from datetime import datetime
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts.models import User
from billing.books import adjustments
from billing.books.money import ZERO
from billing.models import AdjustmentProposal, Wallet
from core.amounts import written
from desk.books.proposals import ProposalAdmin, propose_page
from desk.customers.naming import named
from desk.queues import Queue
from desk.site import ReadOnlyAdmin, ReasonForm

Kind = AdjustmentProposal.Kind


class ProposalQueue(Queue):
    CHOICES = (("proposed", gettext_lazy("To be decided"), lambda rows: rows.filter(state="proposed")),)


class ProposalForm(ReasonForm):
    email = forms.CharField(
        max_length=254, label=gettext_lazy("The customer's address"), widget=UnfoldAdminTextInputWidget
    )
    kind = forms.ChoiceField(
        label=gettext_lazy("Which balance, and which way"),
        choices=[(kind.value, kind.label) for kind in adjustments.FREE],
        widget=UnfoldAdminSelectWidget,
    )
    amount = forms.CharField(label=gettext_lazy("Amount in USD"), max_length=24, widget=UnfoldAdminTextInputWidget)
    words = forms.CharField(
        label=gettext_lazy("Words to the customer"),
        max_length=200,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("They stand beside the amount in the customer's list of transactions."),
    )

    field_order = ("email", "kind", "amount", "reason", "words")

    def clean_email(self) -> str:
        text = str(self.cleaned_data["email"])
        self.customer = named(text)
        return text


class ReversalForm(ReasonForm):
    generation_id = forms.CharField(
        label=gettext_lazy("Request"), max_length=60, widget=UnfoldAdminTextInputWidget, help_text="gen-…"
    )
    field_order = ("generation_id", "reason")


@admin.register(AdjustmentProposal)
class AdjustmentAdmin(ProposalAdmin):
    right = adjustments.FINANCE
    list_display = ("id", "proposed_at", "customer", "kind", "amount", "shown_state", "proposed_by", "decided_by")
    list_filter = (ProposalQueue, "kind")
    list_select_related = ("customer", "proposed_by", "decided_by")
    search_fields = ("generation_id__exact", "customer__members__email__exact")
    search_help_text = gettext_lazy("A member's address, or the id of a request in full.")
    ordering = ("-id",)
    fieldsets = (
        (None, {"fields": ("customer", "kind", "amount", "generation_id", "reason", "words")}),
        (
            gettext_lazy("Decision"),
            {"fields": ("state", "proposed_by", "proposed_at", "decided_by", "decided_at", "decision")},
        ),
    )
    actions_list = ("give_back",)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_finance_permission(request) or bool(super().has_view_permission(request, obj))

    def post(self, proposal: AdjustmentProposal, *, by: User, now: datetime) -> object:
        return adjustments.approve(proposal_id=proposal.pk, by=by, now=now)

    def close(self, proposal: AdjustmentProposal, *, why: str, by: User, now: datetime) -> object:
        return adjustments.refuse(proposal_id=proposal.pk, why=why, by=by, now=now)

    def in_words(self, proposal: AdjustmentProposal) -> str:
        values = {
            "who": proposal.proposed_by,
            "customer": proposal.customer,
            "kind": proposal.get_kind_display(),
            "amount": proposal.shown_amount,
        }
        wallet = Wallet.objects.get(pk=proposal.customer_id)
        balances = {name: written(getattr(wallet, name), places=4) for name in ("paid", "bonus", "held")}
        lines = [
            _("%(who)s proposed for %(customer)s: %(kind)s, $%(amount)s.") % values,
            proposal.reason,
            _("The wallet now: paid %(paid)s, bonus %(bonus)s, held %(held)s.") % balances,
        ]
        return "\n".join(lines)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Propose to move a balance."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = ProposalForm(request.POST or None)

        def propose(*, email: str, **given: Any) -> AdjustmentProposal:
            return adjustments.propose(customer=form.customer, **given)

        return propose_page(
            request,
            model_admin=self,
            form=form,
            propose=propose,
            title=_("Propose an adjustment"),
            text=_("Nothing moves until somebody else of finance approves it."),
        )

    @action(description=gettext_lazy("Give a charge back"), icon="undo", permissions=["finance"], url_path="give-back")
    def give_back(self, request: HttpRequest) -> HttpResponse:
        """Propose to reverse what a request was charged."""
        return propose_page(
            request,
            model_admin=self,
            form=ReversalForm(request.POST or None),
            propose=adjustments.propose_reversal,
            title=_("Give a charge back"),
            text=_("The whole charge goes back to where it came from: bonus to bonus, paid balance to paid balance."),
        )


def propose_write_off(request: HttpRequest, *, wallet: Wallet, model_admin: ReadOnlyAdmin) -> HttpResponse:
    """The page on which one of finance proposes to bear a wallet's small debt."""
    owed = {"customer": wallet.customer, "debt": f"{max(-wallet.paid, ZERO):f}"}
    return propose_page(
        request,
        model_admin=model_admin,
        obj=wallet,
        form=ReasonForm(request.POST or None),
        propose=partial(adjustments.propose_write_off, customer_id=wallet.pk),
        title=_("Propose to write the debt off"),
        text=_("%(customer)s owes $%(debt)s. The house bears all of it.") % owed,
    )

"""The desk's prices that jump: what sync_prices proposed for one of finance, another confirms or refuses."""

from datetime import datetime

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from accounts.models import User
from core.clock import database_now
from desk.books.proposals import ProposalAdmin
from desk.gateway import price_words
from desk.gateway.price_form import example_of
from proxy.models import Price, PriceProposal
from proxy.prices.listed import proposals
from proxy.prices.loading import in_force, new_versions


@admin.register(PriceProposal)
class PriceProposalAdmin(ProposalAdmin):
    right = proposals.FINANCE
    list_display = ("id", "proposed_at", "model", "listed_as", "shown_state", "proposed_by", "decided_by")
    list_filter = ("state",)
    list_select_related = ("model", "base", "proposed_by", "decided_by")
    search_fields = ("model__slug",)
    ordering = ("-id",)
    fieldsets = (
        (None, {"fields": ("model", "listed_as", "base", "changes", "reason")}),
        (
            gettext_lazy("Decision"),
            {"fields": ("state", "proposed_by", "proposed_at", "decided_by", "decided_at", "decision")},
        ),
    )
    readonly_fields = ("changes",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def post(self, proposal: PriceProposal, *, by: User, now: datetime) -> object:
        return proposals.approve(proposal_id=proposal.pk, by=by, now=now)

    def close(self, proposal: PriceProposal, *, why: str, by: User, now: datetime) -> object:
        return proposals.refuse(proposal_id=proposal.pk, why=why, by=by, now=now)

    def in_words(self, proposal: PriceProposal) -> str:
        facts = {"who": proposal.proposed_by, "model": proposal.model, "listed": proposal.listed_as}
        lines = [
            _("%(who)s proposed the list price of %(listed)s for %(model)s, USD before the margin:") % facts,
            *_changes(proposal),
        ]
        if now := example_of(proposal.base):
            lines.append(_("Now:") + " " + now)
        if then := example_of(_first(proposal)):
            lines.append(_("Then:") + " " + then)
        return "\n".join(lines)

    @display(description=gettext_lazy("What changes"))
    def changes(self, proposal: PriceProposal) -> str:
        return format_html_join("", "<div>{}</div>", ((text,) for text in _changes(proposal)))


def _changes(proposal: PriceProposal) -> list[str]:
    """Beside the price that it was compared with, whatever holds by now."""
    stored = [] if proposal.base is None else [proposal.base]
    at = max([proposal.proposed_at, *(row.created_at for row in stored)])
    return price_words.lines(proposals.steps(proposal.model, proposal.prices, stored=stored, now=at))


def _first(proposal: PriceProposal) -> Price | None:
    """What would hold at once."""
    found = new_versions([], proposal.prices, where=proposal.model.slug, now=database_now())
    rows = [Price(model=proposal.model, **columns) for columns, _none in found]
    return in_force(rows, at=database_now())

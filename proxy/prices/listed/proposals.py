"""Prices of the list that are too far from what they replace: proposed by whoever syncs, confirmed by another."""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from billing.requests.four_eyes import objection
from billing.requests.proposals import ProposalError, decide, given, undecided
from core.clock import database_now
from proxy.models import Model, Price, PriceProposal
from proxy.prices.listed.differences import Difference, differences
from proxy.prices.loading import in_force, new_versions, set_price
from proxy.prices.versions import PriceVersion

FINANCE = "proxy.set_prices"
State = PriceProposal.State
OUTDATED = "The list says something else by now."


class PriceProposalError(ProposalError):
    """A proposed price that cannot be decided like this; the text is for whoever asked."""


def steps(
    model: Model, prices: list[dict[str, object]], *, stored: list[Price], now: datetime
) -> list[tuple[datetime | None, list[Difference]]]:
    """The versions that `prices` add to a model's, each with its date (None: at once) and what it changes.

    Each is compared with what would hold just before it. Raises `InvalidCatalog`.
    """
    found: list[tuple[datetime | None, list[Difference]]] = []
    at_once = in_force(stored, at=now)
    last = None if at_once is None else PriceVersion.from_row(at_once)
    fresh = {columns["applies_from"] for columns, _before in new_versions(stored, prices, where=model.slug, now=now)}
    for columns, _before in new_versions([], prices, where=model.slug, now=now):
        version = PriceVersion.from_row(Price(model=model, **columns))
        if columns["applies_from"] in fresh:
            found.append((columns["applies_from"], differences(last, version)))
        last = version
    return found


def approve(*, proposal_id: int, by: User, now: datetime) -> PriceProposal:
    """Set what another proposed, if it still replaces the price that it was compared with.

    The model follows the list from then on. Raises `PriceProposalError`.
    """
    with transaction.atomic():
        # Models before their proposals, as `sync` locks them.
        model = Model.objects.select_for_update(no_key=True).get(proposals=proposal_id)
        return _approve(model, proposal_id, by=by, now=now)


def _approve(model: Model, proposal_id: int, *, by: User, now: datetime) -> PriceProposal:
    with undecided(PriceProposal, proposal_id, error=PriceProposalError) as proposal:
        _must_be_allowed(by, proposed_by_id=proposal.proposed_by_id)
        base = in_force(model.prices.all(), at=database_now())
        if (base.pk if base else None) != proposal.base_id:
            raise PriceProposalError(_("The price is another one by now. Take the proposal back."), field="state")
        set_price(model, proposal.prices, where=model.slug, created_by=by, listed_as=proposal.listed_as)
        decide(proposal, State.POSTED, by=by, now=now)
    return proposal


def refuse(*, proposal_id: int, why: str, by: User, now: datetime) -> PriceProposal:
    """Leave the price as it is; whoever proposed it may take it back so. Raises `PriceProposalError`."""
    why = given(why, field="why", error=PriceProposalError)
    with undecided(PriceProposal, proposal_id, error=PriceProposalError) as proposal:
        _must_be_allowed(by)
        decide(proposal, State.REFUSED, by=by, now=now, why=why)
    return proposal


def propose(
    *,
    model: Model,
    listed_as: str,
    base: Price | None,
    prices: list[dict[str, object]],
    reason: str,
    by: User,
    now: datetime,
) -> PriceProposal:
    """Put it before a second person; what waited for this model is outdated by it. Raises `PriceProposalError`."""
    _must_be_allowed(by)
    with transaction.atomic():
        withdraw(model=model, by=by, now=now)
        return PriceProposal.objects.create(
            model=model,
            listed_as=listed_as,
            base=base,
            prices=prices,
            reason=reason,
            proposed_by=by,
            proposed_at=now,
        )


def withdraw(*, model: Model, by: User, now: datetime) -> None:
    """Close what waits for a model, as the list says something else. Raises `PriceProposalError`."""
    for waiting in PriceProposal.objects.filter(model=model, state=State.PROPOSED):
        refuse(proposal_id=waiting.pk, why=OUTDATED, by=by, now=now)


def _must_be_allowed(by: User, *, proposed_by_id: int | None = None) -> None:
    if not by.has_perm(FINANCE):
        raise PriceProposalError(_("Prices are for finance."), field="state")
    if words := objection(by=by, customer_id=None, proposed_by_id=proposed_by_id):
        raise PriceProposalError(words, field="state")

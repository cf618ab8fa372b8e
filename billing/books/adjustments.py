"""Corrections of a balance by finance: one proposes with a reason, another posts; charges given back as they were."""

from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts.models import Customer, User
from billing.books import chart
from billing.books.kinds import Kind as Transfers
from billing.books.ledger import Posting, house_account, lock_wallets, post
from billing.books.money import ZERO, InvalidAmount, usd
from billing.books.reversals import customer_of, is_reversed, left_of, reverse
from billing.books.small_debts import small_debts
from billing.models import AdjustmentProposal, Hold, Wallet
from billing.refunds.core import held_by_kind
from billing.requests.four_eyes import objection
from billing.requests.proposals import ProposalError, decide, given, undecided

FINANCE = "billing.post_adjustments"
Kind, State = AdjustmentProposal.Kind, AdjustmentProposal.State
FREE = (Kind.PAID_UP, Kind.PAID_DOWN, Kind.BONUS_UP, Kind.BONUS_DOWN)
"""Kinds whose amount is chosen; a charge that is given back and a debt that is written off have theirs."""


class AdjustmentError(ProposalError):
    """An adjustment that cannot be proposed or posted like this; the text is for whoever asked."""


def most_down(*, customer_id: int, kind: str) -> Decimal:
    """What may be taken from a balance now, USD: nothing that is held, whoever holds it."""
    wallet, held = Wallet.objects.get(pk=customer_id), held_by_kind(customer_id)
    frozen = held[Hold.Kind.REFUND] + held[Hold.Kind.DISPUTE]
    balance = wallet.paid - frozen if kind == Kind.PAID_DOWN else wallet.bonus
    return max(ZERO, min(balance, wallet.available))


def propose(
    *, customer: Customer, kind: str, amount: Decimal | str, reason: str, words: str, by: User, now: datetime
) -> AdjustmentProposal:
    """Propose to move a customer's paid or bonus balance by `amount` USD. Raises `AdjustmentError`."""
    if kind not in FREE:
        raise AdjustmentError(_("Choose which balance, and which way."), field="kind")
    _must_be_allowed(by, customer.pk)
    try:
        value = usd(amount)
    except InvalidAmount:
        raise AdjustmentError(_("Write an amount in USD, such as 12.50.")) from None
    with transaction.atomic():
        lock_wallets([customer.pk])
        _must_be_possible(customer_id=customer.pk, kind=kind, amount=value)
        return AdjustmentProposal.objects.create(
            customer=customer,
            kind=kind,
            amount=value,
            reason=given(reason, field="reason", error=AdjustmentError),
            words=words.strip()[:200],
            proposed_by=by,
            proposed_at=now,
        )


def propose_reversal(*, generation_id: str, reason: str, by: User, now: datetime) -> AdjustmentProposal:
    """Propose to give a request's whole charge back, bonus to bonus and paid to paid. Raises `AdjustmentError`."""
    generation_id = generation_id.strip()
    customer = customer_of(generation_id)
    if customer is None:
        raise AdjustmentError(_("Nothing was charged under this id."), field="generation_id")
    _must_be_allowed(by, customer.pk)
    given_back = _("This charge is given back already, or somebody proposed it.")
    left = sum(left_of(generation_id).values(), ZERO)
    if is_reversed(generation_id) or not left:
        raise AdjustmentError(given_back, field="generation_id")
    try:
        with transaction.atomic():
            return AdjustmentProposal.objects.create(
                customer=customer,
                kind=Kind.REVERSAL,
                amount=left,
                generation_id=generation_id,
                reason=given(reason, field="reason", error=AdjustmentError),
                proposed_by=by,
                proposed_at=now,
            )
    except IntegrityError:
        raise AdjustmentError(given_back, field="generation_id") from None


def propose_write_off(*, customer_id: int, reason: str, by: User, now: datetime) -> AdjustmentProposal:
    """Propose that the house bears a small, old debt, all of it. Raises `AdjustmentError`."""
    _must_be_allowed(by, customer_id)
    with transaction.atomic():
        wallet = lock_wallets([customer_id])[customer_id]
        if not small_debts(now=now).filter(pk=customer_id).exists():
            raise AdjustmentError(_("This wallet is on no list of small debts any more."), field="state")
        if AdjustmentProposal.objects.filter(customer=customer_id, kind=Kind.WRITE_OFF, state=State.PROPOSED).exists():
            raise AdjustmentError(_("Somebody proposed it already."), field="state")
        return AdjustmentProposal.objects.create(
            customer_id=customer_id,
            kind=Kind.WRITE_OFF,
            amount=-wallet.paid,
            reason=given(reason, field="reason", error=AdjustmentError),
            proposed_by=by,
            proposed_at=now,
        )


def approve(*, proposal_id: int, by: User, now: datetime) -> AdjustmentProposal:
    """Post what another proposed, if it still fits. Raises `AdjustmentError`."""
    with undecided(AdjustmentProposal, proposal_id, error=AdjustmentError) as proposal:
        _must_be_allowed(by, proposal.customer_id, proposed_by_id=proposal.proposed_by_id)
        if proposal.kind == Kind.REVERSAL:
            request, words = proposal.generation_id, proposal.words
            reverse(generation_id=request, now=now, group=proposal.key, actor_id=by.pk, words=words)
        else:
            wallet = lock_wallets([proposal.customer_id])[proposal.customer_id]
            if proposal.kind != Kind.WRITE_OFF:
                _must_be_possible(customer_id=proposal.customer_id, kind=proposal.kind, amount=proposal.amount)
            elif wallet.paid != -proposal.amount:
                raise AdjustmentError(_("The debt is another one by now. Take the proposal back."), field="state")
            post([_adjustment(proposal, wallet)], now=now, group=proposal.key, actor_id=by.pk)
        decide(proposal, State.POSTED, by=by, now=now)
    return proposal


def refuse(*, proposal_id: int, why: str, by: User, now: datetime) -> AdjustmentProposal:
    """Close a proposal without posting it; whoever proposed it may take it back so. Raises `AdjustmentError`."""
    why = given(why, field="why", error=AdjustmentError)
    with undecided(AdjustmentProposal, proposal_id, error=AdjustmentError) as proposal:
        _must_be_allowed(by, proposal.customer_id)
        decide(proposal, State.REFUSED, by=by, now=now, why=why)
    return proposal


def _must_be_allowed(by: User, customer_id: int, *, proposed_by_id: int | None = None) -> None:
    if not by.has_perm(FINANCE):
        raise AdjustmentError(_("Adjustments are for finance."), field="state")
    if words := objection(by=by, customer_id=customer_id, proposed_by_id=proposed_by_id):
        raise AdjustmentError(words, field="state")


def _must_be_possible(*, customer_id: int, kind: str, amount: Decimal) -> None:
    if amount <= 0:
        raise AdjustmentError(_("Write an amount above zero."))
    if amount > settings.TOPUP_MAX:
        raise AdjustmentError(_("At most $%(most)s at once.") % {"most": settings.TOPUP_MAX})
    if kind in (Kind.PAID_DOWN, Kind.BONUS_DOWN) and amount > (most := most_down(customer_id=customer_id, kind=kind)):
        raise AdjustmentError(_("At most $%(most)s can be taken now; the rest is spent or held.") % {"most": most})


def _adjustment(proposal: AdjustmentProposal, wallet: Wallet) -> Posting:
    if proposal.kind == Kind.WRITE_OFF:
        debit, credit = house_account(chart.BAD_DEBT), wallet.paid_account
        return Posting(proposal.key, Transfers.WRITE_OFF, debit, credit, proposal.amount, proposal.words)
    is_bonus = proposal.kind in (Kind.BONUS_UP, Kind.BONUS_DOWN)
    own = wallet.bonus_account if is_bonus else wallet.paid_account
    house = house_account(chart.BONUS_GIVEN if is_bonus else chart.ADJUSTMENTS)
    is_up = proposal.kind in (Kind.PAID_UP, Kind.BONUS_UP)
    debit, credit = (house, own) if is_up else (own, house)
    return Posting(proposal.key, Transfers.ADJUSTMENT, debit, credit, proposal.amount, proposal.words)

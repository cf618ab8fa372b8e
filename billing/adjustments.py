"""Corrections of a balance by finance: one proposes with a reason, another posts; charges given back as they were."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts.models import Customer, User
from billing.four_eyes import objection
from billing.ledger import Posting, house_account, lock_wallets, post
from billing.models import AdjustmentProposal, Hold, LedgerAccount, Transfer, Wallet
from billing.money import ZERO, InvalidAmount, usd
from billing.refunds.core import held_by_kind

FINANCE = "billing.post_adjustments"
CHARGES = {"bonus": "usage_bonus", "paid": "usage"}
Kind, State = AdjustmentProposal.Kind, AdjustmentProposal.State


class AdjustmentError(Exception):
    """An adjustment that cannot be proposed or posted like this; the text is for whoever asked."""

    def __init__(self, message: str, *, field: str = "amount") -> None:
        super().__init__(message)
        self.field = field


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
    if kind not in Kind.values or kind == Kind.REVERSAL:
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
            reason=_reason(reason),
            words=words.strip()[:200],
            proposed_by=by,
            proposed_at=now,
        )


def propose_reversal(*, generation_id: str, reason: str, by: User, now: datetime) -> AdjustmentProposal:
    """Propose to give a request's whole charge back, bonus to bonus and paid to paid. Raises `AdjustmentError`."""
    generation_id = generation_id.strip()
    charged = list(_charges(generation_id).values())
    if not charged:
        raise AdjustmentError(_("Nothing was charged under this id."), field="generation_id")
    customer = charged[0].debit.customer
    if customer is None:
        raise AdjustmentError(_("Nothing was charged under this id."), field="generation_id")
    _must_be_allowed(by, customer.pk)
    try:
        with transaction.atomic():
            return AdjustmentProposal.objects.create(
                customer=customer,
                kind=Kind.REVERSAL,
                amount=sum((transfer.amount for transfer in charged), ZERO),
                generation_id=generation_id,
                reason=_reason(reason),
                proposed_by=by,
                proposed_at=now,
            )
    except IntegrityError:
        words = _("This charge is given back already, or somebody proposed it.")
        raise AdjustmentError(words, field="generation_id") from None


def approve(*, proposal_id: int, by: User, now: datetime) -> AdjustmentProposal:
    """Post what another proposed, if it still fits. Raises `AdjustmentError`."""
    with _locked(proposal_id) as proposal:
        _must_be_allowed(by, proposal.customer_id, proposed_by_id=proposal.proposed_by_id)
        wallet = lock_wallets([proposal.customer_id])[proposal.customer_id]
        if proposal.kind == Kind.REVERSAL:
            postings = _reversal(proposal, wallet)
        else:
            _must_be_possible(customer_id=proposal.customer_id, kind=proposal.kind, amount=proposal.amount)
            postings = [_adjustment(proposal, wallet)]
        post(postings, now=now, group=proposal.key, actor_id=by.pk)
        _decide(proposal, State.POSTED, by=by, now=now)
    return proposal


def refuse(*, proposal_id: int, why: str, by: User, now: datetime) -> AdjustmentProposal:
    """Close a proposal without posting it; whoever proposed it may take it back so. Raises `AdjustmentError`."""
    if not why.strip():
        raise AdjustmentError(_("Say why."), field="why")
    with _locked(proposal_id) as proposal:
        _must_be_allowed(by, proposal.customer_id)
        proposal.decision = why.strip()[:500]
        _decide(proposal, State.REFUSED, by=by, now=now)
    return proposal


@contextmanager
def _locked(proposal_id: int) -> Iterator[AdjustmentProposal]:
    with transaction.atomic():
        proposal = AdjustmentProposal.objects.select_for_update(no_key=True).get(pk=proposal_id)
        if proposal.state != State.PROPOSED:
            words = _("It is %(state)s already.") % {"state": proposal.get_state_display()}
            raise AdjustmentError(words, field="state")
        yield proposal


def _decide(proposal: AdjustmentProposal, state: str, *, by: User, now: datetime) -> None:
    proposal.state, proposal.decided_by, proposal.decided_at = state, by, now
    proposal.save(update_fields=["state", "decided_by", "decided_at", "decision"])


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
    is_bonus = proposal.kind in (Kind.BONUS_UP, Kind.BONUS_DOWN)
    own = wallet.bonus_account if is_bonus else wallet.paid_account
    house = house_account("expense:bonus" if is_bonus else "adjustments")
    is_up = proposal.kind in (Kind.PAID_UP, Kind.BONUS_UP)
    debit, credit = (house, own) if is_up else (own, house)
    return Posting(proposal.key, "adjustment", debit, credit, proposal.amount, proposal.words)


def _reversal(proposal: AdjustmentProposal, wallet: Wallet) -> list[Posting]:
    own: dict[str, LedgerAccount] = {"bonus": wallet.bonus_account, "paid": wallet.paid_account}
    return [
        Posting(
            f"{proposal.generation_id}:{balance}:reversed",
            "reversal",
            charge.credit,
            own[balance],
            charge.amount,
            proposal.words,
        )
        for balance, charge in _charges(proposal.generation_id).items()
    ]


def _charges(generation_id: str) -> dict[str, Transfer]:
    """What a request was charged, by balance."""
    keys = {f"{generation_id}:{balance}": balance for balance in CHARGES}
    found = Transfer.objects.filter(key__in=keys, kind__in=CHARGES.values()).select_related("debit__customer", "credit")
    return {keys[transfer.key]: transfer for transfer in found}


def _reason(text: str) -> str:
    if not text.strip():
        raise AdjustmentError(_("Say why."), field="reason")
    return text.strip()[:500]

"""What payments reports of a part after its end: taken back by a bank, or paid although it had failed here."""

from datetime import datetime
from decimal import Decimal

from billing.books import chart, holds
from billing.books.kinds import Kind
from billing.books.ledger import Posting, house_account, lock_wallets, post
from billing.books.money import ZERO
from billing.models import LedgerAccount, RefundRequest, Transfer
from billing.outbox.kinds import Fact
from billing.refunds.core import (
    PartMoney,
    State,
    add,
    arrival,
    fit,
    held_by_kind,
    hold_key,
    locked,
    move,
    own_left,
    post_for,
    way_back,
)
from billing.refunds.facts import tell


def part_taken_back(*, refund_id: int, part: int | str, money: PartMoney, now: datetime) -> None:
    """A part that had arrived is with its provider again, which has not given it back: it is in transit."""
    with locked(refund_id) as refund:
        post_for(way_back(refund, part, money), refund, now)
        add(refund, returned=-money.amount, now=now)
        tell(refund, Fact.REFUND_BOUNCED, now=now)


def part_paid_after_all(*, refund_id: int, part: int | str, money: PartMoney, now: datetime) -> Decimal:
    """A part that had failed here has reached the customer: `paid -> refunds:in_transit -> clearing`.

    The wallet pays what is free of it, what is frozen for this request first. Returns the excess, USD, that it cannot
    pay: `receivable:refunds -> refunds:in_transit`.
    """
    with locked(refund_id) as refund:
        wallet = lock_wallets([refund.customer_id])[refund.customer_id]
        amount, own = money.amount, own_left(refund)
        taken = min(amount, fit(wallet, held_by_kind(refund.customer_id), own=own))
        if share := min(own, taken):
            holds.capture_share(key=hold_key(refund), share=share, now=now)
        key, transit, excess = f"{refund.key}:part:{part}", house_account(chart.IN_TRANSIT), amount - taken
        moves = (
            (f"{key}:sent", Kind.REFUND, wallet.paid_account, taken),
            (f"{key}:excess", Kind.REFUND_EXCESS, house_account(chart.RECEIVABLE), excess),
        )
        postings = [
            Posting(name, kind, debit, transit, sum_, refund.number) for name, kind, debit, sum_ in moves if sum_
        ]
        post_for([*postings, *arrival(refund, part, money)], refund, now)
        add(refund, sent=amount, returned=amount, paid_after_all=amount, excess=excess, now=now)
        if refund.state in (State.DENIED, State.PARTLY_DONE):
            is_all = refund.returned >= (refund.approved or refund.amount)
            if is_all or refund.state == State.DENIED:
                move(refund, State.DONE if is_all else State.PARTLY_DONE, now=now)
        tell(refund, Fact.REFUND_AFTER_ALL, now=now)
    return excess


def collect_excess(*, refund_id: int, part: int | str, excess: Decimal, now: datetime) -> Decimal:
    """Take what the customer owes of a part from the wallet, as far as it is free; returns that, USD."""
    with locked(refund_id) as refund:
        wallet = lock_wallets([refund.customer_id])[refund.customer_id]
        taken = min(excess, fit(wallet, held_by_kind(refund.customer_id), own=ZERO))
        if taken > 0:
            _settle_excess(refund, part, wallet.paid_account, taken, now)
    return taken


def bear_excess(*, refund_id: int, part: int | str, excess: Decimal, now: datetime) -> None:
    """What the customer owes of a part is given up: `expense:bad_debt -> paid -> receivable:refunds`."""
    with locked(refund_id) as refund:
        paid = lock_wallets([refund.customer_id])[refund.customer_id].paid_account
        _settle_excess(refund, part, paid, excess, now, given_up=True)


def tell_problem(*, refund_id: int, problem: str, now: datetime) -> None:
    """Staff are to look at it, whatever its state."""
    RefundRequest.objects.filter(pk=refund_id).update(problem=problem[:300], changed_at=now)


def _settle_excess(
    refund: RefundRequest,
    part: int | str,
    paid: LedgerAccount,
    amount: Decimal,
    now: datetime,
    *,
    given_up: bool = False,
) -> None:
    key = f"{refund.key}:part:{part}:settled"
    key += f":{Transfer.objects.filter(key__startswith=f'{key}:', kind=Kind.REFUND, group=refund.key).count() + 1}"
    postings = [Posting(key, Kind.REFUND, paid, house_account(chart.RECEIVABLE), amount, refund.number)]
    if given_up:
        debt = house_account(chart.BAD_DEBT)
        postings.append(Posting(f"{key}:borne", Kind.WRITE_OFF, debt, paid, amount, refund.number))
    post(postings, now=now, group=refund.key)
    add(refund, excess=-amount, now=now)

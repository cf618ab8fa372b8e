"""What payments reports while it sends: a request taken up, its parts gone, arrived or come back."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from accounts.models import Customer
from billing.books import chart, holds
from billing.books.kinds import Kind
from billing.books.ledger import Posting, house_account, lock_wallets
from billing.books.money import ZERO
from billing.models import RefundRequest
from billing.outbox.kinds import Fact
from billing.refunds.core import (
    PartMoney,
    State,
    add,
    arrival,
    freeze,
    hold_key,
    locked,
    mark_returned,
    most_now,
    move,
    new_number,
    own_left,
    post_for,
    thaw,
    way_back,
)
from billing.refunds.facts import tell


def begin_sending(
    *, refund_id: int, now: datetime, begun: Callable[[RefundRequest], None] = lambda refund: None
) -> bool:
    """Take an approved request up; False if something took of it meanwhile: then it is back at the desk.

    `begun` plans its parts, once an approval, in the transaction that begins. What fails of them is staff's again.
    """
    with locked(refund_id) as refund:
        if refund.state == State.SENDING:
            return True
        if refund.state != State.APPROVED:
            return False
        wallet = lock_wallets([refund.customer_id])[refund.customer_id]
        short = refund.left - most_now(refund)
        if 0 < short <= wallet.exposure:
            return False  # requests under way may need it, or not: it is tried again in two minutes
        if short > 0:
            mark_returned(refund, problem="the balance no longer covers it", now=now)
            return False
        move(refund, State.SENDING, now=now)
        begun(refund)
        tell(refund, Fact.REFUND_SENDING, now=now)
    return True


def part_sent(*, refund_id: int, part: int | str, amount: Decimal, now: datetime) -> bool:
    """A part is about to leave: its share of the hold is taken, `paid -> refunds:in_transit`.

    False, and nothing moved, if the request is not being sent or its hold does not cover the part any more.
    """
    with locked(refund_id) as refund:
        wallet = lock_wallets([refund.customer_id])[refund.customer_id]
        if refund.state != State.SENDING or refund.left < amount or min(own_left(refund), wallet.paid) < amount:
            return False
        if wallet.available < 0:
            return False
        holds.capture_share(key=hold_key(refund), share=amount, now=now)
        key = f"{refund.key}:part:{part}:sent"
        transit = house_account(chart.IN_TRANSIT)
        post_for([Posting(key, Kind.REFUND, wallet.paid_account, transit, amount, refund.number)], refund, now)
        add(refund, sent=amount, now=now)
    return True


def part_done(*, refund_id: int, part: int | str, money: PartMoney, now: datetime) -> None:
    """A part arrived (see `arrival`)."""
    with locked(refund_id) as refund:
        post_for(arrival(refund, part, money), refund, now)
        add(refund, returned=money.amount, now=now)


def part_failed(
    *,
    refund_id: int,
    part: int | str,
    money: PartMoney,
    now: datetime,
    was_done: bool = False,
    was_after_all: bool = False,
    excess: Decimal = ZERO,
) -> None:
    """A part did not arrive, or came back after it had: the money is the customer's again, and frozen again.

    `excess` of it, USD, the house had borne (see `part_paid_after_all`): that is the house's again.
    """
    with locked(refund_id) as refund:
        wallet = lock_wallets([refund.customer_id])[refund.customer_id]
        amount, key = money.amount, f"{refund.key}:part:{part}:failed"
        postings = way_back(refund, part, money) if was_done else []
        transit, back = house_account(chart.IN_TRANSIT), amount - excess
        if back > 0:
            postings.append(Posting(key, Kind.REFUND_FAILED, transit, wallet.paid_account, back, refund.number))
        if excess > 0:
            owed = house_account(chart.RECEIVABLE)
            postings.append(Posting(f"{key}:excess", Kind.REFUND_EXCESS_BACK, transit, owed, excess, refund.number))
        post_for(postings, refund, now)
        add(
            refund,
            sent=-amount,
            returned=-amount if was_done else ZERO,
            paid_after_all=-amount if was_after_all else ZERO,
            excess=-excess,
            now=now,
        )
        if refund.state in (*RefundRequest.OPEN, State.DONE, State.PARTLY_DONE):
            freeze(refund, own_left(refund) + back, now=now, as_much_as_fits=True)
        if was_done:
            tell(refund, Fact.REFUND_BOUNCED, now=now)


def finish(*, refund_id: int, now: datetime) -> None:
    """All that was approved has arrived."""
    with locked(refund_id) as refund:
        if refund.state not in (State.SENDING, State.RETURNED) or refund.returned < (refund.approved or refund.amount):
            return
        move(refund, State.DONE, now=now, finished_at=now, problem="")
        thaw(refund, now=now)
        tell(refund, Fact.REFUND_DONE, now=now)


def return_to_desk(*, refund_id: int, problem: str, now: datetime) -> None:
    """Something went wrong on the way; staff decide again, and see why. What was not sent stays frozen."""
    with locked(refund_id) as refund:
        if RefundRequest.MACHINE.allows(refund.state, State.RETURNED):
            mark_returned(refund, problem=problem, now=now)


def wait(*, refund_id: int, problem: str, until: datetime, now: datetime) -> None:
    """An approved request cannot be sent yet; `problem` says what it waits for."""
    RefundRequest.objects.filter(pk=refund_id, state__in=(State.APPROVED, State.SENDING)).update(
        problem=problem[:300], attempt_at=until, changed_at=now
    )


def record_external(
    *,
    customer: Customer,
    money: PartMoney,
    reference: str,
    reason: str,
    now: datetime,
    in_transaction: Callable[[RefundRequest], None],
) -> RefundRequest:
    """A refund that was begun at the provider and has left: it is booked whatever the wallet holds.

    `in_transaction` writes what makes it unique (the part with the provider's id); if that fails, nothing is booked.
    """
    with transaction.atomic():
        wallet = lock_wallets([customer.pk])[customer.pk]
        refund = RefundRequest.objects.create(
            customer=customer,
            number=new_number(),
            origin=RefundRequest.Origin.PROVIDER,
            state=State.EXTERNAL,
            amount=money.amount,
            approved=money.amount,
            sent=money.amount,
            returned=money.amount,
            reason=reason[:500],
            reference=reference[:200],
            created_at=now,
            changed_at=now,
            due_at=now,
            finished_at=now,
        )
        in_transaction(refund)
        postings = arrival(refund, 1, money)
        if money.amount:
            key, transit = f"{refund.key}:part:1:sent", house_account(chart.IN_TRANSIT)
            postings.append(Posting(key, Kind.REFUND, wallet.paid_account, transit, money.amount, refund.number))
        post_for(postings, refund, now)
        tell(refund, Fact.REFUND_EXTERNAL, now=now)
    return refund

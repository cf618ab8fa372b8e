"""Approved requests leave: planned once an approval, each part taken from the wallet and handed to its provider."""

from datetime import datetime, timedelta

from django.db import transaction

from billing import invoices, refunds
from billing.models import RefundRequest
from payments.invoices.sources import waits_for_credit_note
from payments.models import FraudWarning, RefundPart, TopUp
from payments.refunds.booking import (
    clearing_of,
    conclude,
    drop,
    lock_topups,
    locked,
    move,
    new_key,
    park,
    set_done,
    sum_up,
)
from payments.refunds.claims import LOOKS
from payments.refunds.looking import look
from payments.refunds.plan import is_late, plan
from payments.topups.shares import Back, back_of

State = RefundPart.State


def send(*, refund_id: int, now: datetime) -> None:
    """Send an approved request: plan its parts, then hand each to its provider. May be repeated at any point."""
    if not refunds.begin_sending(refund_id=refund_id, now=now, begun=lambda refund: _plan(refund, now=now)):
        return
    for part in RefundPart.objects.filter(refund_id=refund_id, state=State.PLANNED).order_by("number"):
        if _leave(part.pk, now=now):
            look(part_id=part.pk, now=now, is_first=True)
    conclude(refund_id, now=now)


def call_off(*, topup_id: int, now: datetime) -> None:
    """Give up the parts that have not left yet to a top-up that is disputed now; their requests are staff's again."""
    for part_id in RefundPart.objects.filter(topup_id=topup_id, state=State.PLANNED).values_list("pk", flat=True):
        with transaction.atomic():
            part = locked(part_id)
            if part.state != State.PLANNED or part.by_bank or part.topup is None or part.topup.disputed <= 0:
                continue
            drop(part, "the top-up is disputed", now=now)
        conclude(part.refund_id, now=now)


def drop_planned(refund_id: int, now: datetime) -> None:
    """Give up what has not left of a request that is sent no longer, in the transaction that stops it."""
    planned = RefundPart.objects.filter(refund_id=refund_id, state=State.PLANNED)
    parts = list(planned.select_for_update(no_key=True).order_by("pk"))
    topups = lock_topups(parts)
    for part in parts:
        part.topup = topups[part.topup_id] if part.topup_id is not None else None
        drop(part, "the request is sent no longer", now=now)


def _plan(refund: RefundRequest, *, now: datetime) -> None:
    """Write the parts of what is approved; the caller holds the request's lock and its wallet's."""
    number = max(refund.parts.values_list("number", flat=True), default=0)
    warned = FraudWarning.objects.filter(refund=refund).values_list("topup_id", flat=True)
    late = TopUp.objects.filter(customer_id=refund.customer_id, number=refund.reference).values_list("pk", flat=True)
    first = frozenset([*warned, *late])
    for share in plan(customer_id=refund.customer_id, amount=refund.left, now=now, first=first):
        number += 1
        RefundPart.objects.create(
            refund=refund,
            number=number,
            topup=share.topup,
            by_bank=share.by_bank,
            amount=share.amount,
            charge_currency=share.charge_currency,
            key=new_key(),
            created_at=now,
        )


def _leave(part_id: int, *, now: datetime) -> bool:
    """Take a planned part's money out of the wallet; True if it is now to be handed to its provider."""
    with transaction.atomic():
        part = locked(part_id)
        if part.state != State.PLANNED:
            return False
        topup = part.topup
        if part.refund.left < part.amount:
            drop(part, "what was approved has gone another way", now=now)
            return False
        if topup is not None and topup.disputed > 0 and not part.by_bank:
            drop(part, "the top-up is disputed", now=now)
            return False
        if topup is not None and topup.refunded + topup.disputed + part.amount > topup.amount:
            drop(part, "the top-up has less left", now=now)
            return False
        if topup is not None and (why := waits_for_credit_note(part, topup, now=now)):
            refunds.wait(refund_id=part.refund_id, problem=why, until=now + invoices.LOOK_AGAIN, now=now)
            return False
        if not refunds.part_sent(refund_id=part.refund_id, part=part.label, amount=part.amount, now=now):
            drop(part, "the balance no longer covers it", now=now)
            return False
        back = Back(part.amount, part.amount)
        if topup is not None:
            back = back_of(topup, part.amount, is_late=is_late(part))
        first_look = now + timedelta(seconds=LOOKS[0])
        move(part, State.SENDING, charge_amount=back.charge, fee_amount=back.fee, sent_at=now, look_at=first_look)
        if topup is not None:
            sum_up(topup)
        if part.charge_amount == 0:
            set_done(part, clearing=clearing_of(part), now=now)
            return False
        if part.by_bank:
            park(part, "no payment of this customer can be refunded by its provider: pay by bank transfer", now=now)
            return False
    return True

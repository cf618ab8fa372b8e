"""A part moves to what its provider says of it, with the books, in one transaction.

Lock order: the request, the part, its top-up, then billing's wallet and holds.
"""

import logging
from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import Max, Sum
from django.utils.crypto import get_random_string

from billing import refunds
from billing.books import chart
from billing.books.money import ZERO
from billing.models import CreditTask, RefundRequest
from core import states
from payments.invoices.sources import want_credit
from payments.models import RefundPart, TopUp
from payments.providers.base import REFUND_KEY_PREFIX, RefundFact, RefundOutcome
from payments.refunds.claims import AFTERWARDS, DAILY, is_overdue

log = logging.getLogger(__name__)

State = RefundPart.State
AN_END = (RefundOutcome.FAILED, RefundOutcome.PARKED)


class PartError(Exception):
    """A part that staff cannot settle like this; the text is for them."""


def book(*, part_id: int, fact: RefundFact, now: datetime, seen: RefundPart | None = None) -> bool:
    """Move a part to what its provider says of it, with the books, in one transaction. A repeat changes nothing.

    False, and nothing is booked, if it is no longer as it was `seen` before its provider was asked, or goes by bank.
    """
    with transaction.atomic():
        part = locked(part_id)
        if part.by_bank or (seen is not None and (part.state, part.round) != (seen.state, seen.round)):
            return False
        _note(part, fact)
        if fact.outcome is RefundOutcome.DONE:
            _arrived(part, fact, now=now)
        elif part.is_paid_by_bank:
            pass  # whatever its provider says, it does not say that it paid
        elif part.state == State.DONE:
            _contradicted(part, fact, now=now)
        elif fact.outcome is RefundOutcome.FAILED:
            if part.recorded_by_id is None:  # else somebody says that it was paid
                set_failed(part, now=now)
        elif fact.outcome is RefundOutcome.PARKED:
            park(part, fact.detail, now=now)
        elif part.state == State.SENDING and is_overdue(part, now=now):
            days = (now - part.sent_at).days if part.sent_at is not None else 0
            park(part, f"no final answer in {days} days and {part.attempts} asks: {part.detail}", now=now)
    conclude(part.refund_id, now=now)
    return True


def _arrived(part: RefundPart, fact: RefundFact, *, now: datetime) -> None:
    """Its provider has paid it, whatever we think became of it."""
    words = ""
    if fact.amount is not None and fact.amount != part.charge_amount:
        words = f"the provider paid back {fact.amount} {part.charge_currency}, not {part.charge_amount}"
    if words:
        tell(part, words, now=now)
        park(part, words, now=now)
    elif part.is_paid_by_bank:
        second = _of_the_provider(part, now=now)
        _pay_after_all(second, "it was paid by bank, and its provider paid it too", now=now)
    elif part.state == State.DONE:
        return
    elif part.state == State.FAILED:
        _pay_after_all(part, "it was paid after it had failed here", now=now)
    else:
        if part.recorded_by_id is not None and not part.paid_there:
            tell(part, "a bank transfer is recorded, and its provider paid it", now=now)
        set_done(part, clearing=clearing_of(part), now=now)


def _contradicted(part: RefundPart, fact: RefundFact, *, now: datetime) -> None:
    """It was done, and its provider says otherwise now."""
    if fact.outcome is RefundOutcome.FAILED:
        set_failed(part, now=now)
    elif fact.outcome is RefundOutcome.PARKED:
        _take_back(part, fact.detail, now=now)
    elif fact.outcome is RefundOutcome.MISSING:
        tell(part, "it was done, and its provider does not know it any more", now=now)


def _note(part: RefundPart, fact: RefundFact) -> None:
    """Keep the provider's number, and its words where they tell something new: no answer replaces none."""
    if fact.refund_id and not part.provider_id:
        part.provider_id = fact.refund_id
    news = {State.PARKED: (*AN_END, RefundOutcome.DONE), State.DONE: () if part.is_paid_by_bank else AN_END}
    if fact.detail and (part.state == State.SENDING or fact.outcome in news.get(State(part.state), ())):
        part.detail = fact.detail[:300]
    part.to_bank_card = part.to_bank_card or fact.to_bank_card
    part.save(update_fields=["provider_id", "detail", "to_bank_card"])


def new_key() -> str:
    """Our number of a part, unique at every provider."""
    return REFUND_KEY_PREFIX + get_random_string(24)


def conclude(refund_id: int, *, now: datetime) -> None:
    """When nothing is on its way any more, the request is done, or staff see what went wrong."""
    with transaction.atomic():
        RefundRequest.objects.select_for_update(no_key=True).get(pk=refund_id)  # nobody plans meanwhile
        parts = list(RefundPart.objects.filter(refund_id=refund_id).order_by("number"))
        if any(part.state in (State.PLANNED, State.SENDING) for part in parts):
            return
        if not any(part.state == State.PARKED for part in parts):
            refunds.finish(refund_id=refund_id, now=now)
        if RefundRequest.objects.filter(pk=refund_id, state=RefundRequest.State.SENDING).exists():
            refunds.return_to_desk(refund_id=refund_id, problem=_why_not_all(parts), now=now)


def tell_what_is_left(refund_id: int, *, now: datetime) -> None:
    """Staff have settled a part of a request at the desk: what its list said of it holds no more."""
    if RefundRequest.objects.filter(pk=refund_id, state__in=RefundRequest.AT_DESK).exists():
        parts = list(RefundPart.objects.filter(refund_id=refund_id).order_by("number"))
        refunds.tell_problem(refund_id=refund_id, problem=_why_not_all(parts), now=now)


def locked(part_id: int) -> RefundPart:
    """A part under its locks, and with it the top-ups of what may be dropped when the request goes back to the desk."""
    refund_id = RefundPart.objects.values_list("refund_id", flat=True).get(pk=part_id)
    RefundRequest.objects.select_for_update(no_key=True).get(pk=refund_id)
    part = RefundPart.objects.select_for_update(no_key=True).get(pk=part_id)
    planned = RefundPart.objects.filter(refund_id=refund_id, state=State.PLANNED)
    topups = lock_topups([part, *planned])
    if part.topup_id is not None:
        part.topup = topups[part.topup_id]
    return part


def lock_topups(parts: Iterable[RefundPart]) -> dict[int, TopUp]:
    """The top-ups of these parts by id, locked in the order of their ids."""
    topups = TopUp.objects.select_for_update(no_key=True).filter(pk__in={part.topup_id for part in parts})
    return {topup.pk: topup for topup in topups.order_by("pk")}


def move(part: RefundPart, to: str, **fields: object) -> None:
    """Change a locked part's state."""
    states.move(part, to=to, error=lambda row: PartError(f"part {row} is {row.state}"), **fields)


def set_done(part: RefundPart, *, clearing: str, now: datetime) -> None:
    """A part that left has arrived, from the account `clearing`; nothing for one in any other state."""
    if part.state not in (State.SENDING, State.PARKED):
        return
    refunds.part_done(refund_id=part.refund_id, part=part.label, money=_money(part, clearing), now=now)
    look_at = now + AFTERWARDS[0] if part.has_provider and not part.is_paid_by_bank else None
    move(part, State.DONE, done_at=now, look_at=look_at)


def _pay_after_all(part: RefundPart, words: str, *, now: datetime) -> None:
    """It had failed here, and its money was the customer's again: what is left of that is taken out once more."""
    part.round += 1
    money = _money(part, clearing_of(part))
    excess = refunds.part_paid_after_all(refund_id=part.refund_id, part=part.label, money=money, now=now)
    soon = now + AFTERWARDS[0]
    move(part, State.DONE, round=part.round, excess=excess, after_all=True, done_at=now, look_at=soon)
    if part.topup is not None:
        sum_up(part.topup)
        want_credit(topup=part.topup, reason=CreditTask.Reason.REFUND, now=now)
    tell(part, words, now=now)


def _of_the_provider(part: RefundPart, *, now: datetime) -> RefundPart:
    """Two of finance paid it by bank, and its provider has paid it too: that is a part of its own, which had failed."""
    key, provider_id, part.key, part.provider_id, part.by_bank = part.key, part.provider_id, new_key(), "", True
    part.save(update_fields=["key", "provider_id", "by_bank"])
    number = RefundPart.objects.filter(refund_id=part.refund_id).aggregate(last=Max("number"))["last"] + 1
    second = RefundPart.objects.create(
        refund_id=part.refund_id,
        number=number,
        topup=part.topup,
        state=State.FAILED,
        amount=part.amount,
        charge_amount=part.charge_amount,
        fee_amount=part.fee_amount,
        charge_currency=part.charge_currency,
        key=key,
        provider_id=provider_id,
        created_at=now,
        sent_at=part.sent_at,
        failed_at=part.done_at,
    )
    second.topup = part.topup
    return second


def _take_back(part: RefundPart, detail: str, *, now: datetime) -> None:
    """It had arrived, and its provider has the money again: between the accounts, for staff to settle."""
    money = _money(part, clearing_of(part))
    refunds.part_taken_back(refund_id=part.refund_id, part=part.label, money=money, now=now)
    move(
        part,
        State.PARKED,
        round=part.round + 1,
        detail=detail[:300],
        look_at=now + DAILY,
        bank_reference="",
        paid_there=False,
        recorded_by=None,
        confirmed_by=None,
    )
    refunds.return_to_desk(refund_id=part.refund_id, problem=f"part {part.number} came back: {detail}", now=now)


def set_failed(part: RefundPart, *, now: datetime) -> None:
    """A part did not arrive, or came back: its money is the customer's again."""
    if part.state not in RefundPart.STANDING:
        return
    was_done = part.state == State.DONE
    refunds.part_failed(
        refund_id=part.refund_id,
        part=part.label,
        money=_money(part, clearing_of(part)),
        was_done=was_done,
        was_after_all=part.after_all,
        excess=part.excess,
        now=now,
    )
    look_at = now + AFTERWARDS[0] if part.was_with_provider else None
    move(part, State.FAILED, failed_at=now, after_all=False, excess=ZERO, bear_by=None, look_at=look_at)
    if part.topup is not None:
        sum_up(part.topup)
        want_credit(topup=part.topup, reason=CreditTask.Reason.REFUND, now=now)
    if was_done:
        words = f"part {part.number} came back: {part.detail}"
        refunds.return_to_desk(refund_id=part.refund_id, problem=words, now=now)


def tell(part: RefundPart, words: str, *, now: datetime) -> None:
    """Flag for staff what a provider says against the books: on the desk's first page until somebody looked."""
    if part.detail == words and part.contradicted_at is not None:
        return
    log.error("part %s: %s", part.key, words)
    part.detail, part.contradicted_at, part.seen_by = words[:300], now, None
    part.save(update_fields=["detail", "contradicted_at", "seen_by"])
    refunds.tell_problem(refund_id=part.refund_id, problem=f"part {part.number}: {words}", now=now)


def park(part: RefundPart, detail: str, *, now: datetime) -> None:
    """A part that is being sent waits for staff, for what `detail` says."""
    if part.state != State.SENDING:
        return
    move(part, State.PARKED, detail=detail[:300], look_at=now + DAILY if part.has_provider else None)


def drop(part: RefundPart, why: str, *, now: datetime) -> None:
    """A part that has not left is given up; nothing was moved."""
    move(part, State.FAILED, detail=why, failed_at=now)
    if part.topup is not None:
        want_credit(topup=part.topup, reason=CreditTask.Reason.REFUND, now=now)


def sum_up(topup: TopUp) -> None:
    """What of a top-up went or goes back, by its parts; the caller holds its lock.

    Never more than all of it: a part that was paid after all may have been paid a second time by another.
    """
    parts = RefundPart.objects.filter(topup=topup, state__in=RefundPart.STANDING)
    sums = parts.aggregate(amount=Sum("amount"), charge=Sum("charge_amount"), fee=Sum("fee_amount"))
    charge, fee = sums["charge"] or ZERO, sums["fee"] or ZERO
    base, fee = min(charge - fee, topup.base_amount), min(fee, topup.fee_amount)
    TopUp.objects.filter(pk=topup.pk).update(
        refunded=min(sums["amount"] or ZERO, topup.amount), refunded_charge=base + fee, refunded_fee=fee
    )


def _money(part: RefundPart, clearing: str) -> refunds.PartMoney:
    return refunds.PartMoney(
        amount=part.amount,
        charge_amount=part.charge_amount or ZERO,
        currency=part.charge_currency,
        clearing=clearing,
        fee=part.fee_amount,
    )


def clearing_of(part: RefundPart) -> str:
    """The account that a part is paid from: ours at the top-up's provider, or at the bank."""
    if part.topup is None or part.by_bank:
        return chart.bank(part.charge_currency)
    return chart.clearing(part.topup.method, part.charge_currency)


def _why_not_all(parts: list[RefundPart]) -> str:
    for part in parts:
        if part.state == State.PARKED:
            return f"part {part.number} waits: {part.detail}"
    failed = [part for part in parts if part.state == State.FAILED]
    return f"part {failed[-1].number} failed: {failed[-1].detail}" if failed else "nothing of it is on its way"

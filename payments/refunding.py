"""Sending what was approved back the way it came, in parts; each part leaves once and its end is found out.

A part's number is stored before the provider is first called, and every repeat carries it. No answer means unknown:
the provider is asked what became of the part before anything else. Lock order: the request, the part, the top-up,
then billing's wallet and holds. The provider is never called inside a transaction.
"""

import logging
import secrets
import string
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.db.models import F

from accounts.models import User
from billing import invoices, refunds
from billing.four_eyes import objection
from billing.ledger import lock_wallets
from billing.models import CreditTask, RefundRequest
from billing.money import ZERO
from payments.invoice_sources import waits_for_credit_note, want_credit
from payments.models import FraudWarning, RefundPart, TopUp
from payments.providers import registry
from payments.providers.base import REFUND_KEY_PREFIX, RefundFact, RefundOrder, RefundOutcome
from payments.refund_plan import charge_of, plan

log = logging.getLogger(__name__)

State = RefundPart.State
ALPHABET = string.ascii_letters + string.digits
NOTIFY_PATHS = {
    "stripe": "/payments/stripe/webhook",
    "alipay": "/payments/alipay/notify",
    "wechat": "/payments/wechat/refund-notify",
}
LOOKS = (5, 15, 30, 60, 300, 900, 3600, 6 * 3600)
"""Seconds until a part under way is asked about again; the last one repeats."""
AFTERWARDS = (timedelta(days=1), timedelta(days=7), timedelta(days=30))
"""When a part that is done is asked about again: a bank may send it back."""
AGAIN = timedelta(minutes=2)
"""How long a request may take to be sent before another worker takes it up."""


class PartError(Exception):
    """A part that staff cannot settle like this; the text is for them."""


def claim_requests(*, now: datetime, limit: int = 100) -> list[int]:
    """Approved requests whose turn it is, their next turn set, so that two workers take different ones."""
    with transaction.atomic():
        due = RefundRequest.objects.filter(
            state__in=(RefundRequest.State.APPROVED, RefundRequest.State.SENDING), attempt_at__lte=now
        ).select_for_update(skip_locked=True, no_key=True)
        ids = [request.pk for request in due.order_by("attempt_at")[:limit]]
        RefundRequest.objects.filter(pk__in=ids).update(attempt_at=now + AGAIN)
    return ids


def claim_parts(*, now: datetime, limit: int = 200) -> list[int]:
    """Parts that are to be asked about, their next turn set."""
    with transaction.atomic():
        due = RefundPart.objects.filter(look_at__lte=now).select_for_update(skip_locked=True, no_key=True)
        parts = list(due.order_by("look_at")[:limit])
        for part in parts:
            RefundPart.objects.filter(pk=part.pk).update(look_at=_next_look(part, now=now), attempts=F("attempts") + 1)
    return [part.pk for part in parts]


def send(*, refund_id: int, now: datetime) -> None:
    """Send an approved request: plan its parts, then hand each to its provider. May be repeated at any point."""
    if not refunds.begin_sending(refund_id=refund_id, now=now):
        return
    _plan(refund_id, now=now)
    for part in RefundPart.objects.filter(refund_id=refund_id, state=State.PLANNED).order_by("number"):
        if _leave(part.pk, now=now):
            look(part_id=part.pk, now=now, is_first=True)
    _conclude(refund_id, now=now)


def look(*, part_id: int, now: datetime, is_first: bool = False) -> RefundOutcome:
    """Find out what became of a part, and send it if it was never made; book the outcome.

    A part on its first way is sent without asking: its number is new.
    """
    part = RefundPart.objects.select_related("topup", "refund").get(pk=part_id)
    if part.topup is None or part.by_bank or part.state not in (State.SENDING, State.PARKED, State.DONE):
        return RefundOutcome.MISSING
    try:
        provider = registry.get(part.topup.method)
    except LookupError:
        log.warning("part %s waits for %s, which is switched off", part.key, part.topup.method)
        return RefundOutcome.UNKNOWN
    order = order_of(part)
    fact = RefundFact(RefundOutcome.MISSING) if is_first else provider.fetch_refund(order)
    if fact.outcome is RefundOutcome.MISSING and part.state == State.SENDING:
        fact = provider.send_refund(order)
    book(part_id=part_id, fact=fact, now=now)
    return fact.outcome


def look_by_key(*, key: str, now: datetime) -> RefundOutcome:
    """A notification speaks of a part; what it says itself is believed in nothing. Raises `RefundPart.DoesNotExist`."""
    return look(part_id=RefundPart.objects.values_list("pk", flat=True).get(key=key), now=now)


def order_of(part: RefundPart) -> RefundOrder:
    """The part as its provider is asked for it, the same each time."""
    topup = part.topup
    if topup is None or part.charge_amount is None:
        raise PartError("this part has no way back through a provider")
    return RefundOrder(
        key=part.key,
        order_number=topup.number,
        transaction_id=topup.transaction_id,
        amount=part.charge_amount,
        total=topup.charge_amount,
        currency=part.charge_currency,
        notify_url=f"{topup.request.get('site', settings.SITE_URL)}{NOTIFY_PATHS[topup.method]}",
        refund_id=part.provider_id,
    )


def book(*, part_id: int, fact: RefundFact, now: datetime) -> None:
    """Move a part to what its provider says of it, with the books, in one transaction. A repeat changes nothing."""
    with transaction.atomic():
        part = _locked(part_id)
        if fact.refund_id and not part.provider_id:
            part.provider_id = fact.refund_id
        if fact.detail:
            part.detail = fact.detail[:300]
        part.save(update_fields=["provider_id", "detail"])
        if part.confirmed_by_id is not None:
            if fact.outcome is RefundOutcome.DONE:
                log.error("part %s was paid by bank, and its provider says it paid too", part.key)
        elif fact.outcome is RefundOutcome.DONE:
            if fact.amount is not None and fact.amount != part.charge_amount:
                log.error("part %s: %s was paid back, not %s", part.key, fact.amount, part.charge_amount)
                _park(part, f"the provider paid back {fact.amount} {part.charge_currency}", now=now)
            else:
                _done(part, clearing=_clearing(part), now=now)
        elif fact.outcome is RefundOutcome.FAILED:
            if part.recorded_by_id is None:  # else somebody says that it was paid by bank
                _failed(part, now=now)
        elif fact.outcome is RefundOutcome.PARKED:
            _park(part, fact.detail, now=now)
    _conclude(part.refund_id, now=now)


def record_transfer(*, part_id: int, reference: str, by: User, now: datetime) -> RefundPart:
    """Finance paid a parked part by bank: the first records it, a second confirms it. Raises `PartError`."""
    reference = reference.strip()[:120]
    if not reference:
        raise PartError("Enter the bank's reference.")
    with transaction.atomic():
        part = _locked(part_id)
        _must_not_be_own(part, by)
        if part.state != State.PARKED:
            raise PartError("This part does not wait for a bank transfer.")
        if part.recorded_by_id is None or part.bank_reference != reference:
            part.bank_reference, part.recorded_by = reference, by
            part.save(update_fields=["bank_reference", "recorded_by"])
            return part
        if part.recorded_by_id == by.pk:
            raise PartError("You recorded it: somebody else confirms it.")
        part.confirmed_by = by
        part.save(update_fields=["confirmed_by"])
        _done(part, clearing=f"bank:{part.charge_currency}", now=now)
    _conclude(part.refund_id, now=now)
    return part


def withdraw_transfer(*, part_id: int, by: User, now: datetime) -> RefundPart:
    """What was recorded was not paid: the part waits as before. Raises `PartError`."""
    with transaction.atomic():
        part = _locked(part_id)
        _must_not_be_own(part, by)
        if part.state != State.PARKED or part.recorded_by_id is None:
            raise PartError("No transfer of this part waits for somebody to confirm it.")
        part.bank_reference, part.recorded_by = "", None
        part.save(update_fields=["bank_reference", "recorded_by"])
    return part


def give_back(*, part_id: int, by: User, now: datetime) -> RefundPart:
    """A parked part will not be sent: the money is the customer's again. Only when the provider has not paid it.

    Raises `PartError`.
    """
    part = RefundPart.objects.select_related("refund").get(pk=part_id)
    _must_not_be_own(part, by)
    if part.state != State.PARKED:
        raise PartError("This part does not wait for staff.")
    if look(part_id=part_id, now=now) not in (RefundOutcome.PARKED, RefundOutcome.MISSING, RefundOutcome.FAILED):
        raise PartError("The provider may still pay it. Look again later.")
    with transaction.atomic():
        part = _locked(part_id)
        if part.recorded_by_id is not None:
            raise PartError("A bank transfer of it is recorded: confirm that, or take the record back first.")
        if part.state == State.PARKED:
            part.detail = f"given back by {by.pk}: {part.detail}"[:300]
            part.save(update_fields=["detail"])
            _failed(part, now=now)
        elif part.state != State.FAILED:
            raise PartError("This part does not wait for staff.")
    _conclude(part.refund_id, now=now)
    return part


def _must_not_be_own(part: RefundPart, by: User) -> None:
    if words := objection(by=by, customer_id=part.refund.customer_id):
        raise PartError(words)


def call_off(*, topup_id: int, now: datetime) -> None:
    """Give up the parts that have not left yet to a top-up that is disputed now; their requests are staff's again."""
    for part_id in RefundPart.objects.filter(topup_id=topup_id, state=State.PLANNED).values_list("pk", flat=True):
        with transaction.atomic():
            part = _locked(part_id)
            if part.state != State.PLANNED or part.topup is None or part.topup.disputed <= 0:
                continue
            _drop(part, "the top-up is disputed", now=now)
        _conclude(part.refund_id, now=now)


def new_key() -> str:
    """Our number of a part, unique at every provider."""
    return REFUND_KEY_PREFIX + "".join(secrets.choice(ALPHABET) for _ in range(24))


def _plan(refund_id: int, *, now: datetime) -> None:
    """Write the parts that are missing; under the request's lock, so that nobody plans twice."""
    with transaction.atomic():
        refund = RefundRequest.objects.select_for_update(no_key=True).get(pk=refund_id)
        lock_wallets([refund.customer_id])  # another of this customer's requests may be planned now
        parts = list(refund.parts.all())
        missing = refund.left - sum((part.amount for part in parts if part.state == State.PLANNED), ZERO)
        if refund.state != RefundRequest.State.SENDING or missing <= 0:
            return
        number = max((part.number for part in parts), default=0)
        warned = FraudWarning.objects.filter(refund=refund).values_list("topup_id", flat=True)
        late = TopUp.objects.filter(customer_id=refund.customer_id, number=refund.reference).values_list(
            "pk", flat=True
        )
        first = frozenset([*warned, *late])
        for share in plan(customer_id=refund.customer_id, amount=missing, now=now, first=first):
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
        part = _locked(part_id)
        if part.state != State.PLANNED:
            return False
        topup = part.topup
        if topup is not None and (topup.disputed > 0 or topup.refunded + part.amount > topup.amount):
            _drop(part, "the top-up is disputed" if topup.disputed > 0 else "the top-up has less left", now=now)
            return False
        if topup is not None and (why := waits_for_credit_note(part, topup, now=now)):
            refunds.wait(refund_id=part.refund_id, problem=why, until=now + invoices.LOOK_AGAIN, now=now)
            return False
        if not refunds.part_sent(refund_id=part.refund_id, part=part.number, amount=part.amount, now=now):
            _drop(part, "the balance no longer covers it", now=now)
            return False
        part.charge_amount = charge_of(topup, part.amount) if topup is not None else part.amount
        part.state, part.sent_at, part.look_at = State.SENDING, now, now + timedelta(seconds=LOOKS[0])
        part.save(update_fields=["charge_amount", "state", "sent_at", "look_at"])
        if topup is not None:
            _add_to_topup(topup, part.amount, part.charge_amount)
        if part.charge_amount == 0:
            _done(part, clearing=_clearing(part), now=now)
            return False
        if part.by_bank:
            _park(part, "no payment of this customer can be refunded by its provider: pay by bank transfer", now=now)
            return False
    return True


def _locked(part_id: int) -> RefundPart:
    refund_id = RefundPart.objects.values_list("refund_id", flat=True).get(pk=part_id)
    RefundRequest.objects.select_for_update(no_key=True).get(pk=refund_id)
    part = RefundPart.objects.select_for_update(no_key=True).get(pk=part_id)
    if part.topup_id is not None:
        part.topup = TopUp.objects.select_for_update(no_key=True).get(pk=part.topup_id)
    return part


def _add_to_topup(topup: TopUp, amount: Decimal, charge: Decimal) -> None:
    TopUp.objects.filter(pk=topup.pk).update(
        refunded=F("refunded") + amount, refunded_charge=F("refunded_charge") + charge
    )


def _clearing(part: RefundPart) -> str:
    if part.topup is None or part.by_bank:
        return f"bank:{part.charge_currency}"
    return f"clearing:{part.topup.method}:{part.charge_currency}"


def _done(part: RefundPart, *, clearing: str, now: datetime) -> None:
    if part.state not in RefundPart.ALLOWED_FROM[State.DONE]:
        return
    refunds.part_done(
        refund_id=part.refund_id,
        part=part.number,
        amount=part.amount,
        clearing=clearing,
        charge_amount=part.charge_amount or ZERO,
        currency=part.charge_currency,
        now=now,
    )
    part.state, part.done_at = State.DONE, now
    is_providers = not part.by_bank and part.confirmed_by_id is None
    part.look_at = now + AFTERWARDS[0] if is_providers else None
    part.save(update_fields=["state", "done_at", "look_at"])


def _failed(part: RefundPart, *, now: datetime) -> None:
    if part.state not in RefundPart.ALLOWED_FROM[State.FAILED]:
        return
    was_done = part.state == State.DONE
    refunds.part_failed(
        refund_id=part.refund_id,
        part=part.number,
        amount=part.amount,
        clearing=_clearing(part),
        charge_amount=part.charge_amount or ZERO,
        currency=part.charge_currency,
        was_done=was_done,
        now=now,
    )
    if part.topup is not None:
        _add_to_topup(part.topup, -part.amount, -(part.charge_amount or ZERO))
    part.state, part.failed_at, part.look_at = State.FAILED, now, None
    part.save(update_fields=["state", "failed_at", "look_at"])
    if part.topup is not None:
        want_credit(topup=part.topup, reason=CreditTask.Reason.REFUND, now=now)
    if was_done:
        words = f"part {part.number} came back: {part.detail}"
        refunds.return_to_desk(refund_id=part.refund_id, problem=words, now=now)


def _park(part: RefundPart, detail: str, *, now: datetime) -> None:
    if part.state not in RefundPart.ALLOWED_FROM[State.PARKED]:
        return
    part.state, part.detail, part.look_at = State.PARKED, detail[:300], None
    part.save(update_fields=["state", "detail", "look_at"])


def _drop(part: RefundPart, why: str, *, now: datetime) -> None:
    """A part that has not left is given up; nothing was moved."""
    part.state, part.detail, part.failed_at = State.FAILED, why, now
    part.save(update_fields=["state", "detail", "failed_at"])
    if part.topup is not None:
        want_credit(topup=part.topup, reason=CreditTask.Reason.REFUND, now=now)


def _conclude(refund_id: int, *, now: datetime) -> None:
    """When nothing is on its way any more, the request is done, or staff see what went wrong."""
    parts = list(RefundPart.objects.filter(refund_id=refund_id).order_by("number"))
    if any(part.state in (State.PLANNED, State.SENDING) for part in parts):
        return
    if parked := [part for part in parts if part.state == State.PARKED]:
        _return_once(refund_id, f"part {parked[0].number} waits: {parked[0].detail}", now=now)
        return
    refunds.finish(refund_id=refund_id, now=now)
    if failed := [part for part in parts if part.state == State.FAILED]:
        _return_once(refund_id, f"part {failed[-1].number} failed: {failed[-1].detail}", now=now)


def _return_once(refund_id: int, problem: str, *, now: datetime) -> None:
    if RefundRequest.objects.filter(pk=refund_id, state=RefundRequest.State.SENDING).exists():
        refunds.return_to_desk(refund_id=refund_id, problem=problem, now=now)


def _next_look(part: RefundPart, *, now: datetime) -> datetime | None:
    if part.state == State.SENDING:
        return now + timedelta(seconds=LOOKS[min(part.attempts + 1, len(LOOKS) - 1)])
    if part.state == State.DONE and part.done_at is not None:
        return next((at for after in AFTERWARDS if (at := part.done_at + after) > now), None)
    return None

"""An automatic attempt: an ordinary order, charged to the saved card under the number that was stored before.

No answer is asked again by the same number, as long as the provider surely knows it, then by the payer's list of
payments; nothing is ever charged a second time. The provider is never called inside a transaction.
"""

from datetime import datetime, timedelta

from django.db import transaction

from billing.models import Wallet
from payments.automatic import rule
from payments.automatic.agreements import is_backed, turn_off
from payments.automatic.keeping import provider_of
from payments.automatic.looking import begin_if_low, standing_of
from payments.inbox.retrying import count_failure
from payments.models import AutoTopUp, TopUp
from payments.providers.base import Outcome, PaymentFact
from payments.providers.keeping import ChargeFact, ChargeOrder, No
from payments.topups.orders import Result, credit, end, settle_topup

CERTAIN_AFTER = timedelta(minutes=10)
"""So long after the last call no request of ours is on its way any more: what no list has then was never made."""


def look(*, agreement_id: int, now: datetime) -> TopUp | None:
    """Begin an attempt if the balance is low, and make it."""
    topup = begin_if_low(agreement_id=agreement_id, now=now)
    if topup is not None:
        carry_on(topup_id=topup.pk, now=now)
    return topup


def carry_on(*, topup_id: int, now: datetime) -> Result:
    """Make an attempt, or find out what became of it; may run any number of times."""
    topup = TopUp.objects.select_related("automatic__card", "automatic__customer").get(pk=topup_id)
    if topup.state == TopUp.State.PAID:
        return settle_topup(topup_id=topup_id, now=now)
    try:
        result = _carry_on(topup, now=now)
    except Exception as error:
        count_failure(topup_id, error, now=now)
        raise
    if topup.failures and result is not Result.UNKNOWN:
        TopUp.objects.filter(pk=topup_id, is_late=False).update(failures=0, failure="")
    return result


def _carry_on(topup: TopUp, *, now: datetime) -> Result:
    fact = _ask(topup, now=now)
    if fact.outcome is Outcome.OK:
        return _paid(topup, fact, now=now)
    if topup.state != TopUp.State.OPEN:
        return Result.CLOSED
    if fact.is_missing:
        return _missing(topup, now=now)
    if fact.outcome is Outcome.REJECTED:
        return _refused(topup, fact, now=now)
    if fact.outcome is Outcome.PENDING and fact.payment.transaction_id:
        _note(topup, fact.payment.transaction_id)
    return Result.PENDING if fact.outcome is Outcome.PENDING else Result.UNKNOWN


def _ask(topup: TopUp, *, now: datetime) -> ChargeFact:
    agreement = _agreement(topup)
    card = agreement.card
    order = ChargeOrder(
        number=topup.number,
        amount=topup.charge_amount,
        currency=topup.charge_currency,
        subject=topup.request["subject"],
        payer=card.payer,
        reference=card.reference,
    )
    try:
        provider = provider_of(topup.method)
    except LookupError as error:
        return ChargeFact(PaymentFact(Outcome.UNKNOWN, detail=str(error)))
    if not _may_charge(topup, agreement, now=now):
        return provider.find_charge(order)
    TopUp.objects.filter(pk=topup.pk).update(asked_at=now)
    topup.asked_at = now
    return provider.charge(order)


def _may_charge(topup: TopUp, agreement: AutoTopUp, *, now: datetime) -> bool:
    """Whether the charge may be asked for, first or once more: nothing stands against it that came up meanwhile."""
    if topup.state != TopUp.State.OPEN or topup.reference or now >= topup.created_at + ChargeOrder.SAME_FOR:
        return False
    if agreement.state != AutoTopUp.State.ON or now >= agreement.ends_at or not is_backed(agreement):
        return False
    standing = standing_of(agreement, Wallet.objects.get(pk=topup.customer_id), now=now)
    return rule.never(standing) is None


def _paid(topup: TopUp, fact: ChargeFact, *, now: datetime) -> Result:
    result = credit(topup_id=topup.pk, fact=fact.payment, now=now)
    _look_again(topup, now=now)
    return result


def _missing(topup: TopUp, *, now: datetime) -> Result:
    """Nothing was charged, and nothing will be: the order ends; what is on stays on."""
    if now < (topup.asked_at or topup.created_at) + CERTAIN_AFTER:
        return Result.PENDING
    end(topup, to=TopUp.State.FAILED, now=now)
    _look_again(topup, now=now)
    return Result.CLOSED


def _refused(topup: TopUp, fact: ChargeFact, *, now: datetime) -> Result:
    """The card says no: the payment is called off first, so that nobody makes it later, then all ends together."""
    if fact.payment_id:
        _note(topup, fact.payment_id)
        off = provider_of(topup.method).call_off(fact.payment_id)
        if off.outcome is Outcome.OK:
            return _paid(topup, off, now=now)
        if off.outcome is not Outcome.REJECTED or off.payment_id:
            return Result.UNKNOWN
    with transaction.atomic():
        locked = TopUp.objects.select_for_update(no_key=True).get(pk=topup.pk)
        if end(locked, to=TopUp.State.FAILED, now=now):
            rows = AutoTopUp.objects.select_for_update(no_key=True, of=("self",)).select_related("card", "customer")
            why = fact.why or No.REFUSED
            turn_off(rows.get(pk=_agreement(topup).pk), reason=why.value, now=now, topup=locked)
    return Result.CLOSED


def _note(topup: TopUp, payment_id: str) -> None:
    TopUp.objects.filter(pk=topup.pk, reference="").update(reference=payment_id)


def _look_again(topup: TopUp, *, now: datetime) -> None:
    AutoTopUp.objects.filter(customer_id=topup.customer_id, state=AutoTopUp.State.ON).update(look_at=now)


def _agreement(topup: TopUp) -> AutoTopUp:
    if topup.automatic is None:
        raise ValueError(f"{topup.number} is no automatic one")
    return topup.automatic

"""Refunds that somebody began at the provider, in its dashboard: found, compared with ours, and booked once.

The provider is asked for its refunds of a payment; what is not one of our parts becomes a request of its own, done
already. The money has left, so it is booked whatever the wallet holds. Lock order: the top-up, then the wallet.
"""

import logging
import secrets
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from billing import refunds
from billing.books import chart
from billing.models import CreditTask, RefundRequest
from payments import refunds as refunding
from payments.disputes.cases import NotYet
from payments.invoices.sources import want_credit
from payments.models import RefundPart, TopUp
from payments.providers import registry
from payments.providers.base import EXTERNAL_KEY_PREFIX, ProviderRefund, RefundFact, RefundOutcome
from payments.topups.shares import back_begun_there

log = logging.getLogger(__name__)

AGAIN = timedelta(minutes=5)
"""When a refund that is not through yet is asked about again."""
TOMORROW = timedelta(days=1)


class DoesNotFit(Exception):
    """More than is left of the top-up, or in another currency: staff have to look."""


def settle_refunds(*, topup_id: int, key: str, now: datetime) -> list[RefundRequest]:
    """Book the refunds of a top-up that its provider knows and we do not; return those booked now.

    `key` is the provider's number of the refund, where it lists none. Raises `ProviderError`, `LookupError`,
    `DoesNotFit`, and `NotYet` while a part of ours on its way, which then cannot arrive, takes the room; the others
    are booked first.
    """
    topup = TopUp.objects.get(pk=topup_id)
    known = {part.pk: part for part in topup.refund_parts.all()}
    found = registry.get(topup.method).find_refunds(
        order_number=topup.order_number, transaction_id=topup.transaction_id, key=key
    )
    named = [(refund, _part_of(topup, refund)) for refund in found]
    for refund, part in named:  # ours first: one that failed leaves its room to what was begun there
        if part is None:
            continue
        fact = RefundFact(refund.outcome, refund.refund_id, refund.amount, refund.detail)
        # A part of ours that was booked otherwise meanwhile is asked about by itself.
        if not refunding.book(part_id=part.pk, fact=fact, now=now, seen=known.get(part.pk)):
            refunding.look(part_id=part.pk, now=now)
    booked, not_booked = [], list[NotYet | DoesNotFit]()
    for refund, part in named:
        if part is not None or refund.outcome is RefundOutcome.FAILED:
            continue
        try:
            if (made := _record(topup_id, refund, now=now)) is not None:
                booked.append(made)
        except (NotYet, DoesNotFit) as error:
            not_booked.append(error)
    if not_booked:  # what will be known later comes first: it is asked about again
        raise min(not_booked, key=lambda error: isinstance(error, DoesNotFit))
    return booked


def _part_of(topup: TopUp, refund: ProviderRefund) -> RefundPart | None:
    """Ours by the number it was sent with, or known by the provider's."""
    ours = Q(provider_id=refund.refund_id) | (Q(key=refund.key) if refund.key else Q())
    return RefundPart.objects.filter(ours, topup=topup).order_by("pk").first()


def _who_has_the_room(topup: TopUp) -> str:
    """Staff decide about what is parked; the room of what they give back is free for what was begun there."""
    parked = RefundPart.objects.filter(topup=topup, state=RefundPart.State.PARKED).order_by("pk")
    return "".join(f"; part {part} waits for staff" for part in parked)


def _free_key(refund: ProviderRefund) -> str:
    """The number to ask the provider by; where numbers are unique within a payment alone, one may be taken."""
    number = (refund.key or refund.refund_id)[:64]
    taken = RefundPart.objects.filter(key=number).exists()
    return f"{EXTERNAL_KEY_PREFIX}{secrets.token_hex(12)}" if taken else number


def _record(topup_id: int, refund: ProviderRefund, *, now: datetime) -> RefundRequest | None:
    """One request with one part, done; None if somebody else booked it meanwhile."""
    with transaction.atomic():
        topup = TopUp.objects.select_for_update(no_key=True).get(pk=topup_id)
        if _part_of(topup, refund) is not None:
            return None
        back = back_begun_there(topup, refund.amount)
        amount = back.amount
        fits = topup.refunded + amount <= topup.amount and topup.refunded_charge + refund.amount <= topup.charge_amount
        if not fits and RefundPart.objects.filter(topup=topup, state=RefundPart.State.SENDING).exists():
            raise NotYet(f"a part of ours is on its way to {topup.number}")
        if refund.currency != topup.charge_currency or refund.amount <= 0 or not fits:
            words = f"refund {refund.refund_id} of {refund.amount} {refund.currency}, begun at the provider"
            raise DoesNotFit(words if fits else words + _who_has_the_room(topup))

        def write_part(request: RefundRequest) -> None:
            is_through = refund.outcome is RefundOutcome.DONE
            RefundPart.objects.create(
                refund=request,
                number=1,
                topup=topup,
                state=RefundPart.State.DONE,
                amount=amount,
                charge_amount=refund.amount,
                fee_amount=back.fee,
                charge_currency=topup.charge_currency,
                key=_free_key(refund),
                provider_id=refund.refund_id,
                detail=refund.detail[:300],
                created_at=now,
                sent_at=now,
                done_at=now,
                look_at=now + (TOMORROW if is_through else AGAIN),
            )
            refunding.sum_up(topup)

        made = refunds.record_external(
            customer=topup.customer,
            money=refunds.PartMoney(
                amount=amount,
                charge_amount=refund.amount,
                currency=topup.charge_currency,
                clearing=chart.clearing(topup.method, topup.charge_currency),
                fee=back.fee,
            ),
            reference=refund.refund_id,
            reason="Refunded at the provider",
            now=now,
            in_transaction=write_part,
        )
        want_credit(topup=topup, reason=CreditTask.Reason.REFUND, now=now)
    log.warning("%s: refund %s was begun at %s", topup.number, refund.refund_id, topup.method)
    return made

"""Refunds that somebody began at the provider, in its dashboard: found, compared with ours, and booked once.

The provider is asked for its refunds of a payment; what is not one of our parts becomes a request of its own, done
already. The money has left, so it is booked whatever the wallet holds. Lock order: the top-up, then the wallet.
"""

import logging
import secrets
from datetime import datetime, timedelta
from decimal import ROUND_UP, Decimal

from django.db import transaction
from django.db.models import F, Q

from billing import refunds
from billing.models import CreditTask, RefundRequest
from billing.money import CENT
from payments import refunding
from payments.disputes import NotYet
from payments.invoice_sources import want_credit
from payments.models import RefundPart, TopUp
from payments.providers import registry
from payments.providers.base import ProviderRefund, RefundFact, RefundOutcome

log = logging.getLogger(__name__)

AGAIN = timedelta(minutes=5)
"""When a refund that is not through yet is asked about again."""
TOMORROW = timedelta(days=1)


class DoesNotFit(Exception):
    """More than is left of the top-up, or in another currency: staff have to look."""


def settle_refunds(*, topup_id: int, key: str, now: datetime) -> list[RefundRequest]:
    """Book the refunds of a top-up that its provider knows and we do not; return those booked now.

    `key` is the provider's number of the refund, where it lists none. Raises `ProviderError`, `LookupError`,
    `DoesNotFit`, and `NotYet` while a part of ours on its way, which then cannot arrive, takes the room.
    """
    topup = TopUp.objects.get(pk=topup_id)
    found = registry.get(topup.method).find_refunds(
        order_number=topup.number, transaction_id=topup.transaction_id, key=key
    )
    booked = []
    for refund in found:
        if (part := _part_of(topup, refund)) is not None:
            fact = RefundFact(refund.outcome, refund.refund_id, refund.amount, refund.detail)
            refunding.book(part_id=part.pk, fact=fact, now=now)
        elif refund.outcome is not RefundOutcome.FAILED and (made := _record(topup_id, refund, now=now)) is not None:
            booked.append(made)
    return booked


def credit_of(topup: TopUp, charge: Decimal) -> Decimal:
    """What `charge` more, paid back in the top-up's currency, is in USD.

    The least that the formula of refunds gives that much for, so that what is left of both stays in step: a cent at
    least, and the last cent only with the last fen.
    """
    if topup.charge_currency == "USD":
        return charge
    charge_after = topup.refunded_charge + charge
    after = (topup.amount * charge_after / topup.charge_amount).quantize(CENT, rounding=ROUND_UP)
    if charge_after < topup.charge_amount:
        after = min(after, topup.amount - CENT)
    return max(after - topup.refunded, CENT)


def _part_of(topup: TopUp, refund: ProviderRefund) -> RefundPart | None:
    """Ours by the number it was sent with, or known by the provider's."""
    ours = Q(provider_id=refund.refund_id) | (Q(key=refund.key) if refund.key else Q())
    return RefundPart.objects.filter(ours, topup=topup).order_by("pk").first()


def _free_key(refund: ProviderRefund) -> str:
    """The number to ask the provider by; Alipay's are unique only within a payment, so one may be taken."""
    number = (refund.key or refund.refund_id)[:64]
    taken = RefundPart.objects.filter(key=number).exists()
    return f"external_{secrets.token_hex(12)}" if taken else number


def _record(topup_id: int, refund: ProviderRefund, *, now: datetime) -> RefundRequest | None:
    """One request with one part, done; None if somebody else booked it meanwhile."""
    with transaction.atomic():
        topup = TopUp.objects.select_for_update(no_key=True).get(pk=topup_id)
        if _part_of(topup, refund) is not None:
            return None
        amount = credit_of(topup, refund.amount)
        fits = topup.refunded + amount <= topup.amount and topup.refunded_charge + refund.amount <= topup.charge_amount
        if not fits and RefundPart.objects.filter(topup=topup, state=RefundPart.State.SENDING).exists():
            raise NotYet(f"a part of ours is on its way to {topup.number}")
        if refund.currency != topup.charge_currency or refund.amount <= 0 or not fits:
            raise DoesNotFit(f"refund {refund.refund_id} of {refund.amount} {refund.currency}, begun at the provider")

        def write_part(request: RefundRequest) -> None:
            is_through = refund.outcome is RefundOutcome.DONE
            RefundPart.objects.create(
                refund=request,
                number=1,
                topup=topup,
                state=RefundPart.State.DONE,
                amount=amount,
                charge_amount=refund.amount,
                charge_currency=topup.charge_currency,
                key=_free_key(refund),
                provider_id=refund.refund_id,
                detail=refund.detail[:300],
                created_at=now,
                sent_at=now,
                done_at=now,
                look_at=now + (TOMORROW if is_through else AGAIN),
            )
            TopUp.objects.filter(pk=topup.pk).update(
                refunded=F("refunded") + amount, refunded_charge=F("refunded_charge") + refund.amount
            )

        made = refunds.record_external(
            customer=topup.customer,
            amount=amount,
            clearing=f"clearing:{topup.method}:{topup.charge_currency}",
            charge_amount=refund.amount,
            currency=topup.charge_currency,
            reference=refund.refund_id,
            reason="Refunded at the provider",
            now=now,
            in_transaction=write_part,
        )
        want_credit(topup=topup, reason=CreditTask.Reason.REFUND, now=now)
    log.warning("%s: refund %s was begun at %s", topup.number, refund.refund_id, topup.method)
    return made

"""What a statement's line or staff name by the provider's number: fetched there, and settled like any other.

Whatever is settled is compared and booked by the one function for it; a number that is none of ours books nothing.
"""

import logging
import re
from collections.abc import Iterable
from datetime import datetime

from django.utils.translation import gettext as _

from payments import refunds
from payments.disputes.cases import NotYet, settle_dispute, topup_of
from payments.models import Dispute, RefundPart, StatementLine, TopUp
from payments.providers import registry
from payments.providers.base import DisputingProvider, ProviderError
from payments.refunds.external import DoesNotFit, settle_refunds
from payments.topups.orders import Result, settle_topup

log = logging.getLogger(__name__)

NUMBER = re.compile(r"[A-Za-z0-9_-]{3,80}")


NUMBERED_BY_PAYMENT = tuple(code for code, spec in registry.SPECS.items() if spec.numbers_refunds_by_payment)
"""Whose refunds have numbers that are unique within a payment alone."""


class NotOurs(Exception):
    """The provider knows no order of ours by this number; the text is for staff."""


def settle_payment(*, provider: str, number: str, now: datetime) -> tuple[TopUp, Result]:
    """Settle the top-up with this number, ours or the provider's of its payment, and its refunds begun there.

    Raises `NotOurs`, `ProviderError`, and `LookupError` for a provider that is off.
    """
    _must_be_a_number(number)
    topup = TopUp.objects.named(number).filter(method=provider).first()
    if topup is None:
        ours = registry.get(provider).find_payment(number).order_number
        topup = TopUp.objects.filter(method=provider, number=ours).first() if ours else None
        if topup is None:
            words = (
                _("It belongs to order %(number)s, which is none of ours.") if ours else _("It knows no such payment.")
            )
            raise NotOurs(words % {"number": ours[:60]} if ours else words)
    is_order = number in (topup.number, topup.transaction_id)
    result = settle_topup(topup_id=topup.pk, now=now, payment_id="" if is_order else number)
    topup.refresh_from_db()
    if topup.state == TopUp.State.PAID and isinstance(registry.get(provider), DisputingProvider):
        settle_refunds(topup_id=topup.pk, key="", now=now)  # the others list none
    return topup, result


def provider_of(number: str) -> str:
    """Whose number of a payment it is by its form, or whose order; "" where nothing tells."""
    order = TopUp.objects.filter(number=number).values_list("method", flat=True).first()
    return order or next(
        (code for code, spec in registry.SPECS.items() if re.fullmatch(spec.payment_number, number)), ""
    )


def settle_named_dispute(*, provider: str, number: str, now: datetime) -> Dispute:
    """Settle a dispute by the provider's number of it. Raises as `settle_dispute`, and `NotOurs` for no number."""
    _must_be_a_number(number)
    return settle_dispute(provider=provider, dispute_id=number, now=now)


def settle_lines(lines: Iterable[StatementLine], *, now: datetime) -> None:
    """Settle what these lines name; what cannot be settled now is told by the match that follows."""
    for line in lines:
        try:
            _settle_line(line, now=now)
        except (ProviderError, NotYet, DoesNotFit, LookupError) as error:
            log.warning("%s of %s: %s", line.key, line.provider, error)
        except Exception:
            log.exception("%s of %s could not be settled", line.key, line.provider)


def paid_topup_of(line: StatementLine) -> TopUp | None:
    """The top-up behind a line's payment; one that is not paid has no transaction, and a line may name none."""
    paid = TopUp.objects.filter(method=line.provider, state=TopUp.State.PAID)
    return paid.filter(transaction_id=line.transaction_id).first()


def part_of(line: StatementLine) -> RefundPart | None:
    """Our part of a refund, by the number it was sent with or the provider's."""
    parts = RefundPart.objects.filter(topup__method=line.provider)
    if line.provider in NUMBERED_BY_PAYMENT:
        parts = parts.filter(topup__transaction_id=line.transaction_id)
    ours = parts.filter(key=line.number).first() if line.number else None
    return ours or (parts.filter(provider_id=line.refund_id).first() if line.refund_id else None)


def _must_be_a_number(text: str) -> None:
    """It becomes a part of an address at the provider."""
    if not NUMBER.fullmatch(text):
        raise NotOurs(_("A provider's numbers have letters and digits alone."))


def _settle_line(line: StatementLine, *, now: datetime) -> None:
    if line.kind == "payment":
        order = TopUp.objects.filter(method=line.provider, number=line.number).first() if line.number else None
        if order is not None:
            settle_topup(topup_id=order.pk, now=now, payment_id=line.transaction_id)
        elif not line.number:
            topup_of(provider=line.provider, payment_id=line.transaction_id, now=now)
    elif line.kind in ("refund", "refund_failure"):
        part = part_of(line)
        topup = paid_topup_of(line)
        if part is not None:
            refunds.look(part_id=part.pk, now=now)
        elif topup is not None:
            settle_refunds(topup_id=topup.pk, key=line.number or line.refund_id, now=now)
    elif line.kind == "dispute":
        known = Dispute.objects.filter(provider=line.provider, payment_id=line.transaction_id)
        for dispute_id in [line.refund_id] if line.refund_id else list(known.values_list("provider_id", flat=True)):
            settle_dispute(provider=line.provider, dispute_id=dispute_id, now=now)

"""What Stripe's objects say of a payment, a refund or a dispute. Facts about them: stripe 16.1.0."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from billing.books.money import PLACES, from_minor
from payments.providers.base import (
    DisputeFact,
    Movement,
    Outcome,
    PaymentFact,
    ProviderRefund,
    RefundFact,
    RefundOutcome,
)
from payments.providers.reading import inside, mapping, needed, second, text, whole, words

REFUND_OUTCOMES = {
    "succeeded": RefundOutcome.DONE,
    "failed": RefundOutcome.FAILED,
    "canceled": RefundOutcome.FAILED,
    "requires_action": RefundOutcome.PARKED,
}
MOST_OWN = 500
"""Characters of what we may have given Stripe to keep, as any other shop on the account may."""


def payment_fact(session: Mapping[str, Any], *, number: str) -> PaymentFact:
    """Of a Checkout Session; `number` is our order's. Raises `NotReadable`, as all of these do."""
    status, payment_status = needed(session, "status"), needed(session, "payment_status")
    outcome = Outcome.PENDING
    if payment_status == "paid":
        outcome = Outcome.OK
    elif status == "expired":
        outcome = Outcome.REJECTED
    intent, paid_at = session.get("payment_intent"), None
    if isinstance(intent, Mapping):
        charge = intent.get("latest_charge")
        paid_at = second(charge.get("created")) if isinstance(charge, Mapping) else None
    currency = text(session, "currency").upper()
    return PaymentFact(
        outcome,
        order_number=text(session, "client_reference_id", most=MOST_OWN),
        transaction_id=text(intent, "id") if isinstance(intent, Mapping) else text(session, "payment_intent"),
        amount=from_minor(whole(session, "amount_total"), currency=currency) if outcome is Outcome.OK else Decimal(0),
        currency=currency,
        is_ours=session.get("client_reference_id") == number,  # a session of another account cannot be fetched
        detail=f"{status}, {payment_status}",
        paid_at=paid_at,
    )


def intent_fact(intent: Mapping[str, Any]) -> PaymentFact:
    """Of a payment intent, which may be another shop's."""
    outcomes = {"succeeded": Outcome.OK, "canceled": Outcome.REJECTED}
    outcome = outcomes.get(status := needed(intent, "status"), Outcome.PENDING)
    order = text(inside(intent, "metadata"), "order", most=MOST_OWN)
    is_ours = bool(order) and _is_known(intent)  # another shop's is in whatever currency
    return PaymentFact(
        outcome,
        order_number=order,
        transaction_id=needed(intent, "id"),
        amount=_amount(intent, "amount_received") if is_ours and outcome is Outcome.OK else Decimal(0),
        currency=needed(intent, "currency").upper(),
        is_ours=is_ours,
        detail=status,
        paid_at=second(intent.get("created")),
    )


def refund_fact(refund: Mapping[str, Any]) -> RefundFact:
    """Of a refund that we asked for."""
    outcome, detail = _state_of(refund)
    return RefundFact(outcome, refund_id=needed(refund, "id"), amount=_amount(refund), detail=detail)


def _state_of(refund: Mapping[str, Any]) -> tuple[RefundOutcome, str]:
    status = needed(refund, "status")
    detail = words(f"{status} {refund.get('failure_reason') or ''}".strip())
    return REFUND_OUTCOMES.get(status, RefundOutcome.PENDING), detail


def part_of(refund: Mapping[str, Any]) -> str:
    """Our number for a refund, if it is one of ours."""
    return text(inside(refund, "metadata"), "part", most=MOST_OWN)


def provider_refund(refund: Mapping[str, Any]) -> ProviderRefund:
    """Of a refund, whoever began it."""
    outcome, detail = _state_of(refund)
    return ProviderRefund(
        refund_id=needed(refund, "id"),
        key=part_of(refund),
        amount=_known_amount(refund),
        currency=needed(refund, "currency").upper(),
        outcome=outcome,
        detail=detail,
    )


def dispute_fact(dispute: Mapping[str, Any]) -> DisputeFact:
    """Of a dispute, with its rows on our account."""
    rows = [mapping(row, "a row") for row in dispute["balance_transactions"]]
    return DisputeFact(
        dispute_id=needed(dispute, "id"),
        payment_id=text(dispute, "payment_intent"),
        status=needed(dispute, "status"),
        reason=text(dispute, "reason"),
        amount=_known_amount(dispute),
        currency=needed(dispute, "currency").upper(),
        opened_at=_at(dispute),
        card=card_of(charge) if isinstance(charge := dispute.get("charge"), Mapping) else "",
        evidence_due_at=second(inside(dispute, "evidence_details").get("due_by")),
        movements=tuple(
            Movement(
                row_id=needed(row, "id"),
                amount=_amount(row),
                fee=_amount(row, "fee"),
                currency=needed(row, "currency").upper(),
                at=_at(row),
            )
            for row in rows
            if _is_known(row)
        ),
        unknown=tuple(
            words(f"{needed(row, 'id')} of {whole(row, 'amount')} {row['currency'].upper()}")
            for row in rows
            if not _is_known(row)
        ),
    )


def card_of(charge: Mapping[str, Any]) -> str:
    """The fingerprint of the card that a charge was made by, "" where none is told."""
    return fingerprint_of(inside(inside(charge, "payment_method_details"), "card"))


def fingerprint_of(card: Mapping[str, Any]) -> str:
    return text(card, "fingerprint")


def _is_known(thing: Mapping[str, Any]) -> bool:
    """Whether its amounts can be told: the units of its currency are known."""
    return needed(thing, "currency").upper() in PLACES


def _known_amount(thing: Mapping[str, Any]) -> Decimal:
    """Nothing in a currency that is not known: whoever compares it sees that it does not fit, and reads the rest."""
    return _amount(thing) if _is_known(thing) else Decimal(0)


def _amount(thing: Mapping[str, Any], name: str = "amount") -> Decimal:
    """In the minor units of the thing's own currency."""
    return from_minor(whole(thing, name), currency=needed(thing, "currency").upper())


def _at(thing: Mapping[str, Any]) -> datetime:
    return datetime.fromtimestamp(whole(thing, "created"), tz=UTC)

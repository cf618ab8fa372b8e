"""An event that Stripe sends: verified, and what it is about."""

import json
from collections.abc import Mapping
from typing import Any

import stripe

from payments.providers.base import BadNotice, BadSignature, Notice
from payments.providers.reading import NotReadable, mapping, needed, text, words
from payments.providers.stripe.facts import MOST_OWN, part_of

TOLERANCE_SECONDS = 300


def read(body: bytes, headers: Mapping[str, str], *, secret: str) -> Notice:
    """Raises `BadSignature`, and `BadNotice` for one that is signed and cannot be read."""
    try:
        stripe.WebhookSignature.verify_header(  # type: ignore[no-untyped-call]
            body.decode("utf-8"), headers.get("Stripe-Signature", ""), secret, TOLERANCE_SECONDS
        )
    except Exception as error:  # odd headers and bytes raise what they like
        raise BadSignature(words(error)) from None
    try:
        event = mapping(json.loads(body), "the event")
        about = mapping(mapping(event.get("data"), "data").get("object"), "object")
        kind = needed(event, "type", most=100)
        number, reference = _about(kind, about)
        payment = about.get("payment_intent") if kind.startswith("checkout.session.") else None
        return Notice(
            kind=kind,
            key=needed(event, "id", most=200),
            order_number=number,
            reference=reference,
            transaction_id=text(about, "payment_intent") if isinstance(payment, str) else "",
        )
    except NotReadable as error:
        raise BadNotice(str(error)) from None
    except (ValueError, RecursionError) as error:
        raise BadNotice(type(error).__name__) from None


def _about(kind: str, about: Mapping[str, Any]) -> tuple[str, str]:
    """Our number in an event's object, and Stripe's for what it is about."""
    if kind.startswith("checkout.session."):
        return text(about, "client_reference_id", most=MOST_OWN), ""
    if kind.startswith(("refund.", "charge.refund")):
        # "charge.refunded" is about the charge, the others are about the refund; both name the payment.
        return part_of(about), text(about, "payment_intent")
    if kind.startswith(("charge.dispute.", "radar.early_fraud_warning.")):
        return "", needed(about, "id")
    return "", ""

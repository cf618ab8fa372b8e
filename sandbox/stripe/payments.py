"""What a card does to a session: payment intents, charges, and their rows in the balance."""

import hashlib
from dataclasses import dataclass
from typing import Any

from sandbox.store import Order
from sandbox.stripe.objects import Objects

DAY = 86400
DECLINES = {
    "4000000000000002": ("generic_decline", "Your card was declined."),
    "4000000000009995": ("insufficient_funds", "Your card has insufficient funds."),
    "4000000000000069": ("expired_card", "Your card has expired."),
    "4000000000000127": ("incorrect_cvc", "Your card's security code is incorrect."),
}
# Stripe's own test cards that do something later.
DISPUTED, WARNED, REFUND_FAILS, REFUND_PENDS = (
    "4000000000000259",
    "4000000000005423",
    "4000000000005126",
    "4000000000007726",
)


@dataclass(frozen=True)
class Card:
    number: str

    @property
    def brand(self) -> str:
        if self.number.startswith("4"):
            return "visa"
        if self.number[:2] in ("34", "37"):
            return "amex"
        if self.number[:2] in ("51", "52", "53", "54", "55") or 2221 <= int(self.number[:4] or 0) <= 2720:
            return "mastercard"
        return "unknown"

    @property
    def fingerprint(self) -> str:
        """The same wherever the card is entered."""
        return hashlib.sha256(self.number.encode()).hexdigest()[:16]

    @property
    def is_valid(self) -> bool:
        """The check digit (Luhn) and the length."""
        if not self.number.isdigit() or not 13 <= len(self.number) <= 19:
            return False
        doubled = [int(digit) * (2 if index % 2 else 1) for index, digit in enumerate(reversed(self.number))]
        return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def fee(amount: int) -> int:
    """2.9 % and 30 cents, rounded half up, in cents."""
    return (amount * 29 + 500) // 1000 + 30


def intent_of(objects: Objects, order: Order) -> dict[str, Any]:
    """The session's payment intent; made at the first attempt."""
    if order.transaction:
        return objects.get(order.transaction, kind="payment_intent")
    asked = order.request.get("payment_intent_data", {})
    intent = objects.new(
        "pi",
        "payment_intent",
        amount=order.amount,
        amount_capturable=0,
        amount_received=0,
        capture_method="automatic_async",
        currency=order.currency.lower(),
        customer=None,
        description=asked.get("description"),
        last_payment_error=None,
        latest_charge=None,
        metadata=dict(asked.get("metadata", {})),
        payment_method_types=["card"],
        receipt_email=asked.get("receipt_email"),
        status="requires_payment_method",
    )
    order.transaction = intent["id"]
    return intent


def decline(objects: Objects, order: Order, card: Card, *, code: str, message: str) -> dict[str, Any]:
    """A failed charge; the intent waits for another card."""
    intent = intent_of(objects, order)
    charge = _charge(
        objects, order, intent, card, status="failed", failure_code="card_declined", failure_message=message
    )
    intent["latest_charge"] = charge["id"]
    intent["last_payment_error"] = {
        "code": "card_declined",
        "decline_code": code,
        "message": message,
        "type": "card_error",
        "charge": charge["id"],
    }
    objects.save(intent)
    return intent


def capture(objects: Objects, order: Order, card: Card) -> tuple[dict[str, Any], dict[str, Any]]:
    """The paid intent and its charge, with its row in the balance."""
    intent = intent_of(objects, order)
    charge = _charge(objects, order, intent, card, status="succeeded")
    row = movement(objects, source=charge["id"], kind="charge", amount=order.amount, fee=fee(order.amount))
    charge |= {"balance_transaction": row["id"], "amount_captured": order.amount, "captured": True, "paid": True}
    objects.save(charge)
    intent |= {
        "amount_received": order.amount,
        "latest_charge": charge["id"],
        "last_payment_error": None,
        "status": "succeeded",
    }
    objects.save(intent)
    return intent, charge


RATES = {
    "usd": (1.0, 1.0, 1.0),
    "eur": (0.92, 0.93, 0.95),
    "hkd": (7.78, 7.8, 7.83),
    "jpy": (149.5, 151.0, 155.0),
    "kwd": (0.306, 0.308, 0.31),
}
"""What a dollar is where the account settles: on the day of a charge, of a refund, of anything else."""
UNITS = {"jpy": 1, "kwd": 1000}
"""Minor units of one, where they are not 100."""


def settled(amount: int, *, currency: str, kind: str) -> int:
    """Cents in the minor units of the account's currency, at the rate of the day."""
    charges, refunds, others = RATES[currency]
    rate = charges if kind == "charge" else refunds if kind.startswith("refund") else others
    return round(amount / 100 * rate * UNITS.get(currency, 100))


def movement(
    objects: Objects, *, source: str, kind: str, amount: int, fee: int = 0, category: str = "", text: str = ""
) -> dict[str, Any]:
    """A balance transaction; `amount` and `fee` in cents, an amount below zero leaves the balance."""
    currency = objects.settles_in
    if kind != "payout":
        amount, fee = (settled(value, currency=currency, kind=kind) for value in (amount, fee))
    row = objects.new("txn", "balance_transaction", amount=amount, currency=currency, type=kind, source=source)
    row |= {
        "available_on": row["created"] + 2 * DAY,
        "description": text or None,
        "exchange_rate": None if currency == "usd" or kind == "payout" else RATES[currency][0],
        "fee": fee,
        "fee_details": [
            {"amount": fee, "currency": currency, "description": "Stripe processing fees", "type": "stripe_fee"}
        ]
        if fee
        else [],
        "net": amount - fee,
        "reporting_category": category or kind,
        "status": "pending",
    }
    objects.save(row)
    return row


def _charge(
    objects: Objects, order: Order, intent: dict[str, Any], card: Card, *, status: str, **failure: str
) -> dict[str, Any]:
    is_good = status == "succeeded"
    return objects.new(
        "ch",
        "charge",
        amount=order.amount,
        amount_captured=0,
        amount_refunded=0,
        balance_transaction=None,
        billing_details={"email": order.request.get("customer_email") or "payer@example.com", "name": "Sandbox Payer"},
        captured=False,
        currency=order.currency.lower(),
        customer=intent.get("customer"),
        description=intent["description"],
        disputed=False,
        failure_code=failure.get("failure_code"),
        failure_message=failure.get("failure_message"),
        metadata=dict(intent["metadata"]),
        outcome={"type": "authorized" if is_good else "issuer_declined", "risk_level": "normal"},
        paid=False,
        payment_intent=intent["id"],
        payment_method=intent.get("payment_method"),
        payment_method_details={
            "type": "card",
            "card": {
                "brand": card.brand,
                "last4": card.number[-4:],
                "exp_month": 12,
                "exp_year": 2034,
                "country": "US",
                "fingerprint": card.fingerprint,
            },
        },
        receipt_email=intent["receipt_email"],
        refunded=False,
        sandbox_card=card.number,
        status=status,
    )

"""Disputes: opened, the money taken, won or lost; an inquiry moves no money."""

from typing import Any

from sandbox.stripe import payments
from sandbox.stripe.objects import Objects
from sandbox.world import NotPossible

FEE = 1500  # cents
STEPS = ("open", "inquire", "withdraw", "reinstate", "win", "lose", "close")


def of_charge(objects: Objects, charge: str) -> dict[str, Any] | None:
    """The newest."""
    return next((d for d in reversed(objects.all("dispute")) if d["charge"] == charge), None)


def step(
    objects: Objects, charge: dict[str, Any], *, name: str, amount: int | None = None
) -> tuple[dict[str, Any], list[str]]:
    """The dispute after one of `STEPS`, and the names of its events. Raise `NotPossible`."""
    if name in ("open", "inquire"):
        return _open(objects, charge, amount=amount, is_inquiry=name == "inquire"), ["charge.dispute.created"]
    dispute = of_charge(objects, charge["id"])
    if dispute is None:
        raise NotPossible("This payment has no dispute; open one first.")
    moved = dispute["balance_transactions"]
    taken = dispute["amount"] if sum(1 if row["amount"] < 0 else -1 for row in moved) > 0 else 0
    if name == "withdraw":
        if taken > 0:
            raise NotPossible("The money is withdrawn already.")
        _move(objects, dispute, amount=-dispute["amount"], fee=FEE, category="dispute")
        return dispute, ["charge.dispute.funds_withdrawn"]
    events = []
    if name in ("win", "reinstate") and taken > 0:
        _move(objects, dispute, amount=taken, fee=0, category="dispute_reversal")
        events.append("charge.dispute.funds_reinstated")
    if name == "reinstate" and not events:
        raise NotPossible("No money is withdrawn.")
    if name != "reinstate":
        is_inquiry = dispute["status"].startswith("warning")
        dispute["status"] = "warning_closed" if is_inquiry else {"win": "won", "lose": "lost"}.get(name, "lost")
        events.insert(0, "charge.dispute.closed")
        if name == "win" or is_inquiry:
            charge["disputed"] = False
            objects.save(charge)
    objects.save(dispute)
    return dispute, events


def warn(objects: Objects, charge: dict[str, Any]) -> dict[str, Any]:
    return objects.new(
        "issfr",
        "radar.early_fraud_warning",
        actionable=not charge["refunded"] and not charge["disputed"],
        charge=charge["id"],
        fraud_type="made_with_stolen_card",
        payment_intent=charge["payment_intent"],
    )


def _open(objects: Objects, charge: dict[str, Any], *, amount: int | None, is_inquiry: bool) -> dict[str, Any]:
    if charge["status"] != "succeeded":
        raise NotPossible("Only a paid charge can be disputed.")
    if amount is None and charge["amount_refunded"] >= charge["amount"]:
        raise NotPossible("Nothing is left of this charge to dispute.")
    charge["disputed"] = not is_inquiry
    objects.save(charge)
    return objects.new(
        "du",
        "dispute",
        amount=charge["amount"] - charge["amount_refunded"] if amount is None else amount,
        balance_transactions=[],
        charge=charge["id"],
        currency=charge["currency"],
        evidence={},
        evidence_details={"due_by": charge["created"] + 9 * payments.DAY, "has_evidence": False, "submission_count": 0},
        is_charge_refundable=is_inquiry,
        metadata={},
        payment_intent=charge["payment_intent"],
        reason="fraudulent",
        status="warning_needs_response" if is_inquiry else "needs_response",
    )


def _move(objects: Objects, dispute: dict[str, Any], *, amount: int, fee: int, category: str) -> None:
    text = f"Chargeback {'withdrawal' if amount < 0 else 'reversal'} for {dispute['charge']}"
    row = payments.movement(
        objects, source=dispute["id"], kind="adjustment", amount=amount, fee=fee, category=category, text=text
    )
    dispute["balance_transactions"].append(dict(row))
    objects.save(dispute)

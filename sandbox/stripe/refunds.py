"""Refunds of charges: done at once, or pending, failed or sent back later."""

from typing import Any

from sandbox import html
from sandbox.stripe import payments
from sandbox.stripe.objects import Objects
from sandbox.stripe.wire import StripeError, whole
from sandbox.world import World

PARAMETERS = ("amount", "charge", "expand", "metadata", "payment_intent", "reason", "currency", "instructions_email")
REASONS = ("duplicate", "fraudulent", "requested_by_customer")


def charge_of(objects: Objects, params: dict[str, Any]) -> dict[str, Any]:
    """The charge a refund is asked of; raise `StripeError`."""
    for name in params:
        if name not in PARAMETERS:
            raise StripeError(f"Received unknown parameter: {name}", code="parameter_unknown", param=name)
    if number := params.get("charge"):
        return objects.get(str(number), kind="charge", param="charge")
    if not (number := params.get("payment_intent")):
        raise StripeError("One of the following params should be provided: payment_intent or charge.")
    intent = objects.get(str(number), kind="payment_intent", param="payment_intent")
    if intent["status"] != "succeeded":
        message = f"This PaymentIntent ({number}) does not have a successful charge to refund."
        raise StripeError(message, code="payment_intent_unexpected_state")
    return objects.get(intent["latest_charge"], kind="charge")


def create(world: World, objects: Objects, charge: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    """Raise `StripeError`; `sandbox_due` and `sandbox_outcome` say what the clock does to it."""
    left = charge["amount"] - charge["amount_refunded"]
    amount = whole(params["amount"], param="amount") if "amount" in params else left
    if left <= 0:
        raise StripeError(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if charge["disputed"]:
        message = f"Charge {charge['id']} has been charged back; cannot issue a refund."
        raise StripeError(message, code="charge_disputed")
    if amount < 1:
        raise StripeError("Invalid positive integer", code="parameter_invalid_integer", param="amount")
    if amount > left:
        said = f"{html.money(amount, 'USD')}) is greater than unrefunded amount on charge ({html.money(left, 'USD')})"
        raise StripeError(f"Refund amount ({said}", param="amount")
    if params.get("reason") and params["reason"] not in REASONS:
        raise StripeError(
            "Invalid reason: must be one of duplicate, fraudulent, or requested_by_customer", param="reason"
        )
    intent = charge["payment_intent"]
    if world.faults.take("refund_no_funds", provider="stripe", orders=(intent, charge["id"])):
        message = "You have insufficient available funds in your Stripe balance to issue this refund."
        raise StripeError(message, code="balance_insufficient")
    plan, seconds = world.refund_plan("stripe", (intent, charge["id"]))
    if charge["sandbox_card"] == payments.REFUND_FAILS:
        plan, seconds = "bounces", world.config.refund_seconds
    if charge["sandbox_card"] == payments.REFUND_PENDS:
        plan, seconds = "later", world.config.refund_seconds
    waits = plan in ("pending", "fails", "later")
    refund = objects.new(
        "re",
        "refund",
        amount=amount,
        charge=charge["id"],
        currency=charge["currency"],
        destination_details={"card": {"reference_status": "pending", "type": "refund"}, "type": "card"},
        metadata=dict(params.get("metadata", {})),
        payment_intent=intent,
        reason=params.get("reason"),
        receipt_number=None,
        status="pending" if waits else "succeeded",
        sandbox_due=0 if plan in ("done", "pending") or seconds is None else world.now() + seconds,
        sandbox_outcome="succeeded" if plan in ("done", "later", "pending", "recovers") else "failed",
    )
    row = payments.movement(objects, source=refund["id"], kind="refund", amount=-amount, text="REFUND FOR CHARGE")
    refund["balance_transaction"] = row["id"]
    objects.save(refund)
    _count(objects, charge, amount)
    if plan == "recovers":
        due = refund["sandbox_due"]
        settle(objects, refund, status="failed")
        refund["sandbox_due"] = due
        objects.save(refund)
    return refund


def settle(objects: Objects, refund: dict[str, Any], *, status: str) -> None:
    """`succeeded`, `failed` or `requires_action`; a failure gives the money back to the balance.

    One that failed may be paid after all, as a bank's correction is: the balance pays again.
    """
    was, refund["sandbox_due"] = refund["status"], 0
    if was == status:
        return
    refund["status"] = status
    if was == "failed":
        payments.movement(
            objects, source=refund["id"], kind="refund", amount=-refund["amount"], text="REFUND FOR CHARGE"
        )
        refund["failure_reason"] = None
        _count(objects, objects.get(refund["charge"], kind="charge"), refund["amount"])
    if status == "failed":
        text = "REFUND FAILURE"
        row = payments.movement(objects, source=refund["id"], kind="refund_failure", amount=refund["amount"], text=text)
        refund |= {"failure_reason": "expired_or_canceled_card", "failure_balance_transaction": row["id"]}
        _count(objects, objects.get(refund["charge"], kind="charge"), -refund["amount"])
    objects.save(refund)


def _count(objects: Objects, charge: dict[str, Any], amount: int) -> None:
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] >= charge["amount"]
    objects.save(charge)

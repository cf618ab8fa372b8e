"""What the outbox is told of a refund, in the transaction of each step."""

from datetime import datetime

from billing.models import RefundRequest
from billing.outbox import events
from billing.outbox.kinds import Fact

ONCE = (Fact.REFUND_ASKED, Fact.REFUND_LATE)
"""How a refund begins. Whatever comes later may come again: a part comes back, and staff decide anew."""


def tell(refund: RefundRequest, kind: Fact, *, now: datetime, asked_from: str = "") -> None:
    """Record a step, under the refund's lock; `asked_from` is the address that a request of a customer's came from."""
    data = {
        "number": refund.number,
        "amount": str(refund.amount),
        "approved": None if refund.approved is None else str(refund.approved),
        "returned": str(refund.returned),
        "due_at": refund.due_at.isoformat(),
        "decision": refund.decision,
        "question": refund.question,
        "reason": refund.reason,
        "locale": refund.locale,
        "asked_from": asked_from,
    }
    events.record(
        kind,
        key=f"{refund.key}:{kind.step}",
        subject=refund.number,
        data=data,
        now=now,
        customer_id=refund.customer_id,
        about=refund,
        may_come_again=kind not in ONCE,
    )

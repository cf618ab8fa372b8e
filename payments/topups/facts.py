"""What the outbox is told of a top-up, in the transaction of the step."""

from datetime import datetime

from billing.outbox import events
from billing.outbox.kinds import Fact
from payments.models import TopUp


def tell(topup: TopUp, kind: Fact, *, now: datetime) -> None:
    """Record that it was paid, or that it failed; each happens once."""
    events.record(
        kind,
        key=f"topup:{topup.pk}:{kind.step}",
        subject=topup.number,
        data={},
        now=now,
        customer_id=topup.customer_id,
        about=topup,
    )

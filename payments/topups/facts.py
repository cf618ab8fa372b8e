"""What the outbox is told of a top-up, in the transaction of the step."""

from datetime import datetime

from billing.outbox import events
from billing.outbox.kinds import Fact
from payments.models import TopUp
from payments.topups.receipts import locale_of


def tell(topup: TopUp, kind: Fact, *, now: datetime) -> None:
    """Record that it was paid, or that it failed; each happens once."""
    events.record(
        kind,
        key=f"topup:{topup.pk}:{kind.step}",
        subject=topup.number,
        data={
            "amount": f"{topup.amount:f}",
            "charge": f"{topup.charge_amount:f}",
            "currency": topup.charge_currency,
            "locale": locale_of(topup),
        },
        now=now,
        customer_id=topup.customer_id,
        about=topup,
    )

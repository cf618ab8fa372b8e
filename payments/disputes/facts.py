"""What the outbox is told of a dispute, in the transaction that books it, and how programs are shown it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from accounts.people.customers import language_of
from billing.books.money import api_amount
from billing.outbox import events
from billing.outbox.kinds import Fact
from billing.outbox.objects import moment
from payments.models import Dispute


def tell_opened(dispute: Dispute, *, now: datetime) -> None:
    """Once a dispute: when spending is suspended for it. An inquiry, which takes nothing, is none yet."""
    events.record(
        Fact.DISPUTE_OPENED,
        key=f"{dispute.ledger_key}:opened",
        subject=dispute.ledger_key,
        data={
            "amount": str(dispute.amount),
            "currency": dispute.currency,
            "topup": "" if dispute.topup is None else dispute.topup.number,
            "locale": language_of(dispute.customer) if dispute.customer is not None else "",
        },
        now=now,
        customer_id=dispute.customer_id,
        about=dispute,
    )


def shown(dispute: Dispute) -> Mapping[str, Any]:
    """The account API has no disputes of its own; the top-up's GET says that it is disputed."""
    return {
        "id": str(dispute.pk),
        "topup": None if dispute.topup is None else dispute.topup.number,
        "amount": api_amount(dispute.amount),
        "currency": dispute.currency,
        "reason": dispute.reason,
        "status": dispute.status,
        "opened_at": moment(dispute.opened_at),
    }

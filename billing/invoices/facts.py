"""What the outbox is told of an invoice, in the transaction of each step."""

from datetime import datetime

from billing.models import Document, InvoiceRequest
from billing.outbox import events
from billing.outbox.kinds import Fact

AGAIN = (Fact.INVOICE_POSTED, Fact.INVOICE_CREDITED)
"""What may come again: paper that is sent anew, and credit notes over parts."""


def tell(
    request: InvoiceRequest, kind: Fact, *, now: datetime, document: Document | None = None, asked_from: str = ""
) -> None:
    """Record a step, under the request's lock; `document` is the one that it made.

    `asked_from` is the address that a request of a customer's came from.
    """
    data = {
        "number": request.number,
        "amount": str(request.amount),
        "currency": request.currency,
        "buyer": request.company_name,
        "due_at": request.due_at.isoformat(),
        "decision": request.decision,
        "carrier": request.carrier,
        "tracking": request.tracking,
        "locale": request.locale,
        "asked_from": asked_from,
        "email": request.email if request.delivery == InvoiceRequest.Delivery.EMAIL else "",
        "document": None if document is None else _facts_of(document),
    }
    events.record(
        kind,
        key=f"invoice:{request.pk}:{kind.step}",
        subject=request.number,
        data=data,
        now=now,
        customer_id=request.customer_id,
        about=request,
        may_come_again=kind in AGAIN,
    )


def _facts_of(document: Document) -> dict[str, object]:
    return {
        "id": document.pk,
        "number": document.number,
        "gross": str(document.gross),
        "refers_to": document.refers_to.number if document.refers_to is not None else "",
        "has_file": bool(document.content),
    }

"""What invoices stand on: top-ups that were paid, in the currency that was charged; bonus is none of them."""

from datetime import datetime
from decimal import Decimal

from billing import invoices
from billing.books.ledger import lock_wallets
from billing.models import CreditTask
from payments.models import Dispute, RefundPart, TopUp
from payments.models.topups import Method
from payments.refunds.plan import frozen_by_topup
from payments.topups.shares import back_of, in_charge

NOTHING = Decimal("0.00")


def topups_of(customer_id: int, now: datetime, spared: frozenset[int]) -> list[invoices.Source]:
    """A customer's paid top-ups as billing invoices them; refunds that wait take from those not `spared` first."""
    frozen = frozen_by_topup(customer_id=customer_id, now=now, invoiced=spared)
    return [
        invoices.Source(
            source_id=topup.pk,
            label=topup.number,
            method=topup.method,
            method_name=str(Method(topup.method).label),
            paid_at=topup.paid_at,
            currency=topup.charge_currency,
            charged=topup.charge_amount,
            refunded=topup.refunded_charge,
            frozen=frozen.get(topup.pk, NOTHING),
            disputed=in_charge(topup, topup.disputed),
        )
        for topup in TopUp.objects.filter(customer_id=customer_id, state=TopUp.State.PAID)
        if topup.paid_at is not None
    ]


def waits_for_credit_note(part: RefundPart, topup: TopUp, *, now: datetime) -> str:
    """Why a planned part may not leave yet: it would take back invoiced money. Empty if it may.

    The caller holds the refund's, the part's and the top-up's locks; this takes the wallet's.
    """
    need = want_credit(topup=topup, reason=CreditTask.Reason.REFUND, refund_id=part.refund_id, now=now)
    return f"waits for a credit note: {need} {topup.charge_currency} of {topup.number} is invoiced" if need else ""


def want_credit(*, topup: TopUp, reason: str, now: datetime, refund_id: int | None = None) -> Decimal:
    """Open, or drop, what finance is asked to credit of a top-up; how much of it is invoiced and gone, or going.

    All parts that wait to leave count, so that finance is asked for everything at once; a dispute counts once it is
    lost. In the caller's transaction, which holds the top-up's lock; this takes the wallet's.
    """
    lock_wallets([topup.customer_id])
    topup = TopUp.objects.get(pk=topup.pk)
    planned = RefundPart.objects.filter(topup=topup, state=RefundPart.State.PLANNED)
    leaving = back_of(topup, sum((part.amount for part in planned), NOTHING)).charge
    lost = sum((dispute.withdrawn for dispute in Dispute.objects.filter(topup=topup, status="lost")), NOTHING)
    return invoices.need_credit(
        customer_id=topup.customer_id,
        source_id=topup.pk,
        left=topup.charge_amount - topup.refunded_charge - leaving - in_charge(topup, lost),
        reason=reason,
        refund_id=refund_id,
        now=now,
    )

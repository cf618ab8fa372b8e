"""What invoices stand on: top-ups that were paid, in the currency that was charged; bonus is none of them."""

from datetime import datetime
from decimal import Decimal

from billing import invoices
from billing.ledger import lock_wallets
from billing.models import CreditTask
from billing.money import floor_cents
from payments.models import RefundPart, TopUp
from payments.models.topups import Method
from payments.refund_plan import charge_of, frozen_by_topup

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


def in_charge(topup: TopUp, amount: Decimal) -> Decimal:
    """`amount` USD of a top-up in the currency that was charged for it, down to the cent or fen; whole is whole."""
    return amount if topup.charge_currency == "USD" else floor_cents(topup.charge_amount * amount / topup.amount)


def waits_for_credit_note(part: RefundPart, topup: TopUp, *, now: datetime) -> str:
    """Why a planned part may not leave yet: it would take back invoiced money. Empty if it may.

    The caller holds the refund's, the part's and the top-up's locks; this takes the wallet's. Parts of other refunds
    that wait for the same top-up count, so that finance is asked for all of it at once.
    """
    lock_wallets([topup.customer_id])
    planned = RefundPart.objects.filter(topup=topup, state=RefundPart.State.PLANNED)
    leaving = charge_of(topup, sum((p.amount for p in planned), NOTHING))
    need = _need(topup, leaving=leaving, reason=CreditTask.Reason.REFUND, now=now, refund_id=part.refund_id)
    if not need:
        return ""
    return f"waits for a credit note: {need} {topup.charge_currency} of {topup.number} is invoiced"


def money_went_back(*, topup_id: int, reason: str, now: datetime) -> Decimal:
    """Money of a top-up left without asking us (a lost dispute, a refund begun at the provider): what of it is
    invoiced wants a credit note; that much is returned. In the caller's transaction, which locks the top-up first.
    """
    topup = TopUp.objects.get(pk=topup_id)
    lock_wallets([topup.customer_id])
    return _need(topup, leaving=NOTHING, reason=reason, now=now)


def _need(topup: TopUp, *, leaving: Decimal, reason: str, now: datetime, refund_id: int | None = None) -> Decimal:
    return invoices.need_credit(
        customer_id=topup.customer_id,
        source_id=topup.pk,
        left=topup.charge_amount - topup.refunded_charge - leaving - in_charge(topup, topup.disputed),
        reason=reason,
        refund_id=refund_id,
        now=now,
    )

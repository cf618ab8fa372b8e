"""A provider that says of refunds what a test wants, and payments that need no sandbox."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from django.utils import timezone

from accounts.models import Customer
from payments.models import TopUp
from payments.providers.base import Outcome, PaymentFact, RefundFact, RefundOrder, RefundOutcome
from payments.topups import orders

PENDING = RefundFact(RefundOutcome.PENDING, detail="PROCESSING")


@dataclass
class FakeProvider:
    """`says` answers each query, by our number of the refund; what is sent is kept and answered with `on_send`."""

    says: Callable[[RefundOrder], RefundFact] = lambda order: PENDING
    on_send: Callable[[RefundOrder], RefundFact] = lambda order: PENDING
    sent: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fetch_refund(self, order: RefundOrder) -> RefundFact:
        return self.says(order)

    def send_refund(self, order: RefundOrder) -> RefundFact:
        with self.lock:
            self.sent.append(order.key)
        return self.on_send(order)


def paid_in(customer: Customer, method: str, amount: str = "20.00", fee: str = "0.00") -> TopUp:
    """A top-up that was paid, at 7.12 CNY a dollar where the provider charges yuan; `fee` on top goes back too."""
    usd, is_card, count = Decimal(amount), method == "stripe", TopUp.objects.count()
    topup = TopUp.objects.create(
        customer=customer,
        number=f"topup_{count}",
        method=method,
        amount=usd,
        charge_amount=(usd if is_card else (usd * Decimal("7.12")).quantize(Decimal("0.01"))) + Decimal(fee),
        fee_amount=Decimal(fee),
        returns_fee=True,
        charge_currency="USD" if is_card else "CNY",
        fx_rate=None if is_card else Decimal("7.12"),
        expires_at=timezone.now(),
    )
    fact = PaymentFact(
        Outcome.OK, topup.number, f"paid_{count}", topup.charge_amount, topup.charge_currency, is_ours=True
    )
    orders.credit(topup_id=topup.pk, fact=fact, now=timezone.now())
    topup.refresh_from_db()
    assert topup.state == TopUp.State.PAID
    return topup

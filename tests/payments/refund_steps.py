"""Steps that tests of refunds take: a payment, an approved request, the workers' rounds, and a look at the books."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from accounts.models import Customer, User
from billing import refunds
from billing.models import LedgerAccount, RefundRequest, Wallet
from desk.first_page import payments
from payments import refunds as refunding
from payments.models import RefundPart, TopUp
from tests.payments.conftest import open_topup, pay
from tests.payments.dispute_steps import balance
from tests.sandbox_server import SandboxServer

MINUTE = timedelta(minutes=1)


def pay_by(sandbox: SandboxServer, customer: Customer, method: str, amount: str = "20.00") -> TopUp:
    topup = open_topup(customer, method=method, amount=amount)
    pay(sandbox, topup)
    topup.refresh_from_db()
    assert topup.state == TopUp.State.PAID
    return topup


def staff(name: str) -> User:
    return User.objects.create_user(f"{name}@example.org", "a rather long one", is_staff=True)


def approve(refund: RefundRequest, by: User, amount: str) -> RefundRequest:
    return refunds.approve(refund_id=refund.pk, amount=amount, by=by, now=timezone.now())


def approved(customer: Customer, by: User, amount: str) -> RefundRequest:
    return approve(
        refunds.ask(customer=customer, amount=amount, reason="not needed", now=timezone.now()), by=by, amount=amount
    )


def send(refund: RefundRequest, *, now: datetime | None = None) -> RefundRequest:
    refunding.send(refund_id=refund.pk, now=now or timezone.now())
    refund.refresh_from_db()
    return refund


def workers_round(*, now: datetime) -> None:
    """What the beat hands to workers at that time: requests to send, and parts to ask about."""
    for refund_id in refunding.claim_requests(now=now):
        refunding.send(refund_id=refund_id, now=now)
    for part_id in refunding.claim_parts(now=now):
        refunding.look(part_id=part_id, now=now)


def states(refund: RefundRequest) -> list[str]:
    return list(refund.parts.order_by("number").values_list("state", flat=True))


def settle(sandbox: SandboxServer, part: RefundPart, outcome: str) -> dict[str, Any]:
    """The provider ends a refund: `done`, `failed`, `closed` or `abnormal`."""
    assert part.topup is not None
    number = part.provider_id if part.topup.method == "stripe" else part.key
    return sandbox.control("POST", f"/refunds/{part.topup.method}/{number}/{outcome}")


def there(sandbox: SandboxServer) -> list[Decimal]:
    """The amounts of all refunds that the providers know."""
    return [Decimal(refund["amount"]) / 100 for refund in sandbox.control("GET", "/refunds")["refunds"]]


def given_back(sandbox: SandboxServer, customer: Customer, clerk: User, method: str) -> RefundRequest:
    """20 USD that failed (WeChat: ABNORMAL, parked and given back), frozen at the desk."""
    pay_by(sandbox, customer, method)
    sandbox.fault("refund_pending", provider=method)
    refund = send(approved(customer, clerk, "20.00"))
    part = refund.parts.get()
    settle(sandbox, part, "failed" if method == "stripe" else "abnormal")
    refunding.look(part_id=part.pk, now=timezone.now())
    if states(refund) == ["parked"]:
        refunding.give_back(part_id=part.pk, by=clerk, now=timezone.now())
    refund.refresh_from_db()
    assert (refund.state, states(refund)) == (RefundRequest.State.RETURNED, ["failed"])
    assert Wallet.objects.get(customer=customer).paid == 20
    return refund


def pay_after_all(sandbox: SandboxServer, refund: RefundRequest) -> RefundRequest:
    """Its provider pays the first part after all, and a worker asks."""
    part = refund.parts.get(number=1)
    settle(sandbox, part, "done")
    refunding.look(part_id=part.pk, now=timezone.now())
    refund.refresh_from_db()
    return refund


def red() -> dict[str, str]:
    """What is red of payments on the desk's first page, with its values."""
    panels = [panel for panel in payments.panels() if panel.title == "Payments to look at"]
    return {figure.label: figure.value for panel in panels for figure in panel.figures if figure.tone == "bad"}


def house(name: str) -> Decimal:
    """The balance of an account of the house that may not be open yet."""
    return balance(name) if LedgerAccount.objects.filter(name=name).exists() else Decimal(0)


def receivable() -> Decimal:
    """What customers owe for refunds, by the books."""
    return -house("receivable:refunds")

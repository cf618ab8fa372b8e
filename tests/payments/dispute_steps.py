"""Steps that tests of disputes take: at the provider, here, and a look at the books."""

from decimal import Decimal
from typing import Any

from django.utils import timezone

from accounts.models import Customer, CustomerMeter, User
from billing import refunds
from billing.audit.run import audit
from billing.books.ledger import Posting, house_account, post
from billing.models import Hold, LedgerAccount, RefundRequest, Transfer, Wallet
from payments.disputes import cases
from payments.models import Dispute, TopUp
from tests.payments.conftest import process_inbox, provider_number
from tests.sandbox_server import SandboxServer


def act(sandbox: SandboxServer, topup: TopUp, step: str, **options: Any) -> dict[str, Any]:
    return sandbox.control("POST", f"/orders/stripe/{provider_number(topup)}/dispute", step=step, **options)


def settle(dispute: dict[str, Any]) -> Dispute:
    return cases.settle_dispute(provider="stripe", dispute_id=dispute["id"], now=timezone.now())


def spend(customer: Customer, amount: str) -> None:
    wallet = Wallet.objects.get(customer=customer)
    key = f"gen-spent-{Transfer.objects.count()}"
    spent = Posting(f"{key}:paid", "others", wallet.paid_account, house_account("revenue:usage"), Decimal(amount))
    post([spent], now=timezone.now())


def balance(name: str) -> Decimal:
    account = LedgerAccount.objects.get(name=name)
    return sum((t.amount for t in account.credits.all()), Decimal(0)) - sum(
        (t.amount for t in account.debits.all()), Decimal(0)
    )


def books(customer: Customer) -> dict[str, Any]:
    """All that a dispute may change, but for times and for holds that are resolved."""
    wallet = Wallet.objects.get(customer=customer)
    customer.refresh_from_db()
    return {
        "wallet": (wallet.paid, wallet.bonus, wallet.held),
        "transfers": sorted(Transfer.objects.values_list("key", "kind", "amount", "debit__name", "credit__name")),
        "holds": sorted(Hold.objects.filter(state="open").values_list("kind", "amount")),
        "topups": list(TopUp.objects.order_by("pk").values_list("refunded", "disputed")),
        "disputes": list(Dispute.objects.order_by("pk").values_list("status", "held", "withdrawn")),
        "is_suspended": (customer.is_suspended, CustomerMeter.objects.get(customer=customer).suspended),
    }


def drifts() -> list[str]:
    return audit().drifts


def process_after(sandbox: SandboxServer, topup: TopUp, event: str) -> None:
    sandbox.wait_until_delivered(order=provider_number(topup), event=event)
    process_inbox()


def clerk() -> User:
    return User.objects.create_user(f"clerk{User.objects.count()}@example.org", "a rather long one", is_staff=True)


def approved(customer: Customer, amount: str) -> RefundRequest:
    refund = refunds.ask(customer=customer, amount=amount, reason="not needed", now=timezone.now())
    return refunds.approve(refund_id=refund.pk, amount=amount, by=clerk(), now=timezone.now())

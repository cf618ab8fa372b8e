"""The three providers' sandbox on the wire, and our own server for its notifications."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.utils import timezone

from accounts.models import Customer, Membership, User
from billing.models import LedgerAccount, Wallet
from payments.inbox import notifications
from payments.models import Notification, TopUp
from payments.providers import registry
from payments.providers.alipay import adapter as alipay
from payments.providers.stripe import adapter as stripe
from payments.providers.wechat import adapter as wechat
from payments.topups import opening
from tests.sandbox_server import SandboxServer

METHODS = ("stripe", "alipay", "wechat")
PAID = {"stripe": "checkout.session.completed", "alipay": "TRADE_SUCCESS", "wechat": "TRANSACTION.SUCCESS"}


@pytest.fixture(scope="session")
def sandbox_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    folder: Path = tmp_path_factory.mktemp("sandbox")
    server = SandboxServer(state=folder).start()
    yield server
    server.stop()


@pytest.fixture
def sandbox(sandbox_server: SandboxServer, live_server: Any, settings: Any) -> Iterator[SandboxServer]:
    """The sandbox, sending its notifications to this test's own server."""
    sandbox_server.reset()
    sandbox_server.site_url = live_server.url
    settings.DEBUG = True
    settings.TOPUP_MOST_OPEN = settings.TOPUP_MOST_PER_HOUR = 1000  # one customer opens what it takes
    settings.TOPUP_NEW_CUSTOMER_DAILY = 0
    settings.SITE_URL = live_server.url
    settings.PAYMENT_VARIABLES = {name: sandbox_server.environment.get(name, "") for name in settings.PAYMENT_VARIABLES}
    yield sandbox_server
    sandbox_server.reset()  # no notification of this test reaches the next


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Providers with half a second to answer."""
    monkeypatch.setattr(alipay, "TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(stripe, "TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(wechat, "TIMEOUT", (0.5, 0.5))
    registry._made.cache_clear()
    yield
    registry._made.cache_clear()


@pytest.fixture
def customer(transactional_db: None, make_customer: Any) -> Customer:
    return confirmed(make_customer())


@pytest.fixture
def wallet(customer: Customer) -> Wallet:
    return Wallet.objects.get(customer=customer)


@pytest.fixture
def paid(sandbox: SandboxServer, customer: Customer) -> TopUp:
    """A card top-up of 20 USD."""
    topup = open_topup(customer, method="stripe", amount="20.00")
    pay(sandbox, topup)
    topup.refresh_from_db()
    return topup


def confirmed(customer: Customer) -> Customer:
    """The customer with a member whose address is confirmed: who may pay by card."""
    user = User.objects.create_user(f"payer{customer.pk}@example.org", "a rather long one")
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    Membership.objects.create(user=user, customer=customer)
    return customer


def balance(name: str) -> Decimal:
    """A house account's debits less its credits."""
    account = LedgerAccount.objects.filter(name=name).first()
    if account is None:
        return Decimal(0)
    return sum((t.amount for t in account.debits.all()), Decimal(0)) - sum(
        (t.amount for t in account.credits.all()), Decimal(0)
    )


def open_topup(customer: Customer, *, method: str, amount: str = "20.00") -> TopUp:
    return opening.open_topup(customer=customer, amount=amount, method=method, now=timezone.now())


def provider_number(topup: TopUp) -> str:
    """What the sandbox knows the order by."""
    return topup.reference or topup.number


def process_inbox() -> list[Notification]:
    """What the worker would do with what has come in."""
    found = Notification.objects.filter(processed_at__isnull=True).order_by("pk")
    return [notifications.process(notification_id=n.pk, now=timezone.now()) for n in found]


def pay(sandbox: SandboxServer, topup: TopUp) -> None:
    """Pay as the payer would, wait for the notification, and process it."""
    pay_at(sandbox, topup)
    process_inbox()


def pay_at(sandbox: SandboxServer, topup: TopUp, *, seconds: float = 10) -> None:
    """Pay as the payer would, and wait for the notification that says so."""
    sandbox.pay(topup.method, provider_number(topup))
    sandbox.wait_until_delivered(order=provider_number(topup), event=PAID[topup.method], seconds=seconds)

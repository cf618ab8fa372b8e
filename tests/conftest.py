"""What every test may use. The database is a real PostgreSQL; only the wire to providers is the sandbox's."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import hypothesis
import pytest
from django.db import connection, transaction
from django.db.backends.postgresql.creation import DatabaseCreation
from django.test import Client, TransactionTestCase, override_settings

from accounts.keys import issuing
from accounts.models import Customer, Membership, User
from billing.books.grants import grant_bonus
from billing.books.ledger import Posting, house_account, post
from billing.budgets import making
from billing.budgets.making import Made
from billing.invoices.papers import pdf
from billing.models import Document, Wallet
from core.clock import database_now
from tests import template
from tests.emptying import empty
from tests.gateways import kill_those_left
from tests.running import running  # noqa: F401 - a fixture
from tests.spoken import CHAT, Spoken

# No test goes by how fast the machine is.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def pay_in(customer: Customer, amount: str, *, at: datetime) -> None:
    """Paid balance, as a top-up credits it; of the order itself the books alone know nothing."""
    clearing, wallet = house_account("clearing:stripe:USD"), Wallet.objects.get(customer=customer)
    key = f"topup:{uuid4()}"
    post([Posting(key, "topup", clearing, wallet.paid_account, Decimal(amount))], now=at)


def use_up(customer: Customer, amount: str) -> None:
    """Paid balance that requests took."""
    wallet, revenue = Wallet.objects.get(customer=customer), house_account("revenue:usage")
    post([Posting(f"used:{uuid4()}:paid", "usage", wallet.paid_account, revenue, Decimal(amount))], now=NOW)


@pytest.fixture
def spoken() -> Spoken:
    """The protocol on both sides of a gateway; a test for several of them is parametrised by it."""
    return CHAT


@pytest.fixture(scope="session", autouse=True)
def _emptied_by_one_statement() -> Iterator[None]:
    """Tests that commit are cleaned up by Django's `flush`, whose TRUNCATE the ledger's triggers rightly refuse."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda case: empty())
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    connection.settings_dict["TEST"]["TEMPLATE"] = template.made()


@pytest.fixture(scope="session", autouse=True)
def _passwords_cost_nothing() -> Iterator[None]:
    """A fifth of a second each, as they should outside of tests."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


draw = pdf.render


def _contents(document: Document) -> bytes:
    return b"%PDF-1.7\n" + pdf._contents(document).encode()


@pytest.fixture(scope="session", autouse=True)
def _documents_are_not_drawn() -> Iterator[None]:
    """A third of a second each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pdf, "render", _contents)
        yield


@pytest.fixture
def drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents are drawn, as a test that reads one needs it."""
    monkeypatch.setattr(pdf, "render", draw)


@pytest.fixture(scope="session", autouse=True)
def _drop_the_database_whoever_is_connected() -> Iterator[None]:
    """A process that a test killed may have a backend that has not noticed yet."""
    original = DatabaseCreation._destroy_test_db

    def destroy(self, test_database_name, verbosity):  # type: ignore[no-untyped-def]
        self.connection.close_pool()
        with self._nodb_cursor() as cursor:
            cursor.execute(f"DROP DATABASE {self.connection.ops.quote_name(test_database_name)} WITH (FORCE)")

    DatabaseCreation._destroy_test_db = destroy  # type: ignore[method-assign]
    yield
    DatabaseCreation._destroy_test_db = original  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def _no_gateway_outlives_its_test() -> Iterator[None]:
    yield
    kill_those_left()


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def make_customer(db):  # type: ignore[no-untyped-def]
    """A function: a customer with that much bonus, USD."""

    def make(bonus: str = "0", name: str = "Ada") -> Customer:
        from accounts.signals import customer_created

        with transaction.atomic():
            customer = Customer.objects.create(name=name)
            customer_created.send(sender=Customer, customer=customer)
            if Decimal(bonus):
                grant_bonus(customer=customer, amount=Decimal(bonus), key=f"test:{customer.pk}", reason="test", now=NOW)
        return customer

    return make


@pytest.fixture
def customer(make_customer) -> Customer:  # type: ignore[no-untyped-def]
    return make_customer("10")


@pytest.fixture
def wallet(customer: Customer) -> Wallet:
    return Wallet.objects.get(customer=customer)


@pytest.fixture
def key(customer: Customer) -> issuing.IssuedKey:
    return issuing.issue(customer=customer, name="test", now=NOW)


@pytest.fixture
def make_budget(customer: Customer) -> Callable[..., Made]:
    """A function: a budget of the customer's that lasts an hour."""

    def make(amount: str = "5", *, lasts: timedelta = timedelta(hours=1), **made: Any) -> Made:
        fields = {"customer": customer, "name": "run", "now": database_now(), **made}
        return making.make(amount=Decimal(amount), lasts=lasts, **fields)

    return make


@pytest.fixture
def user(customer: Customer) -> User:
    user = User.objects.create_user("ada@example.org", "a rather long one")
    Membership.objects.create(user=user, customer=customer)
    return user


@pytest.fixture
def browser_client(user: User) -> Client:
    """Logged in as the customer's owner."""
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).resolve().parent.parent

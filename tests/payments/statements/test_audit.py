"""The audit looks at statements: what a provider says was paid or taken, and is in no book and no queue, is a drift."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import connection

from billing.audit.run import audit
from payments.models import Discrepancy, Statement, StatementLine, TopUp
from payments.providers.base import Outcome, PaymentFact
from payments.statements import reconcile
from payments.statements.audit import check_statements
from payments.topups import orders
from tests.conftest import NOW

pytestmark = pytest.mark.django_db
DAY = date(2026, 11, 23)


@pytest.fixture
def customer(make_customer):
    return make_customer("3")


@pytest.fixture
def matched(customer):
    """A payment of 20 with its fee, a fee by itself and a payout: told, and in the books."""
    topup = TopUp.objects.create(
        customer=customer,
        number="topup_1",
        method="stripe",
        amount=Decimal(20),
        charge_amount=Decimal(20),
        charge_currency="USD",
        expires_at=NOW,
        created_at=NOW,
    )
    fact = PaymentFact(Outcome.OK, topup.number, "pi_1", Decimal(20), "USD", is_ours=True)
    orders.credit(topup_id=topup.pk, fact=fact, now=NOW)
    statement = Statement.objects.create(provider="stripe", day=DAY, raw=b"", sha256="", lines=3)
    for key, kind, amount, fee, transaction in (
        ("txn_1", "payment", "20", "0.88", "pi_1"),
        ("txn_2", "fee", "-0.05", "0", ""),
        ("txn_3", "payout", "-19", "0", "po_1"),
    ):
        StatementLine.objects.create(
            statement=statement,
            provider="stripe",
            key=key,
            kind=kind,
            amount=Decimal(amount),
            fee=Decimal(fee),
            currency="USD",
            transaction_id=transaction,
            at=NOW,
        )
    assert reconcile.match(provider="stripe", day=DAY, now=NOW).open == []
    return topup


def tamper(statement: str) -> None:
    """As somebody with all rights in the database could."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(statement)
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")


TAMPERED = {
    "txn_1 is a payment of 20.00 USD; here it is not paid": "UPDATE payments_topup SET state = 'expired'",
    "txn_1 is a payment of 20.00 USD; here it is 2.00 USD": "UPDATE payments_topup SET charge_amount = 2, amount = 2",
    "txn_1 is a payment of 20.00 EUR; here it is 20.00 USD": (
        "UPDATE payments_statementline SET currency = 'EUR' WHERE key = 'txn_1'"
    ),
    "txn_1 is a payment of 21.00 USD": "UPDATE payments_statementline SET amount = 21 WHERE key = 'txn_1'",
    "txn_2 is a fee of -0.05 USD; the books have nothing": (
        "DELETE FROM billing_transfer WHERE key = 'statement:stripe:txn_2:fee'"
    ),
    "txn_3 is a payout of -19.00 USD; the books have 18.00 USD": (
        "UPDATE billing_transfer SET amount = 18 WHERE key = 'statement:stripe:txn_3:payout'"
    ),
}


def test_a_matched_statement_has_no_drift(matched):
    assert list(check_statements(None)) == []
    assert audit().drifts == []


@pytest.mark.parametrize(("says", "statement"), TAMPERED.items(), ids=TAMPERED)
def test_what_the_provider_says_and_the_books_do_not_is_told(matched, says, statement):
    tamper(statement)
    [drift] = check_statements(None)
    assert drift.startswith("stripe says on 2026-11-23 that ")
    assert says in drift
    assert any(says in found for found in audit().drifts), "the nightly audit asks for it"


def test_a_payment_that_was_lost_with_its_order_is_told(matched):
    tamper("DELETE FROM payments_topup; DELETE FROM billing_transfer WHERE key LIKE 'topup:%'")
    [drift] = check_statements(None)
    assert "here it is not paid" in drift


@pytest.mark.parametrize(("state", "is_told"), [("open", False), ("explained", False), ("cured", True)])
def test_what_staff_know_of_is_no_drift_and_what_fitted_once_is(matched, state, is_told):
    tamper("UPDATE payments_topup SET state = 'expired'")
    Discrepancy.objects.create(
        provider="stripe", day=DAY, kind="missing_here", key="txn_1", currency="USD", state=state
    )
    assert bool(list(check_statements(None))) == is_told


def test_a_payment_that_settles_in_another_currency_is_no_drift_and_one_of_another_charge_is(matched):
    settled = {"amount": Decimal("18.40"), "currency": "EUR", "charge_amount": 20, "charge_currency": "USD"}
    StatementLine.objects.filter(key="txn_1").update(**settled)
    assert list(check_statements(None)) == []
    StatementLine.objects.filter(key="txn_1").update(charge_amount=21)
    [drift] = check_statements(None)
    assert "txn_1 is a payment of 18.40 EUR; here it is 20.00 USD" in drift


def test_a_statement_that_is_not_matched_yet_is_no_drift(matched):
    Statement.objects.update(matched_at=None)
    tamper("UPDATE payments_topup SET state = 'expired'")
    assert list(check_statements(None)) == []


def test_another_shops_payments_are_no_drift(matched):
    TopUp.objects.update(transaction_id="pi_other")
    Statement.objects.update(matched_at=None)
    result = reconcile.match(provider="stripe", day=DAY, now=NOW)
    assert len(result.open) >= 1
    assert [drift for drift in check_statements(None) if "txn_1" in drift] == []

"""The audit sums closed days again, whatever was changed past the triggers: a total, a transfer, a day, a month."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection

from accounts.models import User
from billing.audit.days import check_days
from billing.books.ledger import Posting, house_account, post
from billing.months import journal, periods

pytestmark = pytest.mark.django_db
FIRST = datetime(2026, 10, 29, 12, tzinfo=UTC)


@pytest.fixture
def closed(make_customer):
    """Three days with a top-up of 5 each, closed, and October locked."""
    wallet = make_customer("0").wallet
    for number in range(3):
        accounts = house_account("clearing:stripe:USD"), wallet.paid_account
        post([Posting(f"topup:{number}", "topup", *accounts, Decimal(5))], now=FIRST + timedelta(days=number))
    journal.close_days(now=datetime(2026, 11, 1, 2, tzinfo=UTC))
    finance = User.objects.create_superuser("finance@example.org", "a rather long one")
    periods.lock_month(month=date(2026, 10, 1), by=finance, now=datetime(2026, 11, 2, tzinfo=UTC))
    return wallet


def tamper(statement: str) -> None:
    """As somebody with all rights in the database could."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(statement)
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")


TAMPERED = {
    "clearing:stripe:USD on 2026-10-30: transfers sum to 6": (
        "UPDATE billing_transfer SET amount = 6 WHERE key = 'topup:1'"
    ),
    "clearing:stripe:USD on 2026-10-30: transfers sum to 0": "DELETE FROM billing_transfer WHERE key = 'topup:1'",
    "clearing:stripe:USD on 2026-10-31: transfers sum to 10": (
        "UPDATE billing_transfer SET created_at = '2026-10-31' WHERE key = 'topup:1'"
    ),
    "on 2026-10-31: transfers sum to 5.00000000 debits and 0 credits, the closed day has 4": (
        "UPDATE billing_accountday SET debits = 4 WHERE day = '2026-10-31' AND debits > 0"
    ),
    "on 2026-10-29: transfers sum to 5": "DELETE FROM billing_accountday WHERE day = '2026-10-29'",
    "clearing:stripe:USD on 2026-10-30: transfers sum to 5.00000000 debits and 0 credits, the closed day has 0": (
        "UPDATE billing_accountday SET account_id = 987654321 WHERE day = '2026-10-30' AND debits > 0"
    ),
    "2026-10-30 is not closed": "DELETE FROM billing_closedday WHERE day = '2026-10-30'",
    "2026-10-31 is not closed": "DELETE FROM billing_closedday WHERE day = '2026-10-31'",
    "1 transfers are dated before the first closed day": (
        "UPDATE billing_transfer SET created_at = '2026-10-01' WHERE key = 'topup:0'"
    ),
    "1 transfers were booked into 2026-10 or before after it was locked, topup:2 among them": (
        "UPDATE billing_transfer SET created_at = '2026-11-20' WHERE key = 'topup:2'"
    ),
}


def test_sound_days_have_no_drift(closed):
    assert list(check_days(None)) == []
    assert list(check_days(closed.pk)) == [], "a customer has no days"


@pytest.mark.parametrize(("says", "statement"), TAMPERED.items(), ids=TAMPERED)
def test_what_was_tampered_with_is_told(closed, says, statement):
    tamper(statement)
    found = list(check_days(None))
    assert any(says in drift for drift in found), found


def test_the_nightly_audit_asks_for_the_days(closed):
    from billing.audit import run

    tamper("UPDATE billing_transfer SET amount = 6 WHERE key = 'topup:1'")
    run.register("closed days", check_days)
    assert journal.run_audit(now=datetime(2026, 11, 3, tzinfo=UTC)).drifts > 0

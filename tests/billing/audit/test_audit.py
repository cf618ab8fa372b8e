"""The audit finds what was tampered with, and nothing else."""

import io
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from accounts.models import Customer, Membership, User
from billing.audit import run as auditing
from billing.audit.run import audit, pages, register
from billing.books import holds
from billing.books.holds import Resolution
from billing.books.ledger import Posting, house_account, post
from billing.models import Hold
from payments.audit import COVERED
from tests.billing.conftest import topup
from tests.conftest import NOW

pytestmark = pytest.mark.django_db


@pytest.fixture
def books(make_customer, wallet):
    """Two customers with a bit of everything: the first is `wallet`'s."""
    make_customer("3", name="Other")
    topup(wallet, "20")
    yuan = [house_account("clearing:alipay:CNY"), house_account("fx:CNY")]
    post([Posting("topup:2:CNY", "topup_charge", *yuan, Decimal("71.20"))], now=NOW)
    for key, amount in (("gone", "3"), ("done", "4"), ("open", "2")):
        holds.place(customer_id=wallet.pk, key=key, kind=Hold.Kind.REQUEST, amount=Decimal(amount), now=NOW)
    holds.place(customer_id=wallet.pk, key="refund:1", kind=Hold.Kind.REFUND, amount=Decimal(5), now=NOW)
    holds.capture_share(key="refund:1", share=Decimal(1), now=NOW)
    transit = house_account("refunds:in_transit")
    post([Posting("refund:1:sent", "refund", wallet.paid_account, transit, Decimal(1))], now=NOW)
    holds.resolve([Resolution("gone", None, "gone"), Resolution("done", Decimal("3.5"), "completed")], now=NOW)
    bonus, usage = house_account("revenue:bonus"), house_account("revenue:usage")
    post(
        [
            Posting("done:bonus", "usage_bonus", wallet.bonus_account, bonus, Decimal("3.25")),
            Posting("done:paid", "usage", wallet.paid_account, usage, Decimal("0.25")),
        ],
        now=NOW,
    )
    return wallet


def tamper(*statements: str) -> None:
    """As somebody with all rights in the database could."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in statements:
            cursor.execute(statement)
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")


def test_sound_books_have_no_drift(books):
    report = audit()
    assert (report.customers, report.drifts) == (2, [])


TAMPERED = {
    "the wallet's paid is 19.75000000, by": "UPDATE billing_wallet SET paid = paid + 1 WHERE paid > 0",
    "the wallet's bonus is 7.75000000, by": "UPDATE billing_wallet SET bonus = bonus + 1 WHERE paid > 0",
    "the wallet's held is 7.00000000, by": "UPDATE billing_wallet SET held = held + 1 WHERE paid > 0",
    "the wallet's exposure is 1.00000000, by": "UPDATE billing_wallet SET exposure = exposure + 1 WHERE paid > 0",
    "the wallet's paid is 18.75000000, by its transfers it is 17.75000000": (
        "UPDATE billing_transfer SET amount = 19 WHERE key = 'topup:1'"
    ),
    "the wallet's held is 6.00000000, by its open holds it is 4": "DELETE FROM billing_hold WHERE key = 'open'",
    "has no wallet": "DELETE FROM billing_wallet WHERE paid > 0",
    "accounts are not this customer's": "UPDATE billing_wallet SET paid_account_id = bonus_account_id",
    "hold gone (released) captured 0.50000000, charged 0": "UPDATE billing_hold SET captured = 0.5 WHERE key = 'gone'",
    "hold done (captured) captured 3.50000000, charged 0.25": "DELETE FROM billing_transfer WHERE key = 'done:bonus'",
    "hold done (captured) captured 3.40000000": "UPDATE billing_hold SET captured = 3.4 WHERE key = 'done'",
    "hold done (open) captured 3.50000000": (
        "UPDATE billing_hold SET state = 'open', resolved_at = NULL WHERE key = 'done'"
    ),
    "hold done (released) captured 3.50000000": "UPDATE billing_hold SET state = 'released' WHERE key = 'done'",
    "hold gone (captured) captured 0.00000000": "UPDATE billing_hold SET state = 'captured' WHERE key = 'gone'",
    "done was charged to another account": (
        "UPDATE billing_transfer SET debit_id = (SELECT max(paid_account_id) FROM billing_wallet)"
        " WHERE key = 'done:paid'"
    ),
    "hold gone belongs to no wallet": "UPDATE billing_hold SET customer_id = 987654321 WHERE key = 'gone'",
    "the accounts in CNY sum to -71.2": (
        "UPDATE billing_transfer SET credit_id = (SELECT id FROM billing_ledgeraccount WHERE name = 'revenue:usage')"
        " WHERE key = 'topup:2:CNY'"
    ),
    "topup:2:CNY moves CNY from clearing:alipay:CNY (CNY) to None": (
        "UPDATE billing_transfer SET credit_id = 987654321 WHERE key = 'topup:2:CNY'"
    ),
    "topup:2:CNY moves CNY from clearing:alipay:CNY (EUR) to fx:CNY (CNY)": (
        "UPDATE billing_ledgeraccount SET currency = 'EUR' WHERE name = 'clearing:alipay:CNY'"
    ),
    "the account fx:CNY is kept in USD": "UPDATE billing_ledgeraccount SET currency = 'USD' WHERE name = 'fx:CNY'",
    "topup:2:CNY moves USD from clearing:alipay:CNY (CNY)": (
        "UPDATE billing_transfer SET currency = 'USD' WHERE key = 'topup:2:CNY'"
    ),
}


@pytest.mark.parametrize(("says", "statement"), TAMPERED.items(), ids=TAMPERED)
def test_the_audit_finds_what_was_tampered_with(books, says, statement):
    tamper(statement)
    drifts = audit().drifts
    assert any(says in drift for drift in drifts), drifts


def test_a_drift_is_found_on_whatever_page_it_is(books, monkeypatch):
    monkeypatch.setattr(auditing, "PAGE", 1)
    assert audit().drifts == []
    tamper(
        "UPDATE billing_hold SET captured = captured + 0.1 WHERE key IN ('gone', 'done')",
        "UPDATE billing_transfer SET amount = amount + 1 WHERE key IN ('topup:1', 'done:bonus')",
    )
    assert len(audit().drifts) == 5


def test_no_page_walks_through_everybodys_transfers(books, wallet):
    """A side of which there is nothing, where all there is is another's: the planner thinks the next page is near."""
    with connection.cursor() as cursor:
        cursor.execute(
            'INSERT INTO billing_transfer (key, kind, debit_id, credit_id, currency, amount, memo, "group", created_at)'
            " SELECT 'much:' || n, 'usage_bonus', %s, %s, 'USD', 0.01, '', '', now() FROM generate_series(1, 20000) n",
            [wallet.bonus_account_id, house_account("revenue:bonus").pk],
        )
        cursor.execute("ANALYZE billing_transfer; SET LOCAL random_page_cost = 8")  # makes ids the likelier way
        for statement, given, index in (
            (auditing.WALLET, [*[0, 100] * len(auditing.SIDES), wallet.pk], "transfer_debit"),
            (COVERED.replace("{page}", "billing_wallet"), [], "transfer_taken_down"),
        ):
            cursor.execute(f"EXPLAIN {statement}", given)
            plan = "\n".join(line for (line,) in cursor.fetchall())
            assert index in plan, plan
            assert "Seq Scan on billing_transfer" not in plan, plan
            assert "billing_transfer_pkey" not in plan, plan


def test_pages_hold_every_row_once_and_those_of_one_customer(books, monkeypatch):
    monkeypatch.setattr(auditing, "PAGE", 2)
    query, how = "SELECT key FROM {page} h ORDER BY key", {"table": "billing_hold", "key": "key", "first": ""}
    assert [key for (key,) in pages(query, **how)] == ["done", "gone", "open", "refund:1"]
    assert [key for (key,) in pages(query, **how, customer_id=books.pk)] == ["done", "gone", "open", "refund:1"]
    assert list(pages(query, **how, customer_id=books.pk + 1)) == []


def test_checks_of_other_apps_are_asked_for_everybody_or_for_one(books):
    asked = []

    def check(customer_id):
        asked.append(customer_id)
        yield f"{customer_id} is odd"

    register("odd", check)
    register("odd", check)
    assert audit().drifts == ["None is odd"]
    assert audit(customer_ids=[books.pk]).drifts == [f"{books.pk} is odd"]
    assert asked == [None, books.pk]


@pytest.mark.django_db(transaction=True)
def test_a_snapshot_sees_nothing_that_comes_after_it_and_writes_nothing(wallet):
    with auditing.snapshot() as cursor:
        cursor.execute(
            "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only'),"
            " current_setting('statement_timeout')"
        )
        assert cursor.fetchone() == ("repeatable read", "on", "1min")
        with pytest.raises(Exception, match="read-only"), transaction.atomic():
            cursor.execute("UPDATE billing_wallet SET paid = 1")
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('statement_timeout')")
        assert cursor.fetchone() != ("1min",)


@pytest.fixture
def email(books):
    user = User.objects.create_user("ada@example.com", "x")
    Membership.objects.create(user=user, customer=books.customer)
    return user.email


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("audit_ledger", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_says_in_a_line_that_all_is_clean(email):
    assert run() == "audited 2 customers: clean\n"
    assert run("--full") == "audited 2 customers: clean\n"
    assert run("--customer", "Ada@example.com ") == "audited 1 customer: clean\n"


def test_the_command_prints_each_drift_and_exits_with_1(email, capsys):
    tamper("UPDATE billing_wallet SET held = held + 1", "UPDATE billing_hold SET captured = 0.5 WHERE key = 'gone'")
    out = io.StringIO()
    with pytest.raises(CommandError, match="audited 2 customers: 3 drifts") as failed:
        call_command("audit_ledger", stdout=out)
    assert failed.value.returncode == 1
    assert len(out.getvalue().splitlines()) == 3
    other = Customer.objects.exclude(membership__user__email=email).get()
    assert f"customer {other.pk}: the wallet's held is 1.00000000, by its open holds it is 0" in out.getvalue()


def test_the_command_does_not_know_a_stranger(email):
    with pytest.raises(CommandError, match="no customer with the member eve@example"):
        run("--customer", "eve@example.com")

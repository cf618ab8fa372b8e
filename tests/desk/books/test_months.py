"""Months at the desk: what is open is shown before one is locked, and the trial balance of any day."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async
from django.db import DatabaseError, connection, transaction
from django.test import AsyncClient
from django.urls import reverse
from django.utils import timezone

from accounts.models import StaffAction
from billing.books import entries
from billing.books.ledger import Posting, house_account, post
from billing.models import MonthLock, Transfer
from billing.months import closing, journal, periods
from payments.models import Discrepancy, Statement, TopUp
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db
LOCK = "admin:billing_monthlock_lock"
OCTOBER = datetime(2026, 10, 20, 12, tzinfo=UTC)


@pytest.fixture
def finance(db):
    return in_role("finance")


@pytest.fixture
def desk(finance):
    return at_desk(finance)


def move(wallet, key: str, amount: str = "5", at: datetime = OCTOBER, **more) -> Transfer:
    clearing = house_account("clearing:stripe:USD")
    return post([Posting(key, "settlement", clearing, wallet.paid_account, Decimal(amount))], now=at, **more)[key]


def text_of(answer) -> str:
    return " ".join(answer.content.decode().split())


def test_a_month_is_locked_at_the_desk(desk, finance, make_customer):
    move(make_customer().wallet, "a")
    journal.close_days(now=timezone.now())
    page = text_of(desk.get(reverse(LOCK)))
    assert "Still open in 2026-10 or before</h2> <p>Nothing.</p>" in page
    answer = desk.post(reverse(LOCK), {"month": "2026-10"}, follow=True)
    assert "2026-10 is locked." in answer.content.decode()
    lock = MonthLock.objects.get()
    assert (lock.month, lock.locked_by) == (date(2026, 10, 1), finance)
    done = StaffAction.objects.get()
    assert (done.action, done.object_type, done.text) == ("lock", "billing.monthlock", "Locked: 2026-10")
    assert "No month is over that is not locked." in desk.get(reverse(LOCK)).content.decode()


def test_what_is_still_open_in_the_month_is_shown_first_and_locked_only_when_one_is_sure(desk, finance, make_customer):
    move(make_customer().wallet, "a")
    values = {"debit": "bank:USD", "credit": "clearing:stripe:USD", "amount": "5", "reference": "x", "reason": "x"}
    entries.propose(**values, about=date(2026, 10, 7), by=finance, now=timezone.now())
    difference = {"provider": "stripe", "kind": "missing_here", "currency": "USD"}
    Discrepancy.objects.create(**difference, key="a", day=date(2026, 10, 31))
    Discrepancy.objects.create(**difference, key="b", day=date(2026, 11, 1))
    page = text_of(desk.get(reverse(LOCK)))
    assert 'Journal entries to decide</dt><dd class="desk-bad"><a' in page
    assert "Days that are not closed" in page
    assert 'Differences with statements</dt><dd class="desk-bad"><a href="' in page
    assert {one.label: one.count for one in closing.still_open(date(2026, 10, 1))} == {
        "Journal entries to decide": 1,
        "Days that are not closed": 12,
        "Differences with statements": 1,
    }
    page = text_of(desk.post(reverse(LOCK), {"month": "2026-10"}))
    assert "Something is still open" in page
    assert not MonthLock.objects.exists()
    desk.post(reverse(LOCK), {"month": "2026-10", "is_sure": "on"})
    assert MonthLock.objects.get().month == date(2026, 10, 1)
    assert "Differences with statements: 1" in StaffAction.objects.get().why


def test_a_statement_of_the_month_that_is_missing_is_open(customer):
    opened = datetime(2026, 10, 30, 12, tzinfo=UTC)
    money = {"amount": Decimal(5), "charge_amount": Decimal(5), "charge_currency": "USD"}
    TopUp.objects.create(
        customer=customer, number="t", method="stripe", created_at=opened, expires_at=opened, problem="x", **money
    )
    Statement.objects.create(provider="stripe", day=date(2026, 10, 30), raw=b"", sha256="", lines=0, matched_at=opened)
    found = {one.label: one.count for one in closing.still_open(date(2026, 10, 1))}
    assert found["Statements missing or unmatched"] == 1, "the 31st"
    assert found["Payments that do not fit"] == 1


@pytest.mark.parametrize("month", ["2026-11", "2026-09", "2099-01", "x", "", "2026-10' OR 1=1"])
def test_only_a_month_that_is_over_and_open_is_locked(desk, make_customer, month):
    now = timezone.now()
    move(make_customer().wallet, "a")
    month = f"{now:%Y-%m}" if month == "2026-11" else month
    desk.post(reverse(LOCK), {"month": month, "is_sure": "on"})
    assert not MonthLock.objects.exists()


def test_any_month_that_is_over_may_be_chosen_and_locks_those_before(desk, make_customer):
    wallet = make_customer().wallet
    move(wallet, "a", at=datetime(2026, 8, 3, tzinfo=UTC))
    assert periods.lockable(now=datetime(2026, 11, 1, 2, tzinfo=UTC)) == [date(2026, month, 1) for month in (8, 9, 10)]
    page = text_of(desk.get(reverse(LOCK), {"month": "2026-09"}))
    assert "Lock 2026-09" in page
    assert 'href="?month=2026-08"' in page
    desk.post(reverse(LOCK), {"month": "2026-09", "is_sure": "on"})
    assert periods.lockable(now=datetime(2026, 11, 1, 2, tzinfo=UTC)) == [date(2026, 10, 1)]
    assert move(wallet, "b", at=timezone.now(), about=date(2026, 8, 9)).booked_on == date(2026, 10, 1)


@pytest.mark.parametrize("role", ["support", "operator"])
def test_months_are_locked_by_finance_alone(make_customer, role):
    move(make_customer().wallet, "a")
    staff = in_role(role)
    assert at_desk(staff).post(reverse(LOCK), {"month": "2026-10", "is_sure": "on"}).status_code == 403
    with pytest.raises(periods.NotLockable, match="by finance"):
        periods.lock_month(month=date(2026, 10, 1), by=staff, now=timezone.now())


def test_a_lock_is_never_undone(finance):
    periods.lock_month(month=date(2026, 10, 1), by=finance, now=timezone.now())
    for statement in ("DELETE FROM billing_monthlock", "UPDATE billing_monthlock SET month = '2026-01-01'"):
        with pytest.raises(DatabaseError, match="Cannot"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


@pytest.mark.parametrize("at", [OCTOBER, timezone.now()], ids=["made long ago", "made now"])
def test_the_database_books_nothing_into_a_locked_month(finance, make_customer, at):
    wallet = make_customer().wallet
    periods.lock_month(month=date(2026, 9, 1), by=finance, now=timezone.now())
    with connection.cursor() as cursor:
        cursor.execute(
            'INSERT INTO billing_transfer (key, kind, debit_id, credit_id, currency, amount, memo, "group", created_at,'
            " booked_on) VALUES ('x', 'x', %s, %s, 'USD', 1, '', '', %s, '2026-09-30')",
            [house_account("clearing:stripe:USD").pk, wallet.paid_account_id, at],
        )
    assert Transfer.objects.get(key="x").booked_on == date(2026, 10, 1)


def test_the_trial_balance_shows_what_customers_are_owed_and_owe_apart(desk, make_customer):
    rich, poor = make_customer().wallet, make_customer().wallet
    move(rich, "a", "20.00000001")
    revenue = house_account("revenue:usage")
    post([Posting("gen-1:paid", "usage", poor.paid_account, revenue, Decimal("0.75"))], now=OCTOBER)
    move(rich, "later", at=OCTOBER + timedelta(days=5))
    path = reverse("admin:billing_monthlock_trial_balance")
    page = text_of(desk.get(path, {"day": "2026-10-22"}))
    assert 'Owed to customers: paid balance</dt><dd class="desk-nowrap">20.00000001 USD' in page
    assert 'Owed by customers</dt><dd class="desk-nowrap">0.75 USD' in page
    for name in ("customers:paid", "customers:owing", "clearing:stripe:USD", "revenue:usage"):
        assert f"<td>{name}</td>" in page
    assert '<td><b>Sum</b></td><td>USD</td><td></td><td></td><td class="r"><b>0.00</b>' in page
    answer = desk.get(path, {"day": "2026-10-22", "csv": "1"})
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert answer["Content-Disposition"] == 'attachment; filename="trial-balance-2026-10-22.csv"'
    by_name = {row["account"]: Decimal(row["credits less debits"]) for row in rows}
    assert by_name["customers:paid"] == Decimal("20.00000001")
    assert by_name["customers:owing"] == Decimal("-0.75")
    assert sum(by_name.values()) == 0


@pytest.mark.parametrize("day", ["tomorrow", "2026-02-30", "", "9999-12-31", "0001-01-01"])
def test_a_day_that_cannot_be_meant_is_said_and_yesterday_shown(desk, day):
    page = desk.get(reverse("admin:billing_monthlock_trial_balance"), {"day": day}).content.decode()
    assert "Name a day up to today" in page
    assert f"Trial balance at the end of {periods.day_of(timezone.now()) - timedelta(days=1)}" in page


def test_the_trial_balance_of_today_says_that_the_day_is_not_over(desk, make_customer):
    move(make_customer().wallet, "a")
    page = desk.get(reverse("admin:billing_monthlock_trial_balance"), {"day": str(timezone.now().date())})
    assert "This day is not over" in page.content.decode()


def test_the_journal_of_a_month_goes_by_the_day_of_booking_with_exact_decimals(desk, make_customer, monkeypatch):
    monkeypatch.setattr(journal, "PAGE", 2)
    wallet = make_customer().wallet
    for number in range(5):
        move(wallet, f"in:{number}", f"0.0000000{number + 1}")
    move(wallet, "made later, about it", "123456789.12345678", at=timezone.now(), about=date(2026, 10, 31))
    move(wallet, "made then, about another", at=OCTOBER, about=date(2026, 9, 30))
    answer = desk.get(reverse("admin:billing_transfer_export"), {"month": "2026-10"})
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert [row["key"] for row in rows] == [*(f"in:{number}" for number in range(5)), "made later, about it"]
    assert [row["amount"] for row in rows[-2:]] == ["0.00000005", "123456789.12345678"]
    assert {row["booked on"][:7] for row in rows} == {"2026-10"}


@pytest.mark.django_db(transaction=True)
async def test_the_file_leaves_line_by_line_under_the_server_of_production(make_customer):
    client = AsyncClient()
    await sync_to_async(client.force_login)(await sync_to_async(in_role)("finance"))
    wallet = (await sync_to_async(make_customer)()).wallet
    await sync_to_async(move)(wallet, "a")
    path = reverse("admin:billing_monthlock_trial_balance")
    answer = await client.get(path, {"day": "2026-10-22", "csv": "1"})
    text = b"".join([piece async for piece in answer.streaming_content]).decode()
    assert "2026-10-22,clearing:stripe:USD,USD,5.00000000,0,-5.00000000" in text
    assert "2026-10-22,customers:paid,USD,0,5.00000000,5.00000000" in text

"""Closed days take nothing more, locked months book on the first open day, and any day has its trial balance."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.utils import timezone

from accounts.models import User
from billing.audit.days import check_days
from billing.books.ledger import LedgerError, Posting, house_account, post
from billing.models import AccountDay, ClosedDay, Transfer
from billing.months import journal, periods, trial_balance

pytestmark = pytest.mark.django_db
OCTOBER = datetime(2026, 10, 31, 23, 59, 59, tzinfo=UTC)


def move(wallet, key: str, *, at: datetime, about: date | None = None, amount: str = "5") -> Transfer:
    clearing = house_account("clearing:stripe:USD")
    return post([Posting(key, "settlement", clearing, wallet.paid_account, Decimal(amount))], now=at, about=about)[key]


@pytest.fixture
def finance(db) -> User:
    return User.objects.create_superuser("finance@example.org", "a rather long one")


def test_a_transfer_dated_into_a_closed_day_has_the_databases_time(make_customer):
    wallet = make_customer("0").wallet
    move(wallet, "topup:1", at=OCTOBER)
    journal.close_days(now=OCTOBER + timedelta(days=3))
    late = move(wallet, "topup:2", at=OCTOBER - timedelta(seconds=1))
    assert abs(timezone.now() - late.created_at) < timedelta(minutes=1)
    assert late.booked_on == late.created_at.date()
    assert sum(-balance.amount for balance in journal.house_balances("clearing:")) == Decimal(10)
    assert list(check_days(None)) == []


def test_the_audit_sums_closed_days_again(make_customer):
    wallet = make_customer("0").wallet
    move(wallet, "topup:1", at=OCTOBER)
    journal.close_days(now=OCTOBER + timedelta(hours=2))
    AccountDay.objects.filter(account__name="clearing:stripe:USD").update(debits=6)
    [drift] = check_days(None)
    assert drift.startswith("clearing:stripe:USD on 2026-10-31: transfers sum to 5")


def test_what_is_about_a_locked_month_is_booked_on_the_first_open_day(make_customer, finance):
    wallet, now = make_customer("0").wallet, datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert move(wallet, "a", at=now, about=date(2026, 10, 30)).booked_on == date(2026, 10, 30)
    periods.lock_month(month=date(2026, 10, 1), by=finance, now=now)
    moved = move(wallet, "b", at=now, about=date(2026, 9, 30))
    assert (moved.booked_on, moved.memo) == (date(2026, 11, 1), "(2026-09-30)")
    assert move(wallet, "c", at=now, about=date(2026, 11, 19)).booked_on == date(2026, 11, 19)
    with pytest.raises(periods.NotLockable):
        periods.lock_month(month=date(2026, 10, 1), by=finance, now=now)


def test_only_a_month_that_is_over_in_the_books_zone_is_locked(finance, settings):
    settings.BOOKS_TIME_ZONE = ZoneInfo("America/New_York")
    with pytest.raises(periods.NotLockable):
        periods.lock_month(month=date(2026, 10, 1), by=finance, now=datetime(2026, 11, 1, 4, 30, tzinfo=UTC))
    periods.lock_month(month=date(2026, 10, 1), by=finance, now=datetime(2026, 11, 1, 5, 0, tzinfo=UTC))


def test_a_transfer_is_booked_on_the_day_of_the_books_zone_and_the_zone_stays(make_customer, settings):
    settings.BOOKS_TIME_ZONE = ZoneInfo("Asia/Shanghai")
    wallet = make_customer("0").wallet
    assert move(wallet, "topup:1", at=OCTOBER).booked_on == date(2026, 11, 1)
    assert "topup:1" in "".join(journal.journal(year=2026, month=11))
    assert "topup:1" not in "".join(journal.journal(year=2026, month=10))
    journal.close_days(now=OCTOBER + timedelta(days=2))
    assert set(ClosedDay.objects.values_list("zone", flat=True)) == {"Asia/Shanghai"}
    settings.BOOKS_TIME_ZONE = ZoneInfo("UTC")
    with pytest.raises(ImproperlyConfigured, match="closed in Asia/Shanghai"):
        periods.must_keep_zone()
    assert "Asia/Shanghai" in periods.check_zone()[0].msg


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/Los_Angeles"])
def test_a_trial_balance_is_the_same_whether_days_are_closed_or_not(make_customer, settings, zone):
    settings.BOOKS_TIME_ZONE = ZoneInfo(zone)
    wallet, other = make_customer("0").wallet, make_customer("0").wallet
    for number in range(12):
        move(wallet, f"topup:{number}", at=datetime(2026, 11, 1 + number, 5 * number % 24, tzinfo=UTC))
    spent = Posting("gen-1:paid", "usage", other.paid_account, house_account("revenue:usage"), Decimal(3))
    post([spent], now=datetime(2026, 11, 2, 12, tzinfo=UTC))
    move(wallet, "late", at=datetime(2026, 11, 12, 12, tzinfo=UTC), about=date(2026, 11, 3))
    days = [date(2026, 10, 31) + timedelta(days=number) for number in range(14)]
    open_days = [trial_balance.as_of(day) for day in days]
    journal.close_days(now=datetime(2026, 11, 13, 2, tzinfo=UTC))
    assert [trial_balance.as_of(day) for day in days] == open_days
    for lines in open_days:
        assert sum(line.balance for line in lines) == 0
    owed = trial_balance.liability(open_days[-1])
    assert (owed.paid, owed.receivable) == (Decimal(65), Decimal(3))
    owed_now = journal.liability()
    assert (owed_now["paid"], owed_now["receivable"]) == (Decimal(65), Decimal(3))


@pytest.mark.parametrize("name", ["clearing:stripe:XYZ", "fx:", "bank:eur", "expense:fees:EURO"])
def test_an_account_in_an_unknown_currency_is_refused(db, name):
    with pytest.raises(LedgerError):
        house_account(name)


@pytest.mark.parametrize(("currency", "finest"), [("JPY", "1"), ("KWD", "0.001"), ("EUR", "0.01"), ("HKD", "0.01")])
def test_an_account_keeps_the_minor_unit_of_its_currency(db, currency, finest):
    ends = house_account(f"clearing:stripe:{currency}"), house_account(f"fx:{currency}")
    assert {account.currency for account in ends} == {currency}
    post([Posting("a", "settlement", *ends, Decimal(finest))], now=timezone.now())
    with pytest.raises(LedgerError):
        post([Posting("b", "settlement", *ends, Decimal(finest) / 10)], now=timezone.now())


def test_a_transfer_of_today_costs_no_look_at_the_closed_days(make_customer):
    move(make_customer("0").wallet, "topup:1", at=timezone.now())
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
        assert cursor.fetchone() == (0,)

"""Closed days, house balances, turnover, and the journal for the accountant."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from billing.books.ledger import Posting, house_account, post
from billing.models import AccountDay, AuditRun, ClosedDay
from billing.months import journal
from desk.first_page.books import panels
from tests.billing.conftest import in_threads
from tests.conftest import NOW, pay_in, use_up

pytestmark = pytest.mark.django_db

FIRST = datetime(2026, 10, 30, 12, tzinfo=UTC)


def move(wallet, amount: str, key: str, at: datetime, *, usage: bool = False, memo: str = "") -> None:
    clearing, revenue = house_account("clearing:stripe:USD"), house_account("revenue:usage")
    ends = (wallet.paid_account, revenue) if usage else (clearing, wallet.paid_account)
    post([Posting(key, "settlement", *ends, Decimal(amount), memo)], now=at)


@pytest.fixture
def four_days(make_customer):
    """Top-ups on the first and third day, usage on the third and fourth; nothing on the second."""
    wallet = make_customer("0").wallet
    move(wallet, "10", "topup:1", FIRST)
    move(wallet, "20", "topup:2", FIRST + timedelta(days=2))
    move(wallet, "1.5", "gen-1:paid", FIRST + timedelta(days=2), usage=True)
    move(wallet, "0.25", "gen-2:paid", FIRST + timedelta(days=3), usage=True)
    return wallet


def test_days_that_are_over_are_closed_once_and_the_open_one_is_summed(four_days):
    now = FIRST + timedelta(days=3)
    assert journal.close_days(now=now) == 3
    assert journal.close_days(now=now) == 0
    assert list(ClosedDay.objects.order_by("day").values_list("day", "transfers")) == [
        (date(2026, 10, 30), 1),
        (date(2026, 10, 31), 0),
        (date(2026, 11, 1), 2),
    ]
    balances = {b.account.name: b.amount for b in journal.house_balances()}
    assert balances == {"clearing:stripe:USD": Decimal(-30), "revenue:usage": Decimal("1.75")}
    assert not AccountDay.objects.filter(day=date(2026, 11, 2)).exists()


def test_a_day_is_not_closed_within_an_hour_of_its_end(four_days):
    midnight = datetime(2026, 11, 1, tzinfo=UTC)
    assert journal.close_days(now=midnight + timedelta(minutes=59)) == 1
    assert journal.close_days(now=midnight + timedelta(minutes=60)) == 1


def test_balances_are_the_same_before_and_after_days_are_closed(four_days):
    before = journal.house_balances()
    journal.close_days(now=FIRST + timedelta(days=10))
    assert journal.house_balances() == before


def test_turnover_joins_closed_days_and_the_open_one(four_days):
    now = FIRST + timedelta(days=3)
    before = journal.turnover("revenue:usage", days=4, now=now)
    journal.close_days(now=now)
    assert journal.turnover("revenue:usage", days=4, now=now) == before
    assert [credits for _day, _debits, credits in before] == [0, 0, Decimal("1.5"), Decimal("0.25")]


@pytest.mark.django_db(transaction=True)
def test_two_workers_close_each_day_once(make_customer):
    wallet = make_customer("0").wallet
    for number in range(6):
        move(wallet, "1", f"topup:{number}", FIRST + timedelta(days=number))
    now = FIRST + timedelta(days=6)
    assert sum(in_threads(*[lambda: journal.close_days(now=now)] * 4)) == 6
    assert AccountDay.objects.count() == 12


def test_the_journal_holds_a_month_to_the_day_and_no_formula(four_days):
    move(four_days, "1", "topup:evil", datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC), memo='=HYPERLINK("http://evil")')
    move(four_days, "1", "topup:next", datetime(2026, 12, 1, tzinfo=UTC))
    rows = list(csv.DictReader(io.StringIO("".join(journal.journal(year=2026, month=11)))))
    assert [row["key"] for row in rows] == ["topup:2", "gen-1:paid", "gen-2:paid", "topup:evil"]
    assert rows[-1]["note"] == '\'=HYPERLINK("http://evil")'
    assert (rows[1]["debit"], rows[1]["credit"], rows[1]["amount"]) == (
        four_days.paid_account.name,
        "revenue:usage",
        "1.50000000",
    )
    assert len(list(journal.journal(year=2026, month=12))) == 2


@pytest.mark.parametrize(
    "text",
    [
        *("=1+1", "+1", "-1", "@SUM(A1)", " =1+1", "\t=1+1", "\n=1+1", "\r\n@x", "\tplain"),
        *("\xa0=1", "\u3000=1", "\ufeff=1", "\u200b =1", "\uff1d1+1", "\uff0d1"),
    ],
)
def test_a_cell_is_never_a_formula_however_it_begins(text):
    [[cell]] = csv.reader(io.StringIO(journal.csv_line([text])))
    assert cell == f"'{text}"


@pytest.mark.parametrize("text", ["", " ", "1=1", "a@b.example", "锤子 - 有限公司", "(-1)"])
def test_other_cells_stay_as_they_are(text):
    [[cell]] = csv.reader(io.StringIO(journal.csv_line([text])))
    assert cell == text


def test_an_audit_is_kept_with_what_it_found(customer, wallet):
    wallet.__class__.objects.filter(pk=wallet.pk).update(paid=5)
    run = journal.run_audit(now=FIRST)
    assert (run.customers, run.drifts) == (1, 1)
    assert AuditRun.objects.latest() == run


def test_one_customers_debt_pays_no_other_customers_credit(make_customer):
    """What is owed to customers and what customers owe stand side by side, never one less the other."""
    rich, poor = make_customer(name="Rich"), make_customer(name="Poor")
    pay_in(rich, "20.00", at=NOW)
    pay_in(poor, "1.00", at=NOW)
    use_up(poor, "4.00")
    figures = {figure.label: figure.value for panel in panels() for figure in panel.figures}
    assert (figures["Paid balance"], figures["Owed by customers"]) == ("$20.00", "$3.00")
    assert figures["Wallets below zero"] == "1"

"""Journal entries by hand: two of finance, two accounts of the house, one currency, a paper and a day."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from accounts.models import GivenRight
from billing.audit.entries import check_entries
from billing.audit.run import audit
from billing.books import entries
from billing.books.entries import EntryError
from billing.books.ledger import Posting, house_account, post
from billing.models import JournalEntry, LedgerAccount, Transfer
from billing.months import journal, periods, trial_balance
from tests.billing.conftest import failures, in_threads, topup
from tests.conftest import NOW
from tests.staffing import in_role

pytestmark = pytest.mark.django_db
TODAY = NOW.date()
RESERVE = {
    "debit": "reserve:stripe:USD",
    "credit": "clearing:stripe:USD",
    "amount": "5.00",
    "about": TODAY,
    "reference": "txn_1",
    "reason": "Stripe holds a reserve back",
}


@pytest.fixture
def first(db):
    return in_role("finance", "first@staff.example.org")


@pytest.fixture
def second(db):
    return in_role("finance", "second@staff.example.org")


@pytest.fixture
def money_at_stripe(wallet):
    topup(wallet, "20")


@pytest.fixture
def propose(first, money_at_stripe):
    def make(**fields):
        return entries.propose(**(RESERVE | {"by": first, "now": NOW} | fields))

    return make


def balance(name: str) -> Decimal:
    return next((found.amount for found in journal.house_balances(name) if found.account.name == name), Decimal(0))


def approve(entry: JournalEntry, by, now=NOW) -> Transfer:
    return entries.approve(entry_id=entry.pk, by=by, now=now)


def test_what_one_of_finance_proposes_another_posts(propose, first, second):
    entry = propose()
    assert balance("reserve:stripe:USD") == 0, "a proposal moves nothing"
    posted = approve(entry, second)
    assert (posted.kind, posted.key, posted.amount, posted.actor) == ("entry", f"entry:{entry.pk}", 5, second)
    assert (posted.debit.name, posted.credit.name) == ("reserve:stripe:USD", "clearing:stripe:USD")
    assert posted.memo == "txn_1: Stripe holds a reserve back"
    assert (balance("reserve:stripe:USD"), balance("clearing:stripe:USD")) == (-5, -15)
    entry.refresh_from_db()
    assert (entry.state, entry.proposed_by, entry.decided_by) == ("posted", first, second)
    assert audit().drifts == []


def test_nobody_approves_an_entry_they_proposed(propose, first):
    entry = propose()
    with pytest.raises(EntryError, match="You proposed it"):
        approve(entry, first)
    with pytest.raises(IntegrityError, match="journalentry_four_eyes"), transaction.atomic():
        JournalEntry.objects.update(state="posted", decided_by=first, decided_at=NOW)
    assert not Transfer.objects.filter(kind="entry").exists()


def test_entries_are_for_finance(propose, second):
    support = in_role("support")
    with pytest.raises(EntryError, match="for finance"):
        propose(by=support)
    entry = propose()
    with pytest.raises(EntryError, match="for finance"):
        approve(entry, support)
    with pytest.raises(EntryError, match="for finance"):
        entries.refuse(entry_id=entry.pk, why="no", by=support, now=NOW)


@pytest.mark.parametrize("side", ["debit", "credit"])
@pytest.mark.parametrize("kind", ["paid", "bonus"])
def test_never_a_customers_account(propose, wallet, first, side, kind):
    name = f"customer:{wallet.pk}:{kind}"
    with pytest.raises(EntryError, match="Choose an account of the house") as refused:
        propose(**{side: name})
    assert refused.value.field == side
    entry, account = propose(), LedgerAccount.objects.get(name=name)
    with pytest.raises(IntegrityError, match=f"journalentry_{side}_of_the_house"), transaction.atomic():
        JournalEntry.objects.filter(pk=entry.pk).update(**{side: account})
    with pytest.raises(IntegrityError, match="journalentry_accounts_of_the_house"), transaction.atomic():
        JournalEntry.objects.filter(pk=entry.pk).update(**{side: account}, account_kind=kind)


def test_never_two_currencies(propose):
    post(
        [Posting("t", "settlement", house_account("clearing:alipay:CNY"), house_account("fx:CNY"), Decimal(7))], now=NOW
    )
    with pytest.raises(EntryError, match="One is in USD, the other in CNY"):
        propose(debit="bank:USD", credit="clearing:alipay:CNY")
    entry = propose()
    with pytest.raises(IntegrityError, match="journalentry_credit_of_the_house"), transaction.atomic():
        JournalEntry.objects.filter(pk=entry.pk).update(credit=house_account("clearing:alipay:CNY"))


@pytest.mark.parametrize(
    ("fields", "at_fault"),
    [
        ({"amount": "0"}, "amount"),
        ({"amount": "-5"}, "amount"),
        ({"amount": "0.000000001"}, "amount"),
        ({"amount": "5,00"}, "amount"),
        ({"amount": "NaN"}, "amount"),
        ({"amount": ""}, "amount"),
        ({"amount": "1000000000000"}, "amount"),
        ({"credit": "reserve:stripe:USD"}, "credit"),
        ({"credit": "bank:XYZ"}, "credit"),
        ({"debit": ""}, "debit"),
        ({"debit": "made:up"}, "debit"),
        ({"about": TODAY + timedelta(days=1)}, "about"),
        ({"about": date(226, 11, 23)}, "about"),
        ({"reference": "  "}, "reference"),
        ({"reason": ""}, "reason"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused_with_the_field_that_is_at_fault(propose, fields, at_fault):
    with pytest.raises(EntryError) as refused:
        propose(**fields)
    assert refused.value.field == at_fault
    assert not JournalEntry.objects.exists()


def test_an_amount_is_as_fine_as_its_currencys_books(propose):
    post(
        [Posting("t", "settlement", house_account("clearing:alipay:CNY"), house_account("fx:CNY"), Decimal(7))], now=NOW
    )
    payout = {"debit": "bank:CNY", "credit": "clearing:alipay:CNY"}
    with pytest.raises(EntryError, match="Write an amount in CNY"):
        propose(**payout, amount="1.001")
    assert propose(**payout, amount="1.01").currency == "CNY"
    assert propose(amount="0.00000001").amount == Decimal("0.00000001")


def test_an_entry_is_booked_on_the_day_it_is_about(propose, second):
    posted = approve(propose(about=date(2026, 10, 7)), second)
    assert (posted.booked_on, posted.created_at) == (date(2026, 10, 7), NOW)
    reserve = {line.name: line.balance for line in trial_balance.as_of(date(2026, 10, 31))}
    assert reserve["reserve:stripe:USD"] == -5


def test_about_a_locked_month_it_is_booked_on_the_first_open_day_with_its_own_in_the_note(propose, first, second):
    entry = propose(about=date(2026, 10, 7))
    periods.lock_month(month=date(2026, 10, 1), by=first, now=NOW)  # while it waited
    posted = approve(entry, second)
    assert posted.booked_on == date(2026, 11, 1)
    assert posted.memo == "txn_1: Stripe holds a reserve back (2026-10-07)"
    long = approve(propose(about=date(2026, 9, 30), reason="y" * 500), second)
    assert long.memo.startswith("txn_1: y")
    assert long.memo.endswith("y (2026-09-30)")


def test_an_entry_is_posted_once_and_never_changed_or_deleted(propose, second):
    third, entry = in_role("finance", "third@staff.example.org"), propose()
    approve(entry, second)
    for act in (approve, lambda entry, by: entries.refuse(entry_id=entry.pk, why="late", by=by, now=NOW)):
        with pytest.raises(EntryError, match="posted already"):
            act(entry, third)
    for statement in ("UPDATE billing_journalentry SET reason = 'x'", "DELETE FROM billing_journalentry"):
        with pytest.raises(DatabaseError, match="Cannot"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


def test_a_proposer_may_take_an_entry_back(propose, first, second):
    entry = propose()
    with pytest.raises(EntryError, match="Say why"):
        entries.refuse(entry_id=entry.pk, why=" ", by=first, now=NOW)
    assert entries.refuse(entry_id=entry.pk, why="a slip", by=first, now=NOW).decision == "a slip"
    with pytest.raises(EntryError, match="refused already"):
        approve(entry, second)
    assert audit().drifts == []


def test_the_chart_offers_the_houses_accounts_and_what_comes_first_by_an_entry(money_at_stripe):
    names = entries.chart()
    assert {"clearing:stripe:USD", "reserve:stripe:USD", "bank:USD", "result:fx:USD", "expense:bonus"} <= set(names)
    assert not any(name.startswith("customer:") for name in names)
    assert "bank:CNY" not in names, "the books know no yuan yet"


def test_a_reference_that_stands_on_another_entry_is_shown(propose, second, first):
    entry, again, refused = propose(), propose(), propose()
    entries.refuse(entry_id=refused.pk, why="twice", by=first, now=NOW)
    assert list(entries.same_reference(again)) == [entry]


def unprotected(statement: str, *values: object) -> None:
    """A row written by hand past the triggers and foreign keys."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(statement, values)
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")


def test_the_audit_tells_of_an_entry_that_is_not_in_the_books_as_it_was_approved(propose, second):
    entry, waiting = propose(), propose()
    approve(entry, second)

    def told() -> list[str]:
        return list(check_entries(None))

    assert told() == []
    unprotected("UPDATE billing_transfer SET amount = 6 WHERE key = %s", entry.key)
    assert f"journal entry {entry.pk} is posted with 5.00000000 USD: the books have 6" in told()[0]
    unprotected("DELETE FROM billing_transfer WHERE key = %s", entry.key)
    assert "the books have none" in told()[0]
    accounts = house_account("bank:USD"), house_account("clearing:stripe:USD")
    post(
        [Posting(waiting.key, "entry", *accounts, Decimal(5)), Posting("entry:999", "fee", *accounts, Decimal(1))],
        now=NOW,
    )
    drifts = told()
    assert any(f"journal entry {waiting.pk} is proposed" in drift for drift in drifts)
    assert "entry:999 was posted without a journal entry" in drifts


@pytest.mark.django_db(transaction=True)
def test_two_who_approve_an_entry_at_once_post_it_once(wallet):
    GivenRight.objects.all().delete()
    topup(wallet, "20")
    by = [in_role("finance", f"{name}@staff.example.org") for name in "abc"]
    entry = entries.propose(**RESERVE, by=by[0], now=NOW)
    results = in_threads(*(lambda who=who: approve(entry, who) for who in (by[1], by[2], by[1], by[2])))
    assert len(failures(results)) == 3
    assert Transfer.objects.filter(kind="entry").count() == 1


def test_an_entry_about_today_in_the_books_zone_is_no_entry_about_tomorrow(propose, settings):
    settings.BOOKS_TIME_ZONE = ZoneInfo("Asia/Shanghai")
    late = datetime(2026, 11, 23, 20, tzinfo=UTC)
    assert propose(about=date(2026, 11, 24), now=late).about == date(2026, 11, 24)
    settings.BOOKS_TIME_ZONE = ZoneInfo("UTC")
    with pytest.raises(EntryError, match="up to today"):
        propose(about=date(2026, 11, 24), now=late)

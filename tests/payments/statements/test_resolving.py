"""A discrepancy that an entry resolves: proposed by one at the desk, closed with the entry when another approves it."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from accounts.models import StaffAction
from billing.books import entries
from billing.books.entries import EntryError
from billing.books.ledger import Posting, house_account, post
from billing.discrepancies import queue, resolving
from billing.models import JournalEntry, Transfer
from payments.models import Discrepancy, Statement, StatementLine
from payments.statements import reconcile
from tests.conftest import NOW
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db
DAY = date(2026, 11, 22)


@pytest.fixture
def first(db):
    return in_role("finance", "first@staff.example.org")


@pytest.fixture
def second(db):
    return in_role("finance", "second@staff.example.org")


@pytest.fixture
def statement(db):
    """A line that Stripe calls an adjustment: it is in no book of ours, and leaves a discrepancy."""
    made = Statement.objects.create(provider="stripe", day=DAY, raw=b"", sha256="", lines=1)
    StatementLine.objects.create(
        statement=made,
        provider="stripe",
        key="txn_1",
        kind="other",
        amount=Decimal("-3.20"),
        fee=0,
        currency="USD",
        transaction_id="adj_1",
        at=NOW,
    )
    return made


@pytest.fixture
def row(statement, wallet):
    post([Posting("t", "settlement", house_account("clearing:stripe:USD"), wallet.paid_account, Decimal(20))], now=NOW)
    [found] = match(NOW).open
    return found


def match(now):
    return reconcile.match(provider="stripe", day=DAY, now=now)


def propose(row, by, **fields):
    given = resolving.suggestion(row) | {"debit": "result:other:USD"} | fields
    return resolving.propose(discrepancy_id=row.pk, **given, by=by, now=NOW)


def test_the_form_begins_with_what_the_difference_says(row):
    assert resolving.suggestion(row) == {
        "about": DAY,
        "reference": "stripe txn_1",
        "reason": "adj_1",
        "credit": "clearing:stripe:USD",
        "amount": "3.20",
    }


def test_a_discrepancy_closes_with_its_entry_and_stays_closed(row, first, second):
    entry = propose(row, first)
    row.refresh_from_db()
    assert (row.state, row.entry) == ("open", entry), "it closes when somebody else approves"
    posted = entries.approve(entry_id=entry.pk, by=second, now=NOW)
    row.refresh_from_db()
    assert (row.state, row.decided_by, row.note) == ("resolved", second, f"{entry}: adj_1")
    assert (posted.booked_on, posted.amount) == (DAY, Decimal("3.2"))
    assert match(NOW + timedelta(days=2)).open == []
    row.refresh_from_db()
    assert row.state == "resolved"


def test_what_an_entry_has_booked_of_a_difference_that_grows_is_not_suggested_again(row, statement, first, second):
    entries.approve(entry_id=propose(row, first).pk, by=second, now=NOW)
    StatementLine.objects.update(amount=Decimal("-4.20"))
    [grown] = match(NOW + timedelta(days=1)).open
    assert (grown.pk, grown.theirs) == (row.pk, Decimal("-4.2"))
    begins = resolving.suggestion(grown)
    assert (begins["credit"], begins["amount"]) == ("clearing:stripe:USD", "1.00")


def test_both_or_neither(row, first, second, monkeypatch):
    entry = propose(row, first)

    def fail(*args, **kwargs):
        raise RuntimeError("the machine stops")

    with monkeypatch.context() as patch:
        patch.setattr(Discrepancy.objects, "select_for_update", fail)
        with pytest.raises(RuntimeError):
            entries.approve(entry_id=entry.pk, by=second, now=NOW)
    assert not Transfer.objects.filter(kind="entry").exists()
    entry.refresh_from_db()
    assert entry.state == "proposed"


def test_what_was_closed_or_has_changed_meanwhile_refuses_its_entry(row, statement, first, second):
    entry = propose(row, first)
    StatementLine.objects.update(amount=Decimal("-4.20"))
    match(NOW + timedelta(days=1))
    with pytest.raises(EntryError, match="has changed since"):
        entries.approve(entry_id=entry.pk, by=second, now=NOW)
    entries.refuse(entry_id=entry.pk, why="another amount", by=first, now=NOW)
    again = propose(Discrepancy.objects.get(), first)
    assert again.amount == Decimal("4.2")
    queue.explain(discrepancy_id=row.pk, note="found elsewhere", by_id=first.pk, now=NOW)
    with pytest.raises(EntryError, match="was closed"):
        entries.approve(entry_id=again.pk, by=second, now=NOW)
    assert not Transfer.objects.filter(kind="entry").exists()


def test_one_entry_at_a_time_and_another_after_a_refusal(row, first, second):
    entry = propose(row, first)
    with pytest.raises(EntryError, match="proposed already"):
        propose(row, second)
    entries.refuse(entry_id=entry.pk, why="the wrong account", by=second, now=NOW)
    row.refresh_from_db()
    assert (row.state, row.entry) == ("open", None)
    entries.approve(entry_id=propose(row, first).pk, by=second, now=NOW)
    with pytest.raises(EntryError, match="closed meanwhile"):
        propose(row, first)


def test_the_database_keeps_resolved_without_an_entry_out(row):
    with pytest.raises(IntegrityError, match="discrepancy_resolved_by_an_entry"), transaction.atomic():
        Discrepancy.objects.update(state="resolved")


def test_at_the_desk_one_proposes_and_another_approves(row, statement, first, second):
    desk, other = at_desk(first), at_desk(second)
    path = reverse("admin:payments_discrepancy_resolve", args=[row.pk])
    page = desk.get(path).content.decode()
    assert 'value="stripe txn_1"' in page
    assert "unexpected line: theirs -3.20, ours — USD. adj_1" in page
    form = {
        "debit": "result:other:USD",
        "credit": "clearing:stripe:USD",
        "amount": "3.20",
        "about": "2026-11-22",
        "reference": "stripe txn_1",
        "reason": "Stripe took it for a dispute of the year before",
    }
    assert "Choose two accounts" in desk.post(path, form | {"debit": "clearing:stripe:USD"}).content.decode()
    assert desk.post(path, form).status_code == 302
    entry = JournalEntry.objects.get()
    approve = reverse("admin:billing_journalentry_approve", args=[entry.pk])
    assert "You proposed it" in desk.post(approve, follow=True).content.decode()
    shown = other.get(approve).content.decode()
    assert "first@staff.example.org proposed 3.20 USD: debit result:other:USD, credit clearing:stripe:USD" in shown
    assert "It is booked on 2026-11-22." in shown
    assert "Posted." in other.post(approve, follow=True).content.decode()
    row.refresh_from_db()
    assert row.state == "resolved"
    acts = list(StaffAction.objects.order_by("pk").values_list("action", "object_type", "why"))
    assert acts == [
        ("resolve", "payments.discrepancy", form["reason"]),
        ("approve", "billing.journalentry", form["reason"]),
    ]
    assert StaffAction.objects.order_by("-pk")[0].after["state"] == "posted"


@pytest.mark.parametrize("role", ["support", "operator"])
def test_others_neither_propose_nor_approve_at_the_desk(row, first, role):
    entry, desk = propose(row, first), at_desk(in_role(role))
    paths = (
        reverse("admin:payments_discrepancy_resolve", args=[row.pk]),
        reverse("admin:billing_journalentry_add"),
        reverse("admin:billing_journalentry_approve", args=[entry.pk]),
        reverse("admin:billing_journalentry_refuse", args=[entry.pk]),
    )
    for path in paths:
        assert desk.post(path, {"why": "x"}).status_code == 403, path
    assert JournalEntry.objects.get().state == "proposed"


def test_an_entry_of_its_own_is_proposed_at_the_desk_and_taken_back(first, second):
    desk, add = at_desk(first), reverse("admin:billing_journalentry_add")
    today = timezone.now().date()
    form = {"debit": "bank:USD", "credit": "result:other:USD", "amount": "1,5", "about": str(today)}
    form |= {"reference": "BANK-7", "reason": "interest"}
    assert "Write an amount in USD" in desk.post(add, form).content.decode()
    assert "up to today" in desk.post(add, form | {"about": str(today + timedelta(days=1))}).content.decode()
    for _number in range(2):
        assert desk.post(add, form | {"amount": "1.50"}).status_code == 302
    entry, again = JournalEntry.objects.order_by("pk")
    shown = at_desk(second).get(reverse("admin:billing_journalentry_approve", args=[again.pk])).content.decode()
    assert f"The same reference stands on: {entry}" in shown
    refuse = reverse("admin:billing_journalentry_refuse", args=[again.pk])
    assert "Closed; nothing was posted." in desk.post(refuse, {"why": "twice"}, follow=True).content.decode()
    again.refresh_from_db()
    assert (again.state, again.decision) == ("refused", "twice")

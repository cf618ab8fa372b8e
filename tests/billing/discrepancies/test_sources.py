"""Whoever sends bills may open a discrepancy: a source of its own opens, lists, explains and resolves it here."""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.urls import reverse

from billing.books import entries
from billing.books.entries import EntryError
from billing.books.ledger import Posting, house_account, post
from billing.discrepancies import queue, resolving, sources
from billing.discrepancies.queue import Difference
from billing.models import Discrepancy
from tests.conftest import NOW
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db
DAY, Kind = date(2026, 11, 22), Discrepancy.Kind
BILLED = Difference(Kind.AMOUNT_DIFFERS, "bill-7", "USD", theirs=Decimal("12.50"), ours=Decimal("12.00"))
UNKNOWN = Difference(Kind.UNEXPECTED, "bill-8", "USD", theirs=Decimal(1), detail="a line of theirs")


@pytest.fixture(autouse=True)
def _toy() -> Iterator[None]:
    sources.register(sources.Source("toybills", "Toy bills", account=lambda row: f"bank:{row.currency}"))
    yield
    sources._sources.pop("toybills")


@pytest.fixture
def finance(db):
    return [in_role("finance", f"{name}@staff.example.org") for name in ("first", "second")]


def put(*found: Difference, now=NOW) -> queue.Queued:
    return queue.put(found, source="toybills", day=DAY, now=now)


def test_a_source_opens_what_differs_once_and_cures_what_differs_no_more():
    assert [row.key for row in put(BILLED, UNKNOWN).open] == ["bill-7", "bill-8"]
    again = put(BILLED, now=NOW + timedelta(days=1))
    assert ([row.key for row in again.open], again.cured) == (["bill-7"], 1)
    assert set(queue.waiting(source="toybills").values_list("key", "found_at")) == {("bill-7", NOW)}
    assert queue.waiting().count() == 1
    assert not queue.waiting(source="stripe").exists()
    assert len(put(BILLED, UNKNOWN).open) == 2, "what was cured may come back"


def test_what_was_explained_stays_so_until_its_amounts_are_others(finance):
    [row] = put(BILLED).open
    assert queue.explain(discrepancy_id=row.pk, note=" theirs is rounded ", by_id=finance[0].pk, now=NOW)
    assert not queue.explain(discrepancy_id=row.pk, note="x", by_id=finance[0].pk, now=NOW), "it is closed"
    assert put(BILLED).open == []
    grown = Difference(Kind.AMOUNT_DIFFERS, "bill-7", "USD", theirs=Decimal(13), ours=Decimal(12))
    assert [found.pk for found in put(grown).open] == [row.pk]


def test_an_entry_of_two_of_finance_resolves_one(finance, wallet):
    bank, clearing = house_account("bank:USD"), house_account("clearing:stripe:USD")
    post([Posting("t", "payout", bank, clearing, Decimal(20))], now=NOW)
    [row] = put(BILLED).open
    given = resolving.suggestion(row)
    assert given == {
        "about": DAY,
        "reference": "toybills bill-7",
        "reason": "",
        "debit": "bank:USD",
        "amount": "0.50",
    }
    given |= {"credit": "result:other:USD", "reason": "their rounding", "now": NOW}
    with pytest.raises(EntryError, match="Discrepancies are for finance"):
        resolving.propose(discrepancy_id=row.pk, **given, by=in_role("support"))
    entry = resolving.propose(discrepancy_id=row.pk, **given, by=finance[0])
    entries.approve(entry_id=entry.pk, by=finance[1], now=NOW)
    row.refresh_from_db()
    assert (row.state, row.entry, row.decided_by) == ("resolved", entry, finance[1])
    assert not queue.waiting().exists()


def test_the_desk_shows_it_beside_the_others_under_its_name(finance):
    put(BILLED)
    desk = at_desk(finance[0])
    listed = desk.get(reverse("admin:payments_discrepancy_changelist"), {"provider__exact": "toybills"})
    assert listed.status_code == 200
    page = listed.content.decode()
    assert "Toy bills" in page
    assert "bill-7" in page
    assert (
        "bill-7"
        not in desk.get(
            reverse("admin:payments_discrepancy_changelist"), {"provider__exact": "stripe"}
        ).content.decode()
    )


def test_a_source_that_nobody_registered_opens_nothing():
    with pytest.raises(LookupError):
        queue.put([BILLED], source="nobody", day=DAY, now=NOW)
    assert not Discrepancy.objects.exists()

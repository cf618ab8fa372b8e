"""A month of bills in each format, in which three things are wrong: those are found, and nothing else."""

import io
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from billing.models import Discrepancy
from proxy.bills import storing, work
from proxy.models import UpstreamBill, UpstreamBillSum
from tests.conftest import NOW
from tests.proxy.bills import written
from tests.proxy.bills.conftest import FIRST, LAST

pytestmark = pytest.mark.django_db
WRONG, MISSING, UNKNOWN = date(2026, 10, 5), date(2026, 10, 12), date(2026, 10, 20)


def bill_of(content: bytes, upstream, *, first=FIRST, last=LAST, **told) -> UpstreamBill:
    file = io.BytesIO(content)
    bill = storing.add(file, upstream=upstream, first=first, last=last, **told)
    work.finish(bill, file, now=NOW)
    return bill


def found() -> list[tuple[date, str, str, Decimal | None, Decimal | None]]:
    rows = Discrepancy.objects.filter(state="open", provider="upstreams").order_by("day")
    return [(row.day, row.kind, row.key.split(":")[2], row.theirs, row.ours) for row in rows]


@pytest.fixture
def billed(month) -> list[written.Billed]:
    return [written.of(generation) for generation in month]


@pytest.fixture
def planted(billed) -> list[written.Billed]:
    """A wrong amount, a request that is not on the bill, and one that we do not know."""
    wrong = next(one for one in billed if one.at.date() == WRONG)
    missing = next(one for one in billed if one.at.date() == MISSING and one.model.startswith("claude"))
    unknown = replace(next(one for one in billed if one.at.date() == UNKNOWN), request_id="req-x", cost=Decimal("0.70"))
    told = [one for one in billed if one is not missing]
    told[told.index(wrong)] = replace(wrong, cost=wrong.cost + Decimal("0.50"), fresh=600, cached=500)
    return [*told, unknown]


ALL = written.BY_DAY | written.BY_TOKENS | written.BY_ID


@pytest.mark.parametrize("name", ALL)
def test_a_bill_that_is_right_has_no_differences(billed, upstream, name):
    bill = bill_of(ALL[name](billed), upstream)
    assert found() == []
    assert (bill.state, bill.differences, bill.format) == ("compared", 0, name.partition(",")[0])
    if bill.theirs is not None:
        assert bill.theirs == bill.ours == 31 * Decimal("2.30")
    assert UpstreamBillSum.objects.filter(bill=bill).values("day", "model").distinct().count() == 62


@pytest.mark.parametrize("name", written.BY_ID)
def test_of_requests_with_ids_each_is_judged(planted, upstream, name):
    bill = bill_of(written.BY_ID[name](planted), upstream)
    assert found() == [
        (WRONG, "amount_differs", "gpt-4-1", Decimal("0.70"), Decimal("0.20")),
        (MISSING, "missing_there", "claude-opus-4-6", Decimal(0), Decimal("1.70")),
        (UNKNOWN, "missing_here", "gpt-4-1", Decimal("0.70"), Decimal(0)),
    ]
    assert (bill.differences, bill.theirs - bill.ours) == (3, Decimal("-0.50"))


@pytest.mark.parametrize("name", written.BY_DAY)
def test_of_sums_a_models_day_is_judged(planted, upstream, name):
    bill = bill_of(written.BY_DAY[name](planted), upstream)
    assert found() == [
        (WRONG, "amount_differs", "gpt-4-1", Decimal("1.10"), Decimal("0.60")),
        (MISSING, "missing_there", "claude-opus-4-6", Decimal(0), Decimal("1.70")),
        (UNKNOWN, "amount_differs", "gpt-4-1", Decimal("1.30"), Decimal("0.60")),
    ]
    assert (bill.differences, bill.theirs - bill.ours) == (3, Decimal("-0.50"))


@pytest.mark.parametrize("name", written.BY_TOKENS)
def test_of_tokens_each_column_is_judged_and_a_models_day_is_told_once(planted, upstream, name):
    bill_of(written.BY_TOKENS[name](planted), upstream)
    assert found() == [
        (WRONG, "amount_differs", "gpt-4-1", Decimal(2900), Decimal(2700)),
        (MISSING, "missing_there", "claude-opus-4-6", Decimal(0), Decimal(900)),
        (UNKNOWN, "amount_differs", "gpt-4-1", Decimal(3600), Decimal(2700)),
    ]
    assert "cached_tokens 1300 / 1200" in Discrepancy.objects.get(day=WRONG).detail


def test_the_requests_behind_a_difference_are_named(planted, month, upstream):
    bill_of(written.openrouter(planted), upstream)
    wrong = next(one for one in month if one.created_at.date() == WRONG)
    missing = next(one for one in month if one.created_at.date() == MISSING and "claude" in one.model.slug)
    details = dict(Discrepancy.objects.values_list("day", "detail"))
    assert details[WRONG] == f"gpt-4-1; {wrong.pk}"
    assert details[MISSING] == f"claude-opus-4-6; {missing.pk}"
    assert details[UNKNOWN] == "gpt-4-1; req-x"

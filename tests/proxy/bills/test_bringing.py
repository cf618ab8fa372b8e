"""What becomes of a file that was brought: read by whoever comes next, killed or not, and one for its days."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing.models import Discrepancy
from proxy.bills import storing, work
from proxy.models import UpstreamBill, UpstreamBillLine, UpstreamBillSum
from tests.conftest import NOW
from tests.proxy.bills import written
from tests.proxy.bills.test_comparing import DAY, plain_bill
from tests.proxy.bills.test_months import bill_of, found

pytestmark = pytest.mark.django_db


def test_a_bill_that_was_killed_while_it_was_stored_begins_anew(month, upstream, monkeypatch):
    content = written.openrouter([written.of(one) for one in month])
    monkeypatch.setattr(storing, "LINES_AT_ONCE", 50)
    copy, pieces = storing.islice, []

    def killed(*arguments: Any) -> Any:
        pieces.append(1)
        if len(pieces) == 3:
            raise KeyboardInterrupt
        return copy(*arguments)

    monkeypatch.setattr(storing, "islice", killed)
    with pytest.raises(KeyboardInterrupt):
        bill_of(content, upstream)
    bill = UpstreamBill.objects.get()
    assert (bill.state, UpstreamBillLine.objects.count()) == ("waiting", 100)
    assert not UpstreamBillSum.objects.exists()
    assert found() == []
    monkeypatch.setattr(storing, "islice", copy)
    again = bill_of(content, upstream)
    assert (again.pk, again.state, again.lines) == (bill.pk, "compared", 124)
    assert UpstreamBillLine.objects.count() == 124
    assert found() == []


def test_a_bill_that_was_killed_before_it_was_compared_is_compared_later(asked, upstream):
    asked(at=DAY)
    file = io.BytesIO(plain_bill("2026-10-05,gpt-4.1,0.90"))
    bill = storing.add(file, upstream=upstream, first=DAY.date(), last=DAY.date())
    storing.take(bill, file)
    assert found() == []
    assert work.finish_all(now=NOW) == 1
    assert len(found()) == 1
    assert work.finish_all(now=NOW) == 0


def test_an_uploaded_file_is_kept_until_it_is_read(asked, upstream):
    asked(at=DAY)
    good = plain_bill("2026-10-05,gpt-4.1,0.90")
    for content in (good, b"nothing"):
        storing.add(io.BytesIO(content), upstream=upstream, first=DAY.date(), last=DAY.date(), keeps=True)
    assert UpstreamBill.objects.exclude(raw=None).count() == 2
    assert work.finish_all(now=NOW) == 1
    assert sorted(UpstreamBill.objects.values_list("state", flat=True)) == ["compared", "refused"]
    assert not UpstreamBill.objects.exclude(raw=None).exists()


def test_one_that_fails_says_so_and_keeps_none_behind_it_waiting(asked, upstream, monkeypatch):
    first, second = (
        storing.add(io.BytesIO(plain_bill(f"{day},gpt-4.1,0.20")), upstream=upstream, first=day, last=day, keeps=True)
        for day in (DAY.date(), DAY.date() + timedelta(days=1))
    )
    read = storing.read

    def failing(file, *rest, **more):
        if b"2026-10-05" in file.read():
            raise RuntimeError("a mistake of ours\0")
        file.seek(0)
        return read(file, *rest, **more)

    monkeypatch.setattr(storing, "read", failing)
    assert work.finish_all(now=NOW) == 1
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, first.problem) == ("waiting", "RuntimeError: a mistake of ours\ufffd")
    assert second.state == "compared"
    monkeypatch.setattr(storing, "read", read)
    assert work.finish_all(now=NOW) == 1
    first.refresh_from_db()
    assert (first.state, first.problem) == ("compared", "")


def test_a_bill_whose_command_died_is_read_once_it_is_uploaded(asked, upstream):
    asked(at=DAY)
    days = {"first": DAY.date(), "last": DAY.date()}
    content = plain_bill("2026-10-05,gpt-4.1,0.20")
    bill = storing.add(io.BytesIO(content), upstream=upstream, **days)
    assert work.finish_all(now=NOW) == 0
    assert storing.add(io.BytesIO(content), upstream=upstream, **days, keeps=True) == bill
    assert work.finish_all(now=NOW) == 1
    bill.refresh_from_db()
    assert bill.state == "compared"


def test_the_same_file_in_another_zone_takes_the_place_of_the_first(asked, upstream):
    """Whoever named the wrong zone could not put it right: the first bill was taken for this one."""
    asked(at=datetime(2026, 10, 4, 20, tzinfo=UTC))
    days = {"first": DAY.date(), "last": DAY.date()}
    content = plain_bill("2026-10-05,gpt-4.1,0.20")
    wrong, right = (
        storing.add(io.BytesIO(content), upstream=upstream, **days, zone=zone, keeps=True)
        for zone in ("UTC", "Asia/Shanghai")
    )
    assert work.finish_all(now=NOW) == 2
    wrong.refresh_from_db()
    right.refresh_from_db()
    assert (wrong.state, right.state, right.differences) == ("replaced", "compared", 0)
    assert not Discrepancy.objects.filter(state="open").exists()

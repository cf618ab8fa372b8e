"""The weekly summary: Monday 08:00 of the account, of the week before it, once."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from accounts.people.customers import set_time_zone
from billing.books.ledger import Posting, house_account, post
from billing.models import Event, Wallet
from billing.outbox.kinds import Fact
from billing.warnings import setting, weekly
from billing.warnings.setting import Wanted
from tests.outbox import mails


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def want(customer, now: datetime, *, is_wanted: bool = True) -> None:
    setting.change(customer=customer, wanted=Wanted(weekly_summary=is_wanted), by=None, now=now)


def use(customer, amount: str, now: datetime) -> None:
    wallet = Wallet.objects.get(customer=customer)
    posting = Posting(
        f"g{now}:bonus", "usage_bonus", wallet.bonus_account, house_account("revenue:bonus_used"), Decimal(amount)
    )
    post([posting], now=now)


@pytest.mark.parametrize(
    ("zone", "monday", "begin", "due"),
    [
        # Clocks go forward in Berlin on Sunday, 28 March 2027, and back in New York on Sunday, 1 November 2026.
        ("Europe/Berlin", "2027-03-29", "2027-03-21T23:00", "2027-03-29T06:00"),
        ("America/New_York", "2026-11-02", "2026-10-26T04:00", "2026-11-02T13:00"),
        ("Asia/Shanghai", "2026-11-30", "2026-11-22T16:00", "2026-11-30T00:00"),
    ],
)
def test_it_is_due_on_monday_at_eight_and_is_of_the_accounts_week(customer, user, zone, monday, begin, due):
    set_time_zone(customer=customer, name=zone)
    want(customer, at(begin))
    end = date.fromisoformat(monday)
    use(customer, "1", at(begin) - timedelta(minutes=1))
    use(customer, "0.25", at(begin))
    over = weekly.start_of(end, zone=weekly.zone_of(zone))
    use(customer, "0.5", over - timedelta(minutes=1))
    use(customer, "2", over)
    weekly.send_due(now=at(due) - timedelta(seconds=1))
    first = set(Event.objects.filter(kind=Fact.WEEK_SUMMARY).values_list("pk", flat=True))
    assert weekly.send_due(now=at(due)) == 1
    assert weekly.send_due(now=at(due) + timedelta(days=3)) == 0
    [fact] = Event.objects.filter(kind=Fact.WEEK_SUMMARY).exclude(pk__in=first)
    assert (fact.data["from"], fact.data["to"]) == (str(end - timedelta(days=7)), str(end - timedelta(days=1)))
    assert fact.data["used"] == "0.75000000"
    letter = mails().get(event=fact)
    assert (letter.to, letter.subject) == ("ada@example.org", "Your week")
    assert "Used by requests: $0.75" in letter.body


def test_it_is_off_until_it_is_wanted_and_begins_with_the_next_monday(customer):
    assert weekly.send_due(now=at("2026-11-30T08:00")) == 0
    want(customer, at("2026-12-01T12:00"))
    assert weekly.send_due(now=at("2026-12-06T23:00")) == 0
    assert weekly.send_due(now=at("2026-12-07T08:00")) == 1
    want(customer, at("2026-12-08T08:00"))  # as it is
    assert weekly.send_due(now=at("2026-12-08T08:00")) == 0
    want(customer, at("2026-12-08T08:00"), is_wanted=False)
    assert weekly.send_due(now=at("2026-12-14T08:00")) == 0


def test_a_monday_that_nobody_worked_on_is_made_up_for_once(customer):
    want(customer, at("2026-11-10T00:00"))
    assert weekly.send_due(now=at("2026-11-26T00:00")) == 1
    assert Event.objects.get(kind=Fact.WEEK_SUMMARY).data["from"] == "2026-11-16"
    set_time_zone(customer=customer, name="Pacific/Honolulu")
    assert weekly.send_due(now=at("2026-11-26T00:00")) == 0

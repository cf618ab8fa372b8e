"""A day, a week and a month of caps are stretches of dates in the account's zone, whatever its clocks do."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from accounts.limits.correcting import MeterChange, correct
from accounts.limits.periods import Period, begins, ends, resets_at, start_of, zone_names, zone_of
from accounts.limits.spending import Spending
from accounts.models import KeyMeter, MemberMeter, Membership
from billing.limits import members
from tests.conftest import NOW

SECOND = timedelta(seconds=1)
# A zone, a day on which its clocks change or one after a date that was left out, and when it ends.
CHANGES = [
    ("Asia/Kathmandu", date(2026, 11, 30), "2026-11-30T18:15:00Z"),
    ("Australia/Lord_Howe", date(2026, 4, 5), "2026-04-05T13:30:00Z"),  # half an hour back at 2:00
    ("Australia/Lord_Howe", date(2026, 10, 4), "2026-10-04T13:00:00Z"),  # half an hour on
    ("Africa/Cairo", date(2026, 4, 23), "2026-04-23T22:00:00Z"),  # the next day begins at 1:00
    ("Africa/Cairo", date(2026, 4, 24), "2026-04-24T21:00:00Z"),
    ("America/Santiago", date(2026, 4, 4), "2026-04-05T04:00:00Z"),  # its last hour comes twice
    ("America/Santiago", date(2026, 9, 5), "2026-09-06T04:00:00Z"),  # the next day begins at 1:00
    ("Pacific/Apia", date(2011, 12, 29), "2011-12-30T10:00:00Z"),  # the 30th did not exist
]


@pytest.mark.parametrize(("name", "day", "ends_at"), CHANGES)
def test_a_day_ends_at_the_first_moment_of_the_next_also_where_clocks_change(name, day, ends_at):
    zone = zone_of(name)
    end = resets_at(Period.DAY, day=day, zone=zone)
    assert f"{end:%Y-%m-%dT%H:%M:%SZ}" == ends_at
    assert (end - SECOND).astimezone(zone).date() == day, "23:59:59 still counts"
    assert end.astimezone(zone).date() > day
    spending = Spending([day, *[Decimal(1)] * 8])
    spending.turn_to((end - SECOND).astimezone(zone).date())
    assert spending.spent[Period.DAY] == 1
    spending.turn_to(end.astimezone(zone).date())
    assert spending.spent[Period.DAY] == 0


@pytest.mark.parametrize("name", ["UTC", *sorted({name for name, *_ in CHANGES}), "America/St_Johns"])
def test_every_moment_of_years_lies_in_the_day_that_has_begun_and_is_not_over(name):
    zone = zone_of(name)
    moment = datetime(2025, 12, 1, tzinfo=UTC)
    while moment.year < 2028:
        day = moment.astimezone(zone).date()
        assert start_of(day, zone=zone) <= moment < start_of(ends(day)[Period.DAY], zone=zone)
        moment += timedelta(hours=5, minutes=59, seconds=59)


def test_a_week_goes_over_new_year_and_a_month_does_not():
    thursday, friday = date(2026, 12, 31), date(2027, 1, 1)
    assert begins(thursday)[Period.WEEK] == begins(friday)[Period.WEEK] == date(2026, 12, 28)
    assert ends(friday)[Period.WEEK] == ends(thursday)[Period.WEEK] == date(2027, 1, 4)
    assert ends(thursday)[Period.MONTH] == begins(friday)[Period.MONTH] == friday
    spending = Spending([thursday, *[Decimal(1)] * 8])
    spending.count(friday, Decimal(2))
    assert spending.spent == [2, 3, 2, 3]
    spending.turn_to(date(2027, 1, 4))
    assert spending.spent == [0, 0, 2, 3]


def test_where_a_clock_goes_back_over_midnight_the_day_that_began_goes_on():
    """In Newfoundland it was 0:00:59 on the 7th, then 23:01 on the 6th."""
    zone = ZoneInfo("America/St_Johns")
    moments = [datetime(2010, 11, 7, 2, 30, 59, tzinfo=UTC), datetime(2010, 11, 7, 2, 31, tzinfo=UTC)]
    days = [moment.astimezone(zone).date() for moment in moments]
    assert days == [date(2010, 11, 7), date(2010, 11, 6)]
    spending = Spending([days[0], *[Decimal(1)] * 8])
    assert spending.count(days[1], Decimal(1)) == days[0]
    assert spending.spent[Period.DAY] == 2


def test_a_name_that_is_no_zone_is_utc_and_no_account_may_have_it():
    assert zone_of("Mars/Base") is UTC
    assert zone_of("../etc/passwd") is UTC
    assert "Mars/Base" not in zone_names()
    assert {"UTC", "Asia/Shanghai"} <= set(zone_names())


@pytest.mark.parametrize(
    ("later", "left"),
    [
        (0, ["1.2", "1.2", "1.2", "5.2"]),
        (1, ["2", "1.2", "1.2", "5.2"]),  # Tuesday
        (7, ["2", "2", "1.2", "5.2"]),
        (31, ["2", "2", "2", "5.2"]),
    ],
)
def test_a_settled_hold_is_corrected_where_it_counted_and_of_what_is_over_in_the_total(
    customer, user, key, later, left
):
    """Of a key, and of its maker who has a cap: 1 was held and 0.20 is charged."""
    membership = Membership.objects.get(user=user, customer=customer)
    type(key.key).objects.filter(pk=key.key.pk).update(created_by=user)
    members.set_caps(membership=membership, caps={"total_limit": Decimal(50)}, now=NOW)
    monday = date(2026, 11, 2)
    sums = {f"{period}_spent": Decimal(2) for period in ("day", "week", "month")} | {"total_spent": Decimal(6)}
    for meter in (KeyMeter.objects.filter(pk=key.key.pk), MemberMeter.objects.filter(pk=membership.pk)):
        meter.update(day=monday + timedelta(days=later), **sums)
    correct([MeterChange(key.key.pk, monday, Decimal("0.20") - 1, Decimal("0.20"))])
    for meter in (KeyMeter.objects.get(pk=key.key.pk), MemberMeter.objects.get(pk=membership.pk)):
        spending = Spending.of(meter)
        assert spending.spent == [Decimal(amount) for amount in left]
        assert spending.charged == [Decimal("0.20") if Decimal(amount) % 1 else 0 for amount in left]

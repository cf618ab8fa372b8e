"""The periods of caps: a day, its week from Monday on, its month, and all time.

A day is a local date of the account's zone, so that a period is a stretch of dates and not of hours: where clocks
change it is longer or shorter, and where a date is left out it does not exist.
"""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import IntEnum
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

NEVER = date.max
FOREVER = date.min


class Period(IntEnum):
    """Also the place of its cap and its sums in lists."""

    DAY = 0
    WEEK = 1
    MONTH = 2
    TOTAL = 3


@lru_cache(maxsize=1)
def zone_names() -> tuple[str, ...]:
    """The zones that an account may be in, by name."""
    return tuple(sorted(name for name in available_timezones() if name == "UTC" or "/" in name))


@lru_cache(maxsize=1_000)
def zone_of(name: str) -> tzinfo:
    """The zone of that name; UTC for one that there is not."""
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


@lru_cache(maxsize=1_000)
def begins(day: date) -> tuple[date, date, date, date]:
    """When the periods that `day` lies in began, by `Period`: the first dates of each."""
    return day, day - timedelta(days=day.weekday()), day.replace(day=1), FOREVER


@lru_cache(maxsize=1_000)
def ends(day: date) -> tuple[date, date, date, date]:
    """When the next ones begin, by `Period`."""
    week, month = begins(day)[1:3]
    return day + timedelta(days=1), week + timedelta(days=7), (month + timedelta(days=31)).replace(day=1), NEVER


def start_of(day: date, *, zone: tzinfo) -> datetime:
    """The first moment of a date in a zone, in UTC; of one that is left out there, the moment of the leap."""
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def resets_at(period: Period, *, day: date, zone: tzinfo) -> datetime | None:
    """When the period that `day` lies in is over, in UTC; None for all time."""
    return None if period is Period.TOTAL else start_of(ends(day)[period], zone=zone)

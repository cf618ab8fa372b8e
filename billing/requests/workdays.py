"""Business days: what is promised within three of them is due at the end of the third."""

from datetime import datetime, time, timedelta

from django.conf import settings


def due_after(start: datetime, *, days: int) -> datetime:
    """The end of the `days`-th business day after `start`, in the desk's time zone (`BUSINESS_TIME_ZONE`).

    Weekends and `BUSINESS_HOLIDAYS` are skipped; the day of the request does not count.
    """
    zone = settings.BUSINESS_TIME_ZONE
    day = start.astimezone(zone).date()
    while days:
        day += timedelta(days=1)
        if day.weekday() < 5 and day not in settings.BUSINESS_HOLIDAYS:
            days -= 1
    return datetime.combine(day, time.max, tzinfo=zone).replace(microsecond=0)


def day_of(moment: datetime) -> str:
    """The day in the desk's time zone, as queues and mails say when something is due."""
    return moment.astimezone(settings.BUSINESS_TIME_ZONE).date().isoformat()

"""The books' days and months: in which zone a day is cut, and which months are locked.

A transfer is booked on a day in `BOOKS_TIME_ZONE`: that of its making, or the one it is about. Months that finance has
locked take nothing more; what is about one of their days is booked on the first open day instead.
"""

from datetime import date, datetime, time, timedelta
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection, transaction
from django.db.models import Min
from django.utils.translation import gettext as _

from accounts.models import User
from billing.models import ClosedDay, MonthLock, Transfer

LOCK = "billing.lock_months"
LOCK_AFTER = timedelta(hours=1)
"""A month is locked this long after its end at the earliest: what was begun before it is committed by then."""


class NotLockable(Exception):
    """A month that cannot be locked; the text is for whoever asked."""


def day_of(moment: datetime) -> date:
    """The books' day of a moment."""
    return moment.astimezone(settings.BOOKS_TIME_ZONE).date()


def start_of_day(day: date) -> datetime:
    """The first moment of a day of the books."""
    return datetime.combine(day, time.min, tzinfo=settings.BOOKS_TIME_ZONE)


def next_month(month: date) -> date:
    """The first day of the month after."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def open_day(about: date) -> date:
    """The day on which something about `about` is booked: itself, or the first after the locked months.

    In a transaction: a month that is being locked waits for it.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(hashtext('lock_month'))")
    locked = _last_locked()
    return about if locked is None else max(about, next_month(locked))


def lock_month(*, month: date, by: User, now: datetime) -> MonthLock:
    """Lock the month that begins on that day, and with it all before. Raises `NotLockable`."""
    month = month.replace(day=1)
    if not by.has_perm(LOCK):
        raise NotLockable(_("Months are locked by finance."))
    if not _is_over(month, now=now):
        raise NotLockable(_("This month is not over yet."))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('lock_month'))")
        locked = _last_locked()
        if locked is not None and month <= locked:
            raise NotLockable(_("This month is locked already."))
        return MonthLock.objects.create(month=month, locked_by=by, locked_at=now)


def lockable(*, now: datetime) -> list[date]:
    """The first days of the months that are over and not locked, since the first transfer, the oldest first."""
    locked = _last_locked()
    first = Transfer.objects.aggregate(day=Min("booked_on"))["day"] if locked is None else next_month(locked)
    found, month = [], first.replace(day=1) if first is not None else None
    while month is not None and _is_over(month, now=now):
        found.append(month)
        month = next_month(month)
    return found


def _is_over(month: date, *, now: datetime) -> bool:
    return start_of_day(next_month(month)) + LOCK_AFTER <= now


def _last_locked() -> date | None:
    return MonthLock.objects.order_by("-month").values_list("month", flat=True).first()


def must_keep_zone() -> None:
    """Raise `ImproperlyConfigured` if days were closed in another zone than BOOKS_TIME_ZONE names now."""
    zone = ClosedDay.objects.order_by("day").values_list("zone", flat=True).first()
    if zone is not None and zone != settings.BOOKS_TIME_ZONE.key:
        raise ImproperlyConfigured(
            f"BOOKS_TIME_ZONE is {settings.BOOKS_TIME_ZONE.key}, but days of the books were closed in {zone}."
            f" Set it to {zone}: a day that is closed cannot be cut anew."
        )


def check_at_start() -> None:
    """As `must_keep_zone`, for a process that starts: without a database it says nothing."""
    try:
        must_keep_zone()
    except DatabaseError:
        return
    finally:
        connection.close()


def check_zone(**_kwargs: Any) -> list[CheckMessage]:
    """As a system check, before migrations and with `check --database default`."""
    try:
        must_keep_zone()
    except DatabaseError:
        return []
    except ImproperlyConfigured as error:
        return [Error(str(error), id="billing.E001")]
    return []

"""Who reads the facts. A reader is a line in its app's `apps.py`: its name, the kinds it wants, and what it does.

That is to write rows, such as a mail to send or a delivery to make, and never to call somebody else: the rows are
written in the transaction that marks the fact as read. So a reader that is killed anywhere reads each fact once.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction

from billing.models import Event, Unread
from core.clock import backoff

log = logging.getLogger(__name__)

FIRST_RETRY, SLOWEST_RETRY = timedelta(seconds=30), timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Reader:
    """One who reads: `act` is given each fact of its `kinds`, in the order in which they were written."""

    kinds: frozenset[str]
    act: Callable[[Event], None]


_readers: dict[str, Reader] = {}


def register(name: str, kinds: Iterable[str], act: Callable[[Event], None]) -> None:
    """Add a reader of the facts written from now on; the same name (at most 20 characters) again replaces it."""
    _readers[name] = Reader(frozenset(map(str, kinds)), act)


def readers_of(kind: str) -> list[str]:
    """Who wants a kind of fact, by name."""
    return [name for name, reader in _readers.items() if kind in reader.kinds]


def read(name: str, *, now: datetime, limit: int = 500) -> int:
    """Have a reader read what is due, the oldest first; return how many facts it read.

    One process reads at a time, so that a customer's facts are read in their order. A fact that cannot be read waits,
    ever longer, and keeps none behind it from being read.
    """
    done = 0
    with transaction.atomic():
        if not _is_alone(name):
            return 0
        due = Unread.objects.filter(reader=name, due_at__lte=now).select_related("event").order_by("event_id")
        for unread in due[:limit]:
            done += _read_one(unread, now=now)
    return done


def _is_alone(name: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [f"outbox:{name}"])
        return bool(cursor.fetchone()[0])


def _read_one(unread: Unread, *, now: datetime) -> bool:
    try:
        with transaction.atomic():
            _readers[unread.reader].act(unread.event)
            unread.delete()
    except Exception as error:
        log.exception("%s could not be read", unread)
        delay = backoff(unread.attempts, first=FIRST_RETRY, slowest=SLOWEST_RETRY)
        failed = {"attempts": unread.attempts + 1, "problem": type(error).__name__[:200], "due_at": now + delay}
        Unread.objects.filter(pk=unread.pk).update(**failed)
        return False
    return True

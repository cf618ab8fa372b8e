"""What waits to be sent, a row at a time: each is claimed when its turn comes, its next turn set.

A worker that dies on the way loses none. Claimed together, those behind slow ones would be due again before they
left, and another worker would send them too.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from time import monotonic
from typing import TypeVar

from django.db import transaction
from django.db.models import QuerySet

from billing.models import AlertPost, Mail
from core.clock import backoff
from core.records import value

Row = TypeVar("Row", Mail, AlertPost)


@value
class Retries:
    """The first after `first`, each later than the one before, up to `slowest`; none after `most` attempts."""

    first: timedelta
    slowest: timedelta
    most: int


def due(rows: QuerySet[Row], retries: Retries, *, now: datetime, limit: int) -> Iterator[Row]:
    """At most `limit` of the rows whose `send_at` has come, those that wait the longest first."""
    began = monotonic()
    for _turn in range(limit):
        row = _claimed(rows, retries, now=now + timedelta(seconds=monotonic() - began))
        if row is None:
            break
        yield row


def _claimed(rows: QuerySet[Row], retries: Retries, *, now: datetime) -> Row | None:
    with transaction.atomic():
        row = rows.filter(send_at__lte=now).select_for_update(skip_locked=True, no_key=True).order_by("send_at").first()
        if row is not None:
            delay = backoff(row.attempts, first=retries.first, slowest=retries.slowest)
            row.attempts += 1
            row.send_at = None if row.attempts >= retries.most else now + delay
            row.save(update_fields=["attempts", "send_at"])
    return row

"""The outbox takes a fact in the transaction that makes it true: neither is there without the other.

Who is to hear of it reads it afterwards, see `readers.py`.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import connection

from billing.models import Event
from billing.models.events import EVENTS_KEPT
from billing.outbox import objects
from billing.outbox.kinds import EVENTS, Fact
from billing.outbox.readers import readers_of
from core.arrays import array

# One statement and one round trip, however many read.
WRITE = """
WITH written AS (
 INSERT INTO billing_event (key, kind, customer_id, subject, data, shown, created_at)
 VALUES (%(key)s, %(kind)s, %(customer_id)s, %(subject)s, %(data)s::jsonb, %(shown)s::jsonb, %(now)s)
 ON CONFLICT (key) DO NOTHING RETURNING id
), handed AS (
 INSERT INTO billing_unread (event_id, reader, attempts, problem, due_at)
 SELECT id, reader, 0, '', %(now)s FROM written, unnest(%(readers)s::text[]) AS reader
)
SELECT id FROM written"""


class EventConflict(Exception):
    """The key states another fact already."""


def record(
    kind: Fact,
    *,
    key: str,
    subject: str,
    data: Mapping[str, Any],
    now: datetime,
    customer_id: int | None = None,
    about: object = None,
    may_come_again: bool = False,
) -> bool:
    """Write a fact, in the caller's transaction; False if it stands there already.

    `key` states the fact (`refund:7:asked`). One that `may_come_again` is numbered, under the lock that the caller has
    on what it is about. `subject` is what people know that by, `data` what a reader needs of it as it is now: texts,
    numbers, and amounts as texts. `customer_id`: whose it is, None for the operator. `about`: of the kinds in `EVENTS`,
    what is shown to customers' programs (see `objects.show`). Raises `EventConflict` if the key is taken by a fact of
    another kind or subject.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("a fact is written in the transaction that makes it true")
    kind = Fact(kind)
    shown = objects.show(EVENTS[kind][1], about) if kind in EVENTS else None
    if may_come_again:
        key = f"{key}:{_times(kind, subject) + 1}"
    given = {
        "key": key,
        "kind": kind.value,
        "customer_id": customer_id,
        "subject": subject,
        "data": json.dumps(data),
        "shown": None if shown is None else json.dumps(shown),
        "now": now,
        "readers": array(readers_of(kind)),
    }
    with connection.cursor() as cursor:
        cursor.execute(WRITE, given)
        if cursor.fetchone() is not None:
            return True
    first = Event.objects.get(key=key)
    if (first.kind, first.subject, first.customer_id) != (kind, subject, customer_id):
        raise EventConflict(f"{key} is taken by another fact")
    return False


def _times(kind: Fact, subject: str) -> int:
    """The number of the last fact of a kind and subject: those before it may be forgotten."""
    last = Event.objects.filter(subject=subject, kind=kind).order_by("-id").values_list("key", flat=True).first()
    return int(last.rpartition(":")[2]) if last is not None else 0


def forget(*, now: datetime, limit: int = 5000) -> int:
    """Throw away the oldest facts that are over `EVENTS_KEPT` old and read by all; return how many."""
    old = Event.objects.filter(created_at__lt=now - EVENTS_KEPT, unread__isnull=True).order_by("id")
    return Event.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:limit])).delete()[0]

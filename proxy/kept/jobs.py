"""Requests in the background: rows that outlive their gateway, each metered once by whoever learns its usage first.

A job is open for as long as its request is held, and its hold is of kind `job`: no lease, no sweeper and no time limit
of requests touches it. docs/gateway.md, "Background jobs".
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from django.db import connection, transaction
from django.db.models.functions import Now

from billing.books import holds
from core.arrays import columns
from core.clock import database_now
from core.records import value
from proxy.kept import rows
from proxy.kept.rows import Keeping
from proxy.models import Generation, Job
from proxy.settlement import settle
from proxy.settlement.metered import TOO_LATE, Metered, kept_of, update_of

MOST_SECONDS = 24 * 3600
"""What works longer is cancelled at its upstream, unless its caller asked for a longer window."""
FIRST_LOOK = "2 seconds"
BACK_OFF = "least(60, 2 * power(1.5, least(looks, 20))) * interval '1 second'"
"""Until the next look, after so many of them."""
INSERT = (
    "INSERT INTO proxy_job (generation_id, path, upstream_id, upstream_model, upstream_request_id, asked, looks,"
    " untold, next_look_at, ends_by, created_at) VALUES (%s, %s, %s, %s, %s, %s::jsonb, 0, 0,"
    f" clock_timestamp() + interval '{FIRST_LOOK}', clock_timestamp() + %s * interval '1 second', clock_timestamp())"
)
OVER = (
    "UPDATE proxy_job j SET ended_at = clock_timestamp() FROM proxy_generation g"
    " WHERE j.ended_at IS NULL AND j.next_look_at <= clock_timestamp()"
    " AND g.id = j.generation_id AND g.state <> 'held'"
)
"""Those whose usage came with their stream."""
CLAIM = (
    f"UPDATE proxy_job SET looks = looks + 1, next_look_at = clock_timestamp() + {BACK_OFF} WHERE generation_id IN"
    " (SELECT generation_id FROM proxy_job WHERE ended_at IS NULL AND next_look_at <= clock_timestamp()"
    "  ORDER BY next_look_at LIMIT %s FOR UPDATE SKIP LOCKED)"
    " RETURNING generation_id, path, upstream_id, upstream_model, upstream_request_id, asked, untold, created_at,"
    " ends_by, clock_timestamp()"
)
FIND = (
    "SELECT generation_id, path, upstream_id, upstream_model, upstream_request_id, asked, untold, created_at, ends_by,"
    " clock_timestamp() FROM proxy_job WHERE generation_id = %s AND ended_at IS NULL"
)
KEPT_FOR = "30 days"
TIDY = f"DELETE FROM proxy_job WHERE ended_at < clock_timestamp() - interval '{KEPT_FOR}'"


class NotHeld(Exception):
    """The request is no longer held: its gateway was taken for dead."""


@value
class Begun:
    """A job that an upstream has taken. `tokens` are its input and output, at most; `asked` as `Asked.dumped`."""

    generation_id: str
    path: str
    upstream_id: int
    upstream_model: str
    account: str
    name: str
    asked: bytes
    seconds: int
    tokens: int


@value
class Open:
    """A job as it was looked up or claimed, at `now` by PostgreSQL's clock. `name` is the upstream's id for it."""

    generation_id: str
    path: str
    upstream_id: int
    upstream_model: str
    name: str
    asked: Mapping[str, Any]
    untold: int
    created_at: datetime
    ends_by: datetime
    now: datetime

    @property
    def is_due(self) -> bool:
        """Whether its time is up."""
        return self.now >= self.ends_by

    @property
    def age_ms(self) -> int:
        return round((self.now - self.created_at).total_seconds() * 1000)


def begin(job: Begun) -> None:
    """Commit it, and what its upstream keeps of it. Raises `NotHeld`."""
    with transaction.atomic():
        held = Generation.objects.select_for_update(no_key=True).filter(pk=job.generation_id, state="held")
        if not held.exists():
            raise NotHeld(job.generation_id)
        with connection.cursor() as cursor:
            cursor.execute(
                INSERT,
                [
                    *(job.generation_id, job.path, job.upstream_id, job.upstream_model, job.name),
                    *(job.asked.decode(), job.seconds),
                ],
            )
        holds.hand_over(job.generation_id)
        # Until its usage is known, it is held to be as long as it may become.
        keeping = Keeping(job.account, (job.name,))
        rows.write(rows.rows_of(job.generation_id, keeping, whole=job.tokens, written=job.tokens))


def claim(*, most: int) -> list[Open]:
    """Those to look at now, which nobody else looks at meanwhile; their next look is set. Close those that are over."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(OVER)
        cursor.execute(CLAIM, [most])
        return [_open(row) for row in cursor.fetchall()]


def find(generation_id: str) -> Open | None:
    """The request's job, where it is open."""
    with connection.cursor() as cursor:
        cursor.execute(FIND, [generation_id])
        row = cursor.fetchone()
    return None if row is None else _open(row)


def _open(row: tuple[Any, ...]) -> Open:
    generation_id, path, upstream_id, upstream_model, name, asked, untold, created_at, ends_by, now = row
    said = asked if isinstance(asked, dict) else orjson.loads(asked)
    return Open(generation_id, path, upstream_id, upstream_model, name, said, untold, created_at, ends_by, now)


def meter(record: Metered) -> bool:
    """Write what a job used, and close it; whether this call did. One compare-and-set with METER and everybody else."""
    row = record.row()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(*update_of([row]))
        is_written = bool(cursor.rowcount)
        if is_written:
            for query in kept_of([record]):
                cursor.execute(*query)
        else:
            cursor.execute(TOO_LATE, columns([row]))
        _close(record.generation_id)
    return is_written


def give_up(generation_id: str, *, reason: str, flag: bool) -> bool:
    """Give the hold of a job back whose usage nobody will know, and close it; whether this call did."""
    with transaction.atomic():
        released = settle.release([generation_id], reason=reason, now=database_now(), flag=flag)
        _close(generation_id)
    return bool(released)


def _close(generation_id: str) -> None:
    Job.objects.filter(pk=generation_id, ended_at=None).update(ended_at=Now())


def was_untold(generation_id: str) -> None:
    """It is over, and its usage was not told yet: look again soon."""
    sql = (
        "UPDATE proxy_job SET untold = untold + 1, next_look_at = clock_timestamp() + interval '2 seconds'"
        " WHERE generation_id = %s AND ended_at IS NULL"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [generation_id])


def look_soon(generation_id: str) -> None:
    sql = "UPDATE proxy_job SET next_look_at = clock_timestamp() WHERE generation_id = %s AND ended_at IS NULL"
    with connection.cursor() as cursor:
        cursor.execute(sql, [generation_id])


def tidy() -> int:
    """Forget jobs that ended long ago; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(TIDY)
        deleted: int = cursor.rowcount
    return deleted

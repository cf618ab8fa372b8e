"""How upstreams do, in the database: added to by gateway processes, read for staff."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection, transaction

from core.clock import database_now
from proxy.health.tally import Last, Minute, quantile
from proxy.models import Upstream, UpstreamHealth, UpstreamMinute

KEPT = timedelta(days=2)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LATELY = timedelta(minutes=10)
LEAST_FAILED = 5
"""Failures among the latest minutes' requests, where half of them failed, that are an upstream's trouble."""
BUSY = frozenset({408, 425, 429})
ADD = """
INSERT INTO proxy_upstreamminute AS kept (upstream_id, minute, answered, failed, times)
VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (upstream_id, minute) DO UPDATE SET
  answered = kept.answered + EXCLUDED.answered, failed = kept.failed + EXCLUDED.failed,
  times = (SELECT array_agg(a + b ORDER BY n) FROM unnest(kept.times, EXCLUDED.times) WITH ORDINALITY AS u(a, b, n))
"""
NOTE = """
INSERT INTO proxy_upstreamhealth AS kept (upstream_id, answered_at, failed_at, status, text, cools_until)
VALUES (%(upstream)s, %(answered_at)s, %(failed_at)s, %(status)s, %(text)s, %(cools_until)s)
ON CONFLICT (upstream_id) DO UPDATE SET
  answered_at = GREATEST(kept.answered_at, EXCLUDED.answered_at),
  status = CASE WHEN EXCLUDED.failed_at >= COALESCE(kept.failed_at, '-infinity') THEN EXCLUDED.status
                ELSE kept.status END,
  text = CASE WHEN EXCLUDED.failed_at >= COALESCE(kept.failed_at, '-infinity') THEN EXCLUDED.text ELSE kept.text END,
  failed_at = GREATEST(kept.failed_at, EXCLUDED.failed_at),
  cools_until = CASE WHEN EXCLUDED.answered_at > COALESCE(kept.failed_at, '-infinity') AND EXCLUDED.cools_until IS NULL
                     THEN NULL ELSE GREATEST(kept.cools_until, EXCLUDED.cools_until) END
"""


def write(minutes: Mapping[tuple[int, int], Minute], last: Mapping[int, Last], *, cooling: Mapping[int, float]) -> None:
    """Add what a process counted. `cooling` are seconds for which it leaves an upstream alone, by id."""
    now = database_now()
    with transaction.atomic(), connection.cursor() as cursor:
        known = set(Upstream.objects.filter(pk__in={*last, *cooling}).values_list("pk", flat=True))
        for (upstream, minute), one in sorted(minutes.items()):
            if upstream in known:
                at = datetime.fromtimestamp(minute * 60, UTC)
                cursor.execute(ADD, [upstream, at, one.answered, one.failed, one.times])
        for upstream in sorted(known):
            one_last = last.get(upstream, Last())
            left = cooling.get(upstream)
            row = {
                "upstream": upstream,
                "answered_at": one_last.answered_at,
                "failed_at": one_last.failed_at,
                "status": one_last.status,
                "text": one_last.text,
                "cools_until": None if left is None else now + timedelta(seconds=left),
            }
            cursor.execute(NOTE, row)


def tidy() -> None:
    """Forget old minutes."""
    UpstreamMinute.objects.filter(minute__lt=database_now() - KEPT).delete()


@dataclass(frozen=True, slots=True)
class Period:
    """What became of requests at an upstream in a time. Times are seconds to an answer's head."""

    answered: int
    failed: int
    p50: float | None
    p95: float | None

    @property
    def share(self) -> float | None:
        """Failures among all; None where nothing was asked."""
        asked = self.answered + self.failed
        return self.failed / asked if asked else None


def period(upstream_id: int, span: timedelta, *, now: datetime) -> Period:
    rows = UpstreamMinute.objects.filter(upstream_id=upstream_id, minute__gt=now - span)
    return _summed(list(rows.values_list("answered", "failed", "times")))


def _summed(rows: list[tuple[int, int, list[int]]]) -> Period:
    times = [sum(column) for column in zip(*(row[2] for row in rows), strict=True)]
    answered, failed = max(0, sum(row[0] for row in rows)), sum(row[1] for row in rows)
    return Period(answered, failed, quantile(times, 0.5), quantile(times, 0.95))


def is_cooling(health: UpstreamHealth | None, *, now: datetime) -> bool:
    return health is not None and health.cools_until is not None and health.cools_until > now


def is_broken(health: UpstreamHealth | None, *, now: datetime) -> bool:
    """Whether the last thing it said, within a day, is that nothing works: no connection, no such key, no credit.

    What a later answer, or a changed key or address, disproves is forgotten.
    """
    if health is None or health.failed_at is None or health.failed_at < now - DAY:
        return False
    if health.answered_at is not None and health.answered_at > health.failed_at:
        return False
    return health.status == 0 or (health.status < 500 and health.status not in BUSY)


def in_trouble(*, now: datetime) -> list[tuple[Upstream, UpstreamHealth]]:
    """Upstreams in use that are broken, or of which half of the latest requests failed; by name."""
    recent: dict[int, list[tuple[int, int, list[int]]]] = {}
    minutes = UpstreamMinute.objects.filter(minute__gt=now - LATELY)
    for upstream_id, answered, failed, times in minutes.values_list("upstream_id", "answered", "failed", "times"):
        recent.setdefault(upstream_id, []).append((answered, failed, times))
    found = []
    for health in UpstreamHealth.objects.filter(upstream__is_active=True).select_related("upstream"):
        lately = _summed(recent.get(health.upstream_id, []))
        fails = lately.failed >= LEAST_FAILED and lately.failed >= lately.answered
        if fails or is_broken(health, now=now):
            found.append((health.upstream, health))
    return sorted(found, key=lambda pair: pair[0].name)


def forget(upstream_id: int) -> None:
    """What was said with another key or at another address says nothing any more."""
    UpstreamHealth.objects.filter(upstream_id=upstream_id).delete()

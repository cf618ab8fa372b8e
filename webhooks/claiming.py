"""Whose turn it is, and what became of it. A worker claims a delivery for half a minute, posts it, and writes how that
went; one that dies on the way leaves it to the next.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from core import states
from core.arrays import array
from core.records import value
from webhooks import endpoints
from webhooks.models import Attempt, Delivery, Endpoint
from webhooks.posting import Answer

State = Delivery.State
MOST_AT_ONCE = 4
"""Posts to one endpoint at the same time; to one that fails, one."""
CLAIMED = timedelta(seconds=30)
"""Longer than a post takes."""
RETRIES = (
    *(timedelta(seconds=5), timedelta(minutes=5), timedelta(minutes=30)),
    *(timedelta(hours=hours) for hours in (2, 5, 10, 14, 18, 22)),
)
"""After each failed attempt, until the next. They come to three days."""
SWITCHED_OFF_AFTER = timedelta(days=3)
GONE = 410

# Each endpoint's next ones are found by its index, however many wait. Locked first: what is counted in the second
# statement is what others have committed by then.
WITH_WORK = """
SELECT e.id FROM webhooks_endpoint e
WHERE e.off_at IS NULL AND e.deleted_at IS NULL AND (%(failing)s OR e.failing_since IS NULL) AND EXISTS (
 SELECT FROM webhooks_delivery d WHERE d.endpoint_id = e.id AND d.state = 'waiting' AND d.send_at <= %(now)s
 AND (d.claimed_until IS NULL OR d.claimed_until <= %(now)s))
ORDER BY random() LIMIT %(limit)s FOR NO KEY UPDATE OF e SKIP LOCKED"""
CLAIM = """
WITH room AS (
 SELECT e.id, CASE WHEN e.failing_since IS NULL THEN %(most)s ELSE 1 END - (
  SELECT count(*) FROM webhooks_delivery c WHERE c.endpoint_id = e.id AND c.claimed_until > %(now)s) AS free
 FROM webhooks_endpoint e WHERE e.id = ANY(%(endpoints)s::bigint[])
), turn AS (
 SELECT d.id FROM room, LATERAL (
  SELECT id FROM webhooks_delivery WHERE endpoint_id = room.id AND state = 'waiting' AND send_at <= %(now)s
  AND (claimed_until IS NULL OR claimed_until <= %(now)s) ORDER BY send_at LIMIT greatest(room.free, 0)) d
 LIMIT %(limit)s
)
UPDATE webhooks_delivery d SET claimed_until = %(until)s FROM turn, webhooks_endpoint e
WHERE d.id = turn.id AND e.id = d.endpoint_id
AND d.state = 'waiting' AND (d.claimed_until IS NULL OR d.claimed_until <= %(now)s)
RETURNING d.id, e.failing_since IS NOT NULL"""


@value
class Claim:
    """A delivery that this worker has until `until`, and all that its post takes."""

    delivery_id: int
    until: datetime
    is_failing: bool
    url: str
    secrets: list[str]
    message_id: str
    body: str


def claim(*, now: datetime, limit: int, failing: bool = True) -> list[Claim]:
    """At most `limit` deliveries whose turn has come; of no endpoint more than may be posted at once. `failing`: those
    of endpoints that fail, too.
    """
    until = now + CLAIMED
    given: dict[str, Any] = {"now": now, "limit": limit, "failing": failing, "most": MOST_AT_ONCE, "until": until}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(WITH_WORK, given)
        with_work = [endpoint for [endpoint] in cursor.fetchall()]
        if not with_work:
            return []
        cursor.execute(CLAIM, given | {"endpoints": array(with_work)})
        taken = dict(cursor.fetchall())
        rows = Delivery.objects.filter(pk__in=taken).select_related("endpoint").order_by("send_at")
        return [
            Claim(
                delivery_id=row.pk,
                until=until,
                is_failing=taken[row.pk],
                url=row.endpoint.url,
                secrets=endpoints.secrets_of(row.endpoint, now=now),
                message_id=row.message_id,
                body=row.body,
            )
            for row in rows
        ]


def finish(claim: Claim, answer: Answer, *, now: datetime) -> None:
    """Write how a post went, and what follows. A failure counts only while nobody else has claimed the delivery."""
    with transaction.atomic():
        row = Delivery.objects.get(pk=claim.delivery_id)
        if answer.is_delivered:
            Endpoint.objects.filter(pk=row.endpoint_id, failing_since__isnull=False).update(failing_since=None)
        elif endpoints.locked(row.endpoint_id) is not None and not row.is_test:
            Endpoint.objects.filter(pk=row.endpoint_id, failing_since__isnull=True).update(failing_since=now)
        row = Delivery.objects.select_for_update(no_key=True).get(pk=row.pk)
        Attempt.objects.create(
            delivery=row,
            at=now,
            milliseconds=answer.milliseconds,
            status=answer.status,
            problem=answer.problem,
            answer=answer.text,
        )
        own, over = Delivery.objects.filter(pk=row.pk), {"attempts": row.attempts + 1, "claimed_until": None}
        if answer.is_delivered:
            states.move_all(own, to=State.DELIVERED, send_at=None, **over)
        elif row.state == State.WAITING and row.claimed_until == claim.until:
            if row.is_test or row.attempts >= len(RETRIES):
                states.move_all(own, to=State.FAILED, send_at=None, **over)
            else:
                own.update(send_at=now + RETRIES[row.attempts], **over)
        if answer.status == GONE:
            endpoints.end(endpoint_id=row.endpoint_id, why=Endpoint.Off.GONE, now=now)
        elif not answer.is_delivered:
            end_failing(now=now, only=[row.endpoint_id])


def end_failing(*, now: datetime, only: Sequence[int] | None = None) -> int:
    """Switch those off whose every delivery failed for three days; return how many."""
    failing = Endpoint.objects.working().filter(failing_since__lte=now - SWITCHED_OFF_AFTER)
    if only is not None:
        failing = failing.filter(pk__in=only)
    found = list(failing.values_list("pk", flat=True))
    return sum(endpoints.end(endpoint_id=pk, why=Endpoint.Off.FAILING, now=now) for pk in found)

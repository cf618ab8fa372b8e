"""What is learned, in PostgreSQL: each process adds what its answers taught, and reads what all of them know.

Lessons of a process are put together by customer and model, so that a row is written once a flush however many there
were. Rows are locked in order, in a transaction of their own: no request, hold or charge waits for them.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from time import monotonic

from django.db import connection, transaction

from core.arrays import columns
from proxy.learning.guess import MILLION, Lesson, Ratio, Warm

Place = tuple[int, int]
"""Customer and model."""
Session = tuple[int, int, int]
"""Customer, model and the hash of what names the session."""
WHOLE = 16
"""Of what was known a sixteenth gives way with each request, of what few have taught as much as each of them told."""
FARTHEST = 3
"""An odd answer counts as no more, and no less, than so many times what was known after SETTLED_AFTER requests."""
SETTLED_AFTER = 5
FEWEST_CUSTOMERS = 5
"""Of fewer nothing is concluded for others: one customer teaches nobody but itself."""
FORGET_AFTER = timedelta(hours=1)
FORGET_RATIOS_AFTER = timedelta(days=90)
MOST_AT_ONCE = 10_000

_NEAR = f"least(greatest(excluded.{{0}}, l.{{0}} / {FARTHEST}), greatest(l.{{0}}, 1) * {FARTHEST})"


def _told(name: str) -> str:
    return f"CASE WHEN l.requests >= {SETTLED_AFTER} THEN {_NEAR.format(name)} ELSE excluded.{name} END"


def _moved(name: str, told: str, weight: str) -> str:
    return f"{name} = round(l.{name} + (({told}) - l.{name}) * ({weight}))"


def _distance(name: str) -> str:
    """Of several at once the first alone is as far from what was known as that; the others are near each other."""
    return f"greatest(abs(({_told(name)}) - l.{name}) / excluded.requests, excluded.{name}_spread)"


_WEIGHT = (
    f"greatest(1 - power({(WHOLE - 1) / WHOLE}, excluded.requests),"
    " excluded.requests::float / (l.requests + excluded.requests))"
)
ADD = (
    "INSERT INTO proxy_learned AS l"
    " (customer_id, model_id, ratio, ratio_spread, output, output_spread, requests, seen_at)"
    " SELECT r.*, clock_timestamp() FROM unnest(%s::bigint[], %s::bigint[], %s::int[], %s::int[], %s::int[], %s::int[],"
    " %s::int[]) AS r(customer_id, model_id, ratio, ratio_spread, output, output_spread, requests)"
    " ORDER BY customer_id, model_id"
    " ON CONFLICT (customer_id, model_id) DO UPDATE SET "
    + ", ".join(
        [
            _moved("ratio", _told("ratio"), _WEIGHT),
            _moved("ratio_spread", _distance("ratio"), _WEIGHT),
            _moved("output", _told("output"), _WEIGHT),
            _moved("output_spread", _distance("output"), _WEIGHT),
            f"requests = least(l.requests + excluded.requests, {MILLION})",
            "seen_at = excluded.seen_at",
        ]
    )
)
ADD_WARM = (
    "INSERT INTO proxy_warmprompt AS w (customer_id, model_id, session, size, tokens, readable, seen_at)"
    " SELECT customer_id, model_id, session, size, tokens, readable, clock_timestamp() - age * interval '1 second'"
    " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::int[], %s::int[], %s::int[], %s::float[])"
    " AS r(customer_id, model_id, session, size, tokens, readable, age) ORDER BY 1, 2, 3"
    " ON CONFLICT (customer_id, model_id, session) DO UPDATE SET size = excluded.size, tokens = excluded.tokens,"
    " readable = excluded.readable, seen_at = excluded.seen_at WHERE w.seen_at < excluded.seen_at"
)
FIND = (
    "SELECT l.customer_id, l.model_id, l.ratio, l.ratio_spread, l.output, l.output_spread, l.requests"
    " FROM proxy_learned l JOIN unnest(%s::bigint[], %s::bigint[]) AS r(customer_id, model_id)"
    " USING (customer_id, model_id)"
)
FIND_WARM = (
    "SELECT w.customer_id, w.model_id, w.session, w.size, w.tokens, w.readable,"
    " (extract(epoch FROM clock_timestamp() - w.seen_at) * 1000)::bigint"
    " FROM proxy_warmprompt w JOIN unnest(%s::bigint[], %s::bigint[], %s::bigint[])"
    " AS r(customer_id, model_id, session) USING (customer_id, model_id, session)"
)
GENERAL = (
    "SELECT model_id, percentile_disc(0.9) WITHIN GROUP (ORDER BY ratio),"
    " percentile_disc(0.5) WITHIN GROUP (ORDER BY ratio_spread), percentile_disc(0.75) WITHIN GROUP (ORDER BY output),"
    " percentile_disc(0.5) WITHIN GROUP (ORDER BY output_spread), count(*), true"
    f" FROM proxy_learned WHERE requests >= {SETTLED_AFTER} GROUP BY model_id HAVING count(*) >= {FEWEST_CUSTOMERS}"
)
"""Of a model over its customers, each of whom counts once: nine of ten have a lower ratio."""


def write(lessons: Sequence[Lesson]) -> None:
    """Add what these taught."""
    together: dict[Place, list[Lesson]] = defaultdict(list)
    last: dict[Session, Lesson] = {}
    for lesson in lessons:
        if lesson.is_typical:
            together[lesson.customer_id, lesson.model_id].append(lesson)
        session = (lesson.customer_id, lesson.model_id, lesson.session)
        if session not in last or last[session].started < lesson.started:
            last[session] = lesson
    now = monotonic()
    warm = [[*session, one.size, one.tokens, one.readable, f"{now - one.started:.3f}"] for session, one in last.items()]
    with transaction.atomic(), connection.cursor() as cursor:
        if together:
            cursor.execute(ADD, columns([_summed(place, found) for place, found in together.items()]))
        cursor.execute(ADD_WARM, columns(warm))


def find(places: Iterable[Place], sessions: Iterable[Session]) -> tuple[Mapping[Place, Ratio], Mapping[Session, Warm]]:
    """What is known of these."""
    ratios: dict[Place, Ratio] = {}
    warm: dict[Session, Warm] = {}
    with connection.cursor() as cursor:
        if wanted := sorted(places):
            cursor.execute(FIND, columns(wanted))
            ratios = {(customer, model): Ratio(*known) for customer, model, *known in cursor.fetchall()}
        if named := sorted(sessions):
            cursor.execute(FIND_WARM, columns(named))
            for customer, model, session, size, tokens, readable, milliseconds in cursor.fetchall():
                warm[customer, model, session] = Warm(size, tokens, readable, milliseconds / 1000)
    return ratios, warm


def general() -> dict[int, Ratio]:
    """What models' prompts come to for most customers."""
    with connection.cursor() as cursor:
        cursor.execute(GENERAL)
        return {model: Ratio(*known) for model, *known in cursor.fetchall()}


def tidy() -> int:
    """Forget what is of no use any more; return how many rows."""
    total = 0
    for table, after in (("proxy_warmprompt", FORGET_AFTER), ("proxy_learned", FORGET_RATIOS_AFTER)):
        sql = (
            f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table}"
            f" WHERE seen_at < clock_timestamp() - %s * interval '1 second' LIMIT {MOST_AT_ONCE})"
        )
        deleted = MOST_AT_ONCE
        while deleted == MOST_AT_ONCE:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(sql, [after.total_seconds()])
                deleted = cursor.rowcount
            total += deleted
    return total


def _summed(place: Place, lessons: Sequence[Lesson]) -> list[int]:
    """A place's lessons as one: means and mean distances."""
    ratios = _mean([one.tokens * MILLION // one.size for one in lessons])
    return [*place, *ratios, *_mean([one.output for one in lessons]), len(lessons)]


def _mean(values: Sequence[int]) -> tuple[int, int]:
    mean = sum(values) // len(values)
    return mean, sum(abs(one - mean) for one in values) // len(values)

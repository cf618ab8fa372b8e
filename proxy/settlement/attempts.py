"""What upstreams were asked beside what the requests' own rows have: kept by a gateway process, written now and then.

No request waits for it. docs/gateway.md, "Attempts".
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from itertools import islice
from time import monotonic
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction

from core.arrays import columns
from core.records import value
from proxy.batches.threads import in_thread
from proxy.prices.usage import Usage, dumped
from proxy.watch import metrics

log = logging.getLogger(__name__)

MOST = 10_000
"""Kept by a process while the database is away; what comes beyond is counted, and lost."""
MOST_AT_ONCE = 500
FLUSH_SECONDS = 2.0
NOTHING = Usage()


@value
class Attempt:
    """A request at one upstream. `usage` is None where it told none; `ended` by the monotonic clock; cost in USD."""

    upstream_id: int
    outcome: str
    ended: float
    upstream_request_id: str = ""
    usage: Usage | None = None
    service_tier: str = ""
    stated_cost: Decimal | None = None


COUNTS = (
    *(("input_tokens", "bigint"), ("output_tokens", "bigint"), ("cached_tokens", "bigint")),
    *(("cache_write_tokens", "bigint"), ("cache_write_1h_tokens", "bigint"), ("reasoning_tokens", "bigint")),
    ("units", "numeric"),
)
TOLD = (
    *(("generation_id", "text"), ("number", "smallint"), ("upstream_id", "bigint"), ("outcome", "text")),
    *(("upstream_request_id", "text"), ("is_known", "bool"), ("service_tier", "text"), ("stated_cost", "numeric")),
    *(("more", "jsonb"), *COUNTS),
)
NAMES = ", ".join(name for name, _ in TOLD)


def insert(rows: str, *, ended_at: str) -> str:
    """SQL that writes attempts from `rows`, which have the columns of TOLD and `model_id`, and leaves those whose usage
    is known to PURCHASE. What was written already stays as it is. It begins with a name for a WITH clause.
    """
    return (
        f"written AS (INSERT INTO proxy_attempt ({NAMES}, model_id, ended_at, purchase_currency)"
        f" SELECT {NAMES}, model_id, {ended_at}, '' FROM {rows} ON CONFLICT DO NOTHING RETURNING id, is_known)"
        " INSERT INTO proxy_purchasebatch (generations, attempts)"
        " SELECT '{}'::text[], array_agg(id ORDER BY id) FROM written WHERE is_known HAVING count(*) > 0"
    )


WRITE = (
    f"WITH told AS (SELECT r.*, g.model_id FROM unnest({', '.join(f'%s::{kind}[]' for _, kind in TOLD)}, %s::float[])"
    f" AS r({NAMES}, age) JOIN proxy_generation g ON g.id = r.generation_id), "
    + insert("told", ended_at="clock_timestamp() - age * interval '1 second'")
)


class Attempts:
    """One process's. `flush` writes what has been added since."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[str, int, Attempt]] = deque()
        self._writing = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, generation_id: str, attempts: Sequence[Attempt]) -> None:
        """A request's, in order."""
        for number, attempt in enumerate(attempts, start=1):
            if len(self._waiting) < MOST:
                self._waiting.append((generation_id, number, attempt))
            else:
                metrics.ATTEMPTS_LOST.inc()

    async def flush(self) -> None:
        """Raises what the database raises while it is away; a repeat is harmless."""
        async with self._writing:
            while batch := list(islice(self._waiting, MOST_AT_ONCE)):
                await in_thread(_write_sound)(batch)
                for _ in batch:
                    self._waiting.popleft()

    def give_up(self) -> None:
        """The process ends."""
        if self._waiting:
            log.error("%s attempts at upstreams could not be written", len(self._waiting))
            metrics.ATTEMPTS_LOST.inc(len(self._waiting))
            self._waiting.clear()


def write(told: Sequence[tuple[str, int, Attempt]]) -> None:
    """Write requests' attempts, once each, by their ids and numbers."""
    now = monotonic()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(WRITE, columns([_row(*one, now=now) for one in told]))


def _write_sound(told: Sequence[tuple[str, int, Attempt]]) -> None:
    try:
        write(told)
    except (OperationalError, InterfaceError):
        raise
    except DatabaseError as error:
        if len(told) > 1:
            for one in told:
                _write_sound([one])
        else:
            log.error("an attempt of %s cannot be written: %s", told[0][0], error)
            metrics.ATTEMPTS_LOST.inc()


def _row(generation_id: str, number: int, attempt: Attempt, *, now: float) -> list[Any]:
    used = attempt.usage or NOTHING
    return [
        generation_id,
        number,
        attempt.upstream_id,
        attempt.outcome,
        attempt.upstream_request_id,
        attempt.usage is not None,
        attempt.service_tier,
        attempt.stated_cost,
        None if used.more is None else dumped(used.more),
        *(getattr(used, name) for name, _ in COUNTS),
        f"{now - attempt.ended:.3f}",
    ]

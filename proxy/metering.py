"""METER, a group commit: write what a request used, in one compare-and-set with the sweeper, before its last byte.

A record once queued is written whatever becomes of its request; while the database is away it waits in memory.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import field
from datetime import UTC, datetime
from decimal import Decimal
from time import monotonic
from typing import Any

import orjson
import psycopg

from chuizi.arrays import columns
from chuizi.facts import fact
from proxy import metrics
from proxy.batching import Batcher
from proxy.patience import limit
from proxy.pricing import Cost, Usage
from proxy.roundtrip import Wire

log = logging.getLogger(__name__)

MOST_IN_BATCH = 500
PAUSE_SECONDS = 0.2
ANSWER_SECONDS = 15.0
"""A request waits no longer than this for its usage to be written; the record itself goes on waiting."""


@fact
class Metered:
    """What became of a request, as METER writes it. Times in milliseconds, cost in USD.

    `stated_cost` is the upstream's claim, in USD; below 10^12, as the row has room for no more.
    """

    generation_id: str
    upstream_id: int | None
    usage_source: str
    reason: str
    finish_reason: str
    usage: Usage
    native: Usage
    cost: Cost
    latency_ms: int
    generation_time_ms: int
    is_flagged: bool = False
    upstream_request_id: str = ""
    stated_cost: Decimal | None = None
    metered_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def row(self) -> list[Any]:
        used = self.usage
        return [
            self.generation_id,
            self.upstream_id,
            self.usage_source,
            self.reason,
            self.finish_reason,
            used.input_tokens,
            used.output_tokens,
            used.cached_tokens,
            used.cache_write_tokens,
            used.cache_write_1h_tokens,
            used.reasoning_tokens,
            self.native.input_tokens,
            self.native.output_tokens,
            used.units,
            self.cost.upstream,
            self.cost.charged,
            self.latency_ms,
            self.generation_time_ms,
            self.is_flagged,
            self.upstream_request_id,
            self.stated_cost,
            self.metered_at,
        ]


COLUMNS = (
    ("id", "text"),
    ("upstream_id", "bigint"),
    ("usage_source", "text"),
    ("settlement_reason", "text"),
    ("finish_reason", "text"),
    ("input_tokens", "bigint"),
    ("output_tokens", "bigint"),
    ("cached_tokens", "bigint"),
    ("cache_write_tokens", "bigint"),
    ("cache_write_1h_tokens", "bigint"),
    ("reasoning_tokens", "bigint"),
    ("native_input_tokens", "bigint"),
    ("native_output_tokens", "bigint"),
    ("units", "numeric"),
    ("upstream_cost", "numeric"),
    ("cost", "numeric"),
    ("latency_ms", "int"),
    ("generation_time_ms", "int"),
    ("is_flagged", "bool"),
    ("upstream_request_id", "text"),
    ("stated_cost", "numeric"),
    ("metered_at", "timestamptz"),
)
VALUES = [name for name, _ in COLUMNS if name != "id"]
IN_ONE = (*VALUES, "id")
"""The parameters of ONE, in order; those of the others are COLUMNS, each a list."""
ONE = (
    "UPDATE proxy_generation SET state = 'metered', "
    + ", ".join(f"{name} = %s" for name in VALUES)
    + " WHERE id = %s AND state = 'held' RETURNING id"
)
RECORDS = (
    "unnest(" + ", ".join(f"%s::{kind}[]" for _, kind in COLUMNS) + f") AS r({', '.join(name for name, _ in COLUMNS)})"
)
MANY = (
    "UPDATE proxy_generation g SET state = 'metered', "
    + ", ".join(f"{name} = r.{name}" for name in VALUES)
    + f" FROM {RECORDS} WHERE g.id = r.id AND g.state = 'held' RETURNING g.id"
)
KEPT = ("upstream_cost", "cost", "is_flagged", "settlement_reason")
TOO_LATE = (
    "UPDATE proxy_generation g SET is_flagged = true, "
    + ", ".join(f"{name} = r.{name}" for name in VALUES if name not in KEPT)
    + f" FROM {RECORDS} WHERE g.id = r.id AND g.state = 'released' AND g.metered_at IS NULL"
)
"""Usage that arrives after a release is stored and flagged, and not charged."""


class Metering:
    """Queue a record, wait until it is committed."""

    def __init__(self) -> None:
        self._wire: Wire | None = None
        self._batcher: Batcher[Metered, bool] = Batcher(self._flush, most=MOST_IN_BATCH)
        self._since: deque[float] = deque()

    def put(self, record: Metered) -> asyncio.Future[bool]:
        """Queue a record; the future says, once it is committed, whether its hold was still open."""
        since = monotonic()
        self._since.append(since)
        future = self._batcher.put(record)
        future.add_done_callback(lambda done: self._written(done, record, since))
        return future

    async def write(self, record: Metered) -> None:
        """Wait until the record is committed; raises `TimeoutError` after 15 s, the record being logged then."""
        future = self.put(record)
        try:
            with limit(ANSWER_SECONDS):
                await asyncio.shield(future)
        except TimeoutError:
            log_unwritten(record)
            raise

    @property
    def oldest_age(self) -> float:
        """Seconds that the oldest unwritten record has waited; 0 when there is none."""
        return monotonic() - self._since[0] if self._since else 0.0

    @property
    def unwritten(self) -> int:
        return len(self._since)

    async def close(self) -> None:
        await self._batcher.close()
        self._drop()

    def _written(self, done: asyncio.Future[bool], record: Metered, since: float) -> None:
        self._since.remove(since)
        if done.exception() is not None:
            log_unwritten(record)  # the database refuses it: for people to look at
        metrics.METERING_SECONDS.observe(monotonic() - since)

    async def _flush(self, records: Sequence[Metered]) -> list[bool]:
        while True:
            try:
                open_ids = await self._update(records)
            except (psycopg.OperationalError, OSError) as error:
                # The database is away or slow. A repeat is harmless: the compare-and-set writes once.
                log.warning("metering cannot reach the database: %s", type(error).__name__)
                self._drop()
                await asyncio.sleep(PAUSE_SECONDS)
            except BaseException:
                self._drop()
                raise
            else:
                return [record.generation_id in open_ids for record in records]

    async def _update(self, records: Sequence[Metered]) -> set[str]:
        if self._wire is None or self._wire.closed:
            self._wire = await Wire.open()
        metrics.METERING_BATCH.observe(len(records))
        rows = [record.row() for record in records]
        update = (ONE, [*rows[0][1:], rows[0][0]]) if len(rows) == 1 else (MANY, columns(rows))
        [updated] = await self._wire.round_trip([update])
        written = {row[0] for row in updated}
        late = [row for row in rows if row[0] not in written]
        if late:
            await self._wire.round_trip([(TOO_LATE, columns(late))])
        return written

    def _drop(self) -> None:
        if self._wire is not None:
            self._wire.close()


def log_unwritten(record: Metered) -> None:
    """One line that `manage.py replay_meter` can read back."""
    row = [str(value) if isinstance(value, Decimal) else value for value in record.row()]
    log.error("meter_unwritten %s", orjson.dumps(dict(zip([n for n, _ in COLUMNS], row, strict=True))).decode())

"""METER, a group commit: write what a request used, in one compare-and-set with the sweeper, before its last byte.

A record once queued is written whatever becomes of its request; while the database is away it waits in memory. A
caller waits for it 15 s at most, and who then gets no answer is charged nothing: the house bears it. So no query
that would charge may outlive the waiting: PostgreSQL ends each after a third of that, and in the last third none is
begun. What a COMMIT did that took even longer is put right in the row afterwards. docs/gateway.md, "METER".
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from time import monotonic
from typing import Any

import psycopg

from core.arrays import columns
from proxy.batches.batcher import Batcher
from proxy.batches.connections import AWAY
from proxy.batches.pipeline import Pipeline
from proxy.batches.timeouts import timeout
from proxy.protocols import lossless
from proxy.settlement.metered import COLUMNS, TOO_LATE, Metered, kept_of, update_of
from proxy.watch import metrics

log = logging.getLogger(__name__)

MOST_IN_BATCH = 500
PAUSE_SECONDS = 0.2
ANSWER_SECONDS = 15.0
"""A request waits no longer than this for its usage to be written; the record itself goes on waiting."""
GRACE_SECONDS = 1.0
"""An answer of PostgreSQL that is still missing then is lost."""
BORNE = "borne"
"""Marks the log line of a record that is to charge nothing."""


class Unwritten(Exception):
    """The usage is not known to be written: no answer may leave, and the house bears what it cost."""


@dataclass(eq=False, slots=True)
class Waiting:
    """A record on its way. `answer_by`: until when a caller waits for it, by the monotonic clock; None where nobody is.

    `is_borne`: it is to charge nothing, whatever was sent already. `told`: what the caller waits for.
    """

    record: Metered
    since: float
    answer_by: float | None
    prepare: Callable[[], bytes] | None = None
    prepared: bytes | None = None
    is_borne: bool = False
    is_over: bool = False
    told: asyncio.Future[None] | None = None

    def row(self) -> list[Any]:
        return (self.record.uncharged() if self.is_borne else self.record).row()


class Metering:
    """Queue a record, wait until it is committed.

    `bear` takes back what a generation's row may charge, whatever state it is in; given its id and, where the database
    refused the record, why the request ended.
    """

    def __init__(self, bear: Callable[[str, str], Awaitable[None]]) -> None:
        self._pipeline: Pipeline | None = None
        self._batcher: Batcher[Waiting, None] = Batcher(self._flush, most=MOST_IN_BATCH, failed=self._refused)
        self._waiting: deque[Waiting] = deque()
        self._bear_row = bear
        self._bearing: set[asyncio.Task[None]] = set()

    def put(self, record: Metered) -> None:
        """Queue a record that no answer waits for."""
        self._queue(Waiting(record, monotonic(), None))

    async def write(
        self,
        record: Metered,
        *,
        prepare: Callable[[], bytes],
        every: float = ANSWER_SECONDS,
        meanwhile: Callable[[], Awaitable[None]] | None = None,
    ) -> bytes:
        """Wait until a record is committed, calling `meanwhile` now and then; raises `Unwritten`, at the latest after
        15 s, and the record charges nothing then.

        Gives what `prepare` made of the answer while the record was on its way; raises what it raises, and then the
        record charges nothing either.
        """
        since = monotonic()
        waiting = Waiting(record, since, since + ANSWER_SECONDS, prepare)
        self._queue(waiting)
        try:
            await self._wait(waiting, every=every, meanwhile=meanwhile)
            if waiting.is_borne:
                raise Unwritten(record.generation_id)
            return waiting.prepared if waiting.prepared is not None else self._prepared_late(waiting, prepare)
        finally:
            waiting.prepare = waiting.prepared = None  # the record may wait for long, and the answer is large

    async def _wait(self, waiting: Waiting, *, every: float, meanwhile: Callable[[], Awaitable[None]] | None) -> None:
        """Until it is over, or borne."""
        loop = asyncio.get_running_loop()
        while not (waiting.is_over or waiting.is_borne):
            left = waiting.since + ANSWER_SECONDS - monotonic()
            waiting.told = loop.create_future()
            try:
                with timeout(min(every, left)):
                    await waiting.told
            except TimeoutError:
                if waiting.is_over:
                    break
                if left > every and meanwhile is not None:
                    await meanwhile()
                else:
                    self._bear(waiting)

    def _prepared_late(self, waiting: Waiting, prepare: Callable[[], bytes]) -> bytes:
        """It is committed: where no answer can be made of it, the house bears it."""
        try:
            return prepare()
        except Exception:
            self._take_back(waiting)
            self._bear(waiting)
            raise

    @property
    def oldest_age(self) -> float:
        """Seconds that the oldest unwritten record has waited; 0 when there is none."""
        return monotonic() - self._waiting[0].since if self._waiting else 0.0

    @property
    def unwritten(self) -> int:
        return len(self._waiting)

    def give_up_silence(self) -> None:
        """End a round trip that PostgreSQL has not answered in the time that it has for it; called now and then."""
        if self._pipeline is not None:
            self._pipeline.give_up_silence(seconds=query_seconds() + GRACE_SECONDS)

    async def close(self) -> None:
        await self._batcher.close()
        if self._bearing:
            await asyncio.wait(self._bearing, timeout=ANSWER_SECONDS)
        self._drop()

    def _queue(self, waiting: Waiting) -> None:
        self._batcher.put(waiting)
        self._waiting.append(waiting)

    def _refused(self, waiting: Waiting) -> None:
        """PostgreSQL takes every record but this one."""
        try:
            if waiting.answer_by is None:
                log_unwritten(waiting)  # for people to look at
            else:
                self._bear(waiting)
        finally:
            self._end(waiting, refused=waiting.record.reason)

    def _end(self, waiting: Waiting, *, refused: str = "") -> None:
        self._waiting.remove(waiting)
        waiting.is_over = True
        if waiting.told is not None and not waiting.told.done():
            waiting.told.set_result(None)
        if waiting.is_borne:
            self._take_back(waiting, refused=refused)
        metrics.observe(metrics.METERING_SECONDS, monotonic() - waiting.since)

    def _bear(self, waiting: Waiting) -> None:
        if not waiting.is_borne:
            waiting.is_borne = True
            log_unwritten(waiting)

    def _take_back(self, waiting: Waiting, *, refused: str = "") -> None:
        task = asyncio.create_task(self._see_to(waiting.record.generation_id, refused))
        self._bearing.add(task)
        task.add_done_callback(self._bearing.discard)

    async def _see_to(self, generation_id: str, refused: str) -> None:
        """Whatever was sent before it was borne has ended by now: take back what that may have written."""
        while True:
            try:
                return await self._bear_row(generation_id, refused)
            except AWAY as error:
                log.warning("a charge waits for the database to be taken back: %s", type(error).__name__)
                await asyncio.sleep(PAUSE_SECONDS)
            except Exception:
                return log.exception("what %s charges could not be taken back", generation_id)

    async def _flush(self, waiting: Sequence[Waiting]) -> Sequence[None]:
        while True:
            try:
                pipeline = await self._connected()
                ends_by = monotonic() + query_seconds()
                for one in waiting:
                    if one.answer_by is not None and one.answer_by < ends_by:
                        self._bear(one)
                await self._update(pipeline, waiting)
            except (psycopg.OperationalError, OSError) as error:
                # The database is away or slow. A repeat is harmless: the compare-and-set writes once.
                log.warning("metering cannot reach the database: %s", type(error).__name__)
                self._drop()
                await asyncio.sleep(PAUSE_SECONDS)
            except BaseException:
                self._drop()
                raise
            else:
                for one in waiting:
                    self._end(one)
                return [None] * len(waiting)

    async def _connected(self) -> Pipeline:
        if self._pipeline is None or self._pipeline.closed:
            with timeout(query_seconds()):
                self._pipeline = await Pipeline.open(query_seconds=query_seconds())
        return self._pipeline

    async def _update(self, pipeline: Pipeline, waiting: Sequence[Waiting]) -> None:
        metrics.METERING_BATCH.observe(len(waiting))
        rows = [one.row() for one in waiting]
        kept = kept_of([one.record for one in waiting])
        updated, *_ = await pipeline.round_trip([update_of(rows), *kept], meanwhile=lambda: _prepare(waiting))
        written = {row[0] for row in updated}
        late = [row for row in rows if row[0] not in written]
        if late:
            await pipeline.round_trip([(TOO_LATE, columns(late))])

    def _drop(self) -> None:
        if self._pipeline is not None:
            self._pipeline.close()


def _prepare(waiting: Sequence[Waiting]) -> None:
    for one in waiting:
        if one.prepare is not None and one.prepared is None:
            try:
                one.prepared = one.prepare()
            except Exception:
                log.exception("an answer could not be prepared")  # it is tried again where it can be answered


def query_seconds() -> float:
    """After so long PostgreSQL gives a query of METER up, though the process that sent it be dead."""
    return ANSWER_SECONDS / 3


def log_unwritten(waiting: Waiting) -> None:
    """One line that `manage.py replay_meter` can read back."""
    row = [str(value) if isinstance(value, Decimal) else value for value in waiting.row()]
    said = dict(zip([n for n, _ in COLUMNS], row, strict=True)) | {BORNE: waiting.is_borne}
    log.error("meter_unwritten %s", lossless.write(said).decode())

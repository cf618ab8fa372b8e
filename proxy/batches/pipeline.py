"""Several queries in one packet and one wait: what admission and metering pay for each batch.

psycopg's own pipeline sends each query by itself, and a cursor for each costs more than the query. This uses
psycopg's documented lower half (`psycopg.pq`, its adapters) on an ordinary connection, prepared queries included.
"""

import asyncio
import itertools
import re
from collections.abc import Callable, Sequence
from os import sched_yield
from time import monotonic
from typing import Any

import orjson
import psycopg
from psycopg import pq
from psycopg.adapt import PyFormat, Transformer
from psycopg.types.json import set_json_loads

from proxy.batches import connections

Query = tuple[str, Sequence[Any]]
"""SQL with `%s` for each parameter, and the parameters."""
Rows = list[tuple[Any, ...]]
Asked = tuple[bool, tuple[str, tuple[int, ...]]]
"""Whether it was prepared on the way, and what: the SQL and its parameters' types."""

_numbers = itertools.count()
SYNC = pq.ExecStatus.PIPELINE_SYNC
ABORTED = pq.ExecStatus.PIPELINE_ABORTED
TUPLES = pq.ExecStatus.TUPLES_OK
FAILED = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE)
POLL_SECONDS = 0.001
"""How long to look for an answer before sleeping for it. Who sleeps is woken late, and finds the caches cold: for a
lone caller that is a sixth of the latency."""


class Pipeline:
    """A connection that makes one round trip after the other, and nothing else: psycopg's own methods do not fit it.

    Its socket stays registered with the event loop, so that a wait costs no system call of its own.
    """

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._pgconn: Any = connection.pgconn
        self._connection = connection
        set_json_loads(orjson.loads, connection)
        self._transformer = Transformer(connection)
        self._prepared: dict[tuple[str, tuple[int, ...]], bytes] = {}
        self._loop = asyncio.get_running_loop()
        self._results: list[Any] = []
        self._arrived: asyncio.Future[None] | None = None
        self._until = 0.0
        self._is_quick = True
        self.closed = False
        self._pgconn.enter_pipeline_mode()
        self._socket: int = self._pgconn.socket
        self._loop.add_reader(self._socket, self._read)

    @classmethod
    async def open(cls, *, query_seconds: float | None = None) -> "Pipeline":
        return cls(await connections.connect(query_seconds=query_seconds))

    def close(self) -> None:
        """Once, and at once when the connection breaks: libpq has closed the socket by then, and whoever opens the next
        one is given its number. A loop that still watches it for this pipeline never tells them of their bytes.
        """
        if not self.closed:
            self.closed = True
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._pgconn.finish()

    def give_up_silence(self, *, seconds: float) -> None:
        """Take the connection for lost where PostgreSQL has owed an answer for that long."""
        if self._arrived is not None and not self.closed and monotonic() > self._until + seconds:
            self._lost(psycopg.OperationalError("no answer"))

    async def round_trip(self, queries: Sequence[Query], *, meanwhile: Callable[[], None] | None = None) -> list[Rows]:
        """Send them together, wait once, return the rows of each; `meanwhile` is called when they have been sent.

        Raises the psycopg error of the first that failed, the rest having been skipped by the server. Whatever else
        interrupts it closes the connection, which nobody could tell the state of.
        """
        try:
            self._results.clear()
            self._arrived = self._loop.create_future()
            asked = [self._send(sql, parameters) for sql, parameters in queries]
            self._pgconn.pipeline_sync()
            if self._pgconn.flush():
                self._loop.add_writer(self._socket, self._write)
            self._until = monotonic() + POLL_SECONDS
            if self._is_quick:
                self._poll()
            if meanwhile is not None:
                meanwhile()
            await self._arrived
            rows, error = self._loaded(asked)
        except BaseException:
            self.close()
            raise
        if error is not None:
            raise error
        return rows

    def _send(self, sql: str, parameters: Sequence[Any]) -> Asked:
        values = formats = None
        types: tuple[int, ...] = ()
        if parameters:
            transformer = self._transformer
            values = transformer.dump_sequence(parameters, [PyFormat.AUTO] * len(parameters))
            types, formats = transformer.types or (), transformer.formats
        what = (sql, types)
        name = self._prepared.get(what)
        is_new = name is None
        if name is None:
            name = self._prepared[what] = b"rt%d" % next(_numbers)
            self._pgconn.send_prepare(name, _numbered(sql), types)
        self._pgconn.send_query_prepared(name, values, formats)
        return is_new, what

    def _poll(self) -> None:
        """Keep the event loop awake until the answer is there, letting whoever else wants the processor have it."""
        if self._arrived is not None and monotonic() < self._until:
            sched_yield()
            self._loop.call_soon(self._poll)

    def _write(self) -> None:
        """The socket takes more of what did not fit at once."""
        try:
            if not self._pgconn.flush():
                self._loop.remove_writer(self._socket)
        except psycopg.Error as error:
            self._lost(error)

    def _read(self) -> None:
        """Something has arrived: results, or the end of the connection."""
        pgconn = self._pgconn
        try:
            pgconn.consume_input()
            if self._arrived is None:
                return
            is_busy, get_result, keep = pgconn.is_busy, pgconn.get_result, self._results.append
            while not is_busy():
                result = get_result()
                if result is None:
                    raise psycopg.OperationalError("the connection is lost")
                keep(result)
                if result.status == SYNC:
                    break
                get_result()  # the nothing between the results of two queries
            else:
                return
        except psycopg.Error as error:
            self._lost(error)
        else:
            arrived, self._arrived = self._arrived, None
            self._is_quick = monotonic() < self._until  # a slow server is slept for next time
            if not arrived.done():
                arrived.set_result(None)

    def _lost(self, error: psycopg.Error) -> None:
        self.close()
        arrived, self._arrived = self._arrived, None
        if arrived is not None and not arrived.done():
            arrived.set_exception(error)

    def _loaded(self, asked: Sequence[Asked]) -> tuple[list[Rows], psycopg.Error | None]:
        found: list[Rows] = []
        error: psycopg.Error | None = None
        results = iter(self._results)
        for is_new, what in asked:
            if is_new and (prepared := next(results)).status in (*FAILED, ABORTED):
                del self._prepared[what]
                error = error or _error(prepared)
            result = next(results)
            status = result.status
            if status == TUPLES and error is None:
                self._transformer.set_pgresult(result)
                found.append(self._transformer.load_rows(0, result.ntuples, tuple))
            else:
                found.append([])
                error = error or _error(result)
        return found, error


def _numbered(sql: str) -> bytes:
    """libpq's placeholders: `$1`, `$2`."""
    numbers = itertools.count(1)
    return re.sub("%s", lambda _: f"${next(numbers)}", sql).encode()


def _error(result: Any) -> psycopg.Error | None:
    """What the server says went wrong; nothing where it only skipped a query after another's error."""
    return psycopg.errors.error_from_result(result) if result.status in FAILED else None

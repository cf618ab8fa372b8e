"""Several statements in one packet and one wait: what admission and metering pay for each batch.

A connection used so is used so alone: psycopg's own ROLLBACK would deallocate what is prepared here.

psycopg's own pipeline sends each statement by itself, and a cursor for each costs more than the statement. This uses
psycopg's documented lower half (`psycopg.pq`, its adapters) on an ordinary connection, prepared statements included.
"""

import asyncio
import itertools
import re
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg import abc, pq
from psycopg.adapt import PyFormat, Transformer

Statement = tuple[str, Sequence[Any]]
"""SQL with `%s` for each parameter, and the parameters."""
Prepared = dict[tuple[str, tuple[int, ...]], bytes]

_prepared: WeakKeyDictionary[psycopg.AsyncConnection[Any], Prepared] = WeakKeyDictionary()
_numbers = itertools.count()
TEXT = pq.Format.TEXT
FAILED = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE)


async def round_trip(
    connection: psycopg.AsyncConnection[Any], statements: Sequence[Statement]
) -> list[list[tuple[Any, ...]]]:
    """Send them together, wait once, return the rows of each.

    Raises the psycopg error of the first that failed, the rest having been skipped by the server. Whatever else
    interrupts it closes the connection, which nobody could tell the state of.
    """
    pgconn = connection.pgconn
    prepared = _prepared.setdefault(connection, {})
    transformer = Transformer(connection)
    try:
        pgconn.enter_pipeline_mode()
        asked = [_send(pgconn, transformer, prepared, sql, parameters) for sql, parameters in statements]
        pgconn.pipeline_sync()
        rows, error = await _receive(pgconn, transformer, prepared, asked)
        pgconn.exit_pipeline_mode()
    except BaseException:
        pgconn.finish()
        raise
    if error is not None:
        raise error
    return rows


def columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Rows as one list a column, as `unnest` takes them."""
    return [list(column) for column in zip(*rows, strict=True)]


Asked = tuple[bool, tuple[str, tuple[int, ...]]]
"""Whether it was prepared on the way, and what."""


def _send(pgconn: Any, transformer: abc.Transformer, prepared: Prepared, sql: str, parameters: Sequence[Any]) -> Asked:
    values = transformer.dump_sequence(parameters, [PyFormat.AUTO] * len(parameters)) if parameters else []
    key = (sql, transformer.types or () if parameters else ())
    name = prepared.get(key)
    is_new = name is None
    if name is None:
        name = prepared[key] = b"rt%d" % next(_numbers)
        pgconn.send_prepare(name, _numbered(sql), key[1])
    pgconn.send_query_prepared(name, values, transformer.formats if parameters else None)
    return is_new, key


def _numbered(sql: str) -> bytes:
    """libpq's placeholders: `$1`, `$2`."""
    numbers = itertools.count(1)
    return re.sub("%s", lambda _: f"${next(numbers)}", sql).encode()


async def _receive(
    pgconn: Any, transformer: abc.Transformer, prepared: Prepared, asked: Sequence[Asked]
) -> tuple[list[list[tuple[Any, ...]]], psycopg.Error | None]:
    found: list[list[tuple[Any, ...]]] = []
    error: psycopg.Error | None = None
    for is_new, key in asked:
        if is_new:
            [result] = await _results(pgconn)
            if result.status != pq.ExecStatus.COMMAND_OK:
                prepared.pop(key, None)
                error = error or _error(pgconn, result)
        [result] = await _results(pgconn)
        if result.status in FAILED:
            error = error or _error(pgconn, result)
        elif result.status == pq.ExecStatus.TUPLES_OK and error is None:
            transformer.set_pgresult(result)
            found.append(transformer.load_rows(0, result.ntuples, tuple))
        else:
            found.append([])
    await _results(pgconn)  # the sync
    if pgconn.status != pq.ConnStatus.OK:
        raise psycopg.OperationalError("the connection is lost")
    return found, error


def _error(pgconn: Any, result: Any) -> psycopg.Error | None:
    if result.status == pq.ExecStatus.PIPELINE_ABORTED:
        return None  # what it was aborted by came before
    return psycopg.errors.error_from_result(result)


async def _results(pgconn: Any) -> list[Any]:
    """The results of the next command; waits for the socket where they have not arrived."""
    results: list[Any] = []
    while True:
        while pgconn.is_busy():
            await _readable(pgconn)
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            return results
        results.append(result)
        if result.status == pq.ExecStatus.PIPELINE_SYNC:
            return results


async def _readable(pgconn: Any) -> None:
    """Flush what is still to be sent, and wait until something can be read."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def wake() -> None:
        if not future.done():
            future.set_result(None)

    socket = pgconn.socket
    loop.add_reader(socket, wake)
    writes = pgconn.flush() != 0
    if writes:
        loop.add_writer(socket, wake)
    try:
        await future
    finally:
        loop.remove_reader(socket)
        if writes:
            loop.remove_writer(socket)

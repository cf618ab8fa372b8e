"""Several statements in one packet: rows, errors, and what is left of the connection."""

import asyncio
import os
import socket
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from time import process_time

import psycopg
import pytest

from proxy.batches import connections
from proxy.batches.pipeline import Pipeline
from tests.wiretap import SOCKET, Wiretap

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def pipeline():
    opened = await Pipeline.open()
    yield opened
    opened.close()


async def test_each_statement_answers_with_its_rows(pipeline):
    now = datetime(2026, 11, 27, tzinfo=UTC)
    for _ in range(2):  # prepared on the way, then prepared before
        found = await pipeline.round_trip(
            [
                ("BEGIN", ()),
                ("SELECT %s::numeric + 1, %s::timestamptz", [Decimal("0.5"), now]),
                ("SELECT unnest(%s::bigint[])", [[1, 2]]),
                ("COMMIT", ()),
            ],
        )
        assert found == [[], [(Decimal("1.5"), now)], [(1,), (2,)], []]


async def test_the_first_error_travels_and_the_connection_serves_on(pipeline):
    with pytest.raises(psycopg.errors.DivisionByZero):
        await pipeline.round_trip([("SELECT 1 / %s::int", [0]), ("SELECT 2", ()), ("SELECT nothing", ())])
    assert await pipeline.round_trip([("SELECT 1 / %s::int", [1]), ("SELECT 2", ())]) == [[(1,)], [(2,)]]


async def test_an_error_undoes_what_stood_before_it_in_the_packet(pipeline):
    await pipeline.round_trip([("CREATE TEMPORARY TABLE noted (n int)", ())])
    with pytest.raises(psycopg.errors.DivisionByZero):
        await pipeline.round_trip([("INSERT INTO noted VALUES (%s)", [1]), ("SELECT 1 / 0", ())])
    assert await pipeline.round_trip([("SELECT count(*) FROM noted", ())]) == [[(0,)]]


async def test_values_of_another_type_are_prepared_apart(pipeline):
    for value in (1, 2**40, None):
        assert await pipeline.round_trip([("SELECT %s::bigint", [value])]) == [[(value,)]]


async def test_a_quick_answer_is_looked_for_and_a_slow_one_slept_for(pipeline):
    await pipeline.round_trip([("SELECT 1", ())])  # prepared
    before = process_time()
    for _ in range(5):
        await pipeline.round_trip([("SELECT pg_sleep(0.2)", ())])
    assert process_time() - before < 0.2, "a second of waiting may not cost a fifth of one"
    looks: list[None] = []
    pipeline._is_quick, look = True, pipeline._poll
    pipeline._poll = lambda: (looks.append(None), look())
    await pipeline.round_trip([("SELECT 1", ())])
    assert looks
    pipeline._is_quick = False
    looks.clear()
    await pipeline.round_trip([("SELECT 1", ())])
    assert not looks


async def test_a_text_that_cannot_be_sent_closes_the_connection_and_nothing_else(pipeline):
    with pytest.raises(psycopg.DataError):
        await pipeline.round_trip([("SELECT %s::text", ["\x00"])])
    assert pipeline.closed


async def test_an_interrupted_round_trip_closes_the_connection(pipeline):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await pipeline.round_trip([("SELECT pg_sleep(2)", ())])
    assert pipeline.closed


async def test_more_than_the_socket_takes_at_once_is_sent_in_pieces(pipeline):
    text = "x" * 20_000_000
    assert await pipeline.round_trip([("SELECT length(%s::text)", [text])]) == [[(len(text),)]]


async def test_a_server_that_goes_away_is_an_operational_error(pipeline):
    other = await connections.connect()
    await other.execute("SELECT pg_terminate_backend(%s)", [pipeline._pgconn.backend_pid])
    await other.close()
    with pytest.raises(psycopg.OperationalError):
        await pipeline.round_trip([("SELECT 1", ())])
    assert pipeline.closed


async def test_a_lost_connections_socket_is_watched_no_more(pipeline):
    loop, number = asyncio.get_running_loop(), pipeline._socket
    other = await connections.connect()
    await other.execute("SELECT pg_terminate_backend(%s)", [pipeline._pgconn.backend_pid])
    await other.close()
    async with asyncio.timeout(5):
        while not pipeline.closed:
            await asyncio.sleep(0.01)
    assert not loop.remove_reader(number), "whoever is given this number next would never hear of its bytes"


async def test_a_server_that_vanishes_without_a_word_is_noticed_in_half_a_minute(monkeypatch):
    """Seen with a network cable that is pulled; here the kernel is asked what it was told to do."""
    straight = connections.conninfo()
    tap = Wiretap(Path(straight["host"]) / SOCKET, over_tcp=True)
    monkeypatch.setattr(connections, "conninfo", lambda: {**straight, "host": tap.host, "port": tap.port})
    pipeline = await Pipeline.open()
    with socket.socket(fileno=os.dup(pipeline._socket)) as ours:
        told = {
            name: ours.getsockopt(socket.IPPROTO_TCP, getattr(socket, f"TCP_{name}"))
            for name in ("USER_TIMEOUT", "KEEPIDLE", "KEEPINTVL", "KEEPCNT")
        }
        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert await pipeline.round_trip([("SELECT 1", ())]) == [[(1,)]]
    pipeline.close()
    tap.stop()
    assert told["USER_TIMEOUT"] == 30_000
    assert told["KEEPIDLE"] + told["KEEPINTVL"] * told["KEEPCNT"] == 30

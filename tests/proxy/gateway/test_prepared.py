"""What follows a hold and a record is made while they are written: what if it cannot be, or if nobody waits for it."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import orjson
import psycopg
import pytest
from aiohttp import web

from billing.audit.run import audit
from billing.models import Hold, Wallet
from chuizi import asgi
from proxy.admission import queue, writer
from proxy.batches.pipeline import Pipeline
from proxy.gateway import app as gateway_module
from proxy.models import Generation
from proxy.protocols.openai import chat
from proxy.protocols.openai.chat.stream import ChatStream
from proxy.settlement import metered, metering, settle
from proxy.watch import metrics
from tests.conftest import NOW
from tests.faults.conftest import wait_until
from tests.proxy.conftest import wait_for
from tests.proxy.settlement.test_slow_database import row_locked
from tests.proxy.settlement.test_unanswered import lines, replay

ONCE, ALWAYS = {1}, set(range(1, 100))
Fail = Callable[[object, str, set[int]], None]


@pytest.fixture
def fail(monkeypatch) -> Fail:
    """A function: let what stands under that name raise, each time whose number is given."""

    def put(owner: object, name: str, when: set[int]) -> None:
        original, times = getattr(owner, name), []

        def failing(*given: Any, **named: Any) -> Any:
            times.append(1)
            if len(times) in when:
                raise RuntimeError("cannot be made")
            return original(*given, **named)

        monkeypatch.setattr(owner, name, failing)

    return put


def assert_nothing_is_charged(customer) -> None:
    settle.settle_all(now=NOW)
    wallet = Wallet.objects.get(customer=customer)
    assert (wallet.bonus, wallet.held, wallet.exposure) == (10, 0, 0)
    assert not Hold.objects.filter(state="open").exists()
    assert audit().drifts == []


def test_a_way_that_could_not_be_made_at_first_is_made_after_the_commit(gateway, fail):
    fail(gateway_module, "Relay", ONCE)
    answer = gateway.chat()
    assert (answer.status_code, answer.headers["x-generation-id"]) == (200, wait_for("metered").pk)


def test_a_way_that_cannot_be_made_gives_its_hold_back(gateway, upstream, customer, fail):
    fail(gateway_module, "Relay", ALWAYS)
    assert gateway.chat().json()["error"]["code"] == "internal_error"
    assert wait_for("released").settlement_reason == "upstream_error"
    assert upstream.calls == []
    assert_nothing_is_charged(customer)


def test_a_way_made_for_a_hold_that_was_undone_is_not_gone(gateway, fail, monkeypatch):
    """The hold is written again under another id, and this time its way cannot be made at once."""
    original, commits = Pipeline.round_trip, []

    async def locked_once(self, statements, *, meanwhile=None):
        if ("COMMIT", ()) in statements and not commits:
            commits.append(1)
            meanwhile()
            raise psycopg.errors.LockNotAvailable
        return await original(self, statements, meanwhile=meanwhile)

    monkeypatch.setattr(Pipeline, "round_trip", locked_once)
    fail(gateway_module, "Relay", {2})
    answer = gateway.chat()
    assert (answer.status_code, answer.headers["x-generation-id"]) == (200, wait_for("metered").pk)


def test_an_answer_that_could_not_be_made_at_first_is_made_after_the_commit(gateway, fail):
    fail(chat, "decorate", ONCE)
    assert gateway.chat().json()["x_chuizi"]["generation_id"] == wait_for("metered").pk


def test_an_answer_that_cannot_be_made_costs_nothing(gateway, upstream, customer):
    """As one that is read, but too deeply nested to be written under our id."""
    text = orjson.dumps(upstream.json)[:-1] + b',"deep":' + b"[" * 1010 + b"]" * 1010 + b"}"

    async def deep(request):
        return web.Response(body=text, content_type="application/json")

    upstream.handler = deep
    assert gateway.chat().json()["error"]["code"] == "internal_error"
    wait_until(lambda: Generation.objects.get().is_flagged)
    assert_nothing_is_charged(customer)


def test_a_stream_whose_end_cannot_be_made_is_cut_and_costs_nothing(gateway, customer, fail):
    fail(ChatStream, "tail", ALWAYS)
    text = b""
    with gateway.stream() as response:
        try:
            for piece in response.iter_raw():
                text += piece
        except Exception:
            pass
    assert b"[DONE]" not in text
    wait_until(lambda: Generation.objects.get().is_flagged)
    assert_nothing_is_charged(customer)


def test_a_record_of_half_a_letter_stops_no_other_and_no_replay(gateway, monkeypatch, caplog, tmp_path):
    original, halves = metered.Metered.row, []

    def row(self):
        values = original(self)
        if not halves or self.generation_id in halves:
            halves.append(self.generation_id)
            values[4] = "half a letter: \ud83d"
        return values

    monkeypatch.setattr(metered.Metered, "row", row)
    monkeypatch.setattr(metering, "ANSWER_SECONDS", 1.5)
    assert gateway.chat().status_code == 503
    assert wait_for("released").is_flagged
    assert gateway.chat().status_code == 200
    [line] = lines(caplog)
    replay(tmp_path, line)


def test_a_record_that_waits_longer_than_its_caller_keeps_nothing_of_the_answer(gateway, upstream, monkeypatch):
    """While the database is away, whole requests and answers would fill the memory."""
    monkeypatch.setattr(metering, "ANSWER_SECONDS", 0.6)
    gate, statuses = threading.Event(), []

    async def slow(request):
        await asyncio.to_thread(gate.wait, 5)
        return web.json_response(upstream.json)

    upstream.handler = slow
    caller = threading.Thread(target=lambda: statuses.append(gateway.chat().status_code))
    caller.start()
    wait_for("held")
    with row_locked():
        gate.set()
        caller.join()
        [waiting] = asgi.gateway._metering._waiting
        assert (statuses, waiting.prepare, waiting.prepared) == ([503], None, None)
    wait_for("metered")


def test_a_request_given_up_while_admission_stands_still_is_kept_no_longer(gateway, monkeypatch):
    """It has its whole body with it, and nothing is taken out of the queue as long as a commit's outcome is unknown."""
    monkeypatch.setattr(queue, "WAIT_SECONDS", 0.3)
    original, go_on = writer.Writer.write, threading.Event()

    async def stuck(self, waiters, **how):
        await asyncio.to_thread(go_on.wait, 10)
        return await original(self, waiters, **how)

    monkeypatch.setattr(writer.Writer, "write", stuck)
    try:
        callers = [threading.Thread(target=gateway.chat) for _ in range(3)]
        for caller in callers:
            caller.start()
            time.sleep(0.05)
        for caller in callers:
            caller.join()
        wait_until(lambda: not asgi.gateway._admission._queues, seconds=2)
    finally:
        go_on.set()
    assert not Hold.objects.exists()
    assert gateway.chat().status_code == 200


class Figure:
    def __init__(self, inc):
        self.inc = inc


def test_a_figure_that_cannot_be_counted_stops_no_other_figure_and_no_look(gateway, monkeypatch):
    def full(amount: float) -> None:
        raise OSError("no space left on the device")

    counted: list[float] = []
    broken, sound = Figure(full), Figure(counted.append)
    metrics.count(sound, 2)
    metrics.count(broken)  # the last is told first
    wait_until(lambda: counted == [2], seconds=3)
    monkeypatch.setattr(metrics.UNWRITTEN, "set", full)
    looks: list[int] = []
    monkeypatch.setattr(asgi.gateway._metering, "give_up_silence", lambda: looks.append(1))
    wait_until(lambda: len(looks) > 1, seconds=5)

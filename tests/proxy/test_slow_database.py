"""PostgreSQL is slow while usage is being written: nothing is lost, nobody waits for ever, nothing new is taken."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiohttp import web
from django.core.management import call_command
from django.db import connection, transaction

from billing.models import Wallet
from proxy import gateway as gateway_module
from proxy import metering, relay_stream, settlement
from proxy.models import Generation
from tests.conftest import NOW
from tests.gateways import ask_many
from tests.proxy.conftest import wait_for
from tests.upstream import STREAM


@contextmanager
def row_locked() -> Iterator[threading.Event]:
    """Hold the one generation's row, so that METER has to wait, until the event is set or the block ends."""
    locked, release = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            list(Generation.objects.select_for_update())
            locked.set()
            release.wait(30)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait(5)
    try:
        yield release
    finally:
        release.set()
        holder.join()


def test_a_stream_gets_comments_new_requests_get_503_and_the_usage_is_written_in_the_end(gateway, upstream):
    upstream.events = [*STREAM[:2], 0.5, *STREAM[2:]]
    with gateway.stream() as response:
        pieces = response.iter_raw()
        seen = next(pieces)
        with row_locked() as release:
            while b": waiting" not in seen:
                seen += next(pieces)
            refused = gateway.chat()
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "provider_unavailable")
            assert refused.headers["retry-after"]
            assert b"[DONE]" not in seen
            release.set()
            seen += b"".join(pieces)
    assert b"[DONE]" in seen
    assert wait_for("metered").usage_source == "upstream"
    assert gateway.chat().status_code == 200


def test_a_json_call_whose_usage_cannot_be_written_is_503_with_its_id_and_can_be_replayed(
    gateway, upstream, monkeypatch, caplog, tmp_path
):
    monkeypatch.setattr(metering, "ANSWER_SECONDS", 0.5)
    gate = threading.Event()
    answers = []

    async def slow(request):
        await asyncio.to_thread(gate.wait, 5)
        return web.json_response(upstream.json)

    upstream.handler = slow
    caller = threading.Thread(target=lambda: answers.append(gateway.chat()))
    caller.start()
    generation = wait_for("held")
    with row_locked():
        gate.set()
        caller.join()
        [answer] = answers
        assert answer.status_code == 503
        assert generation.pk in answer.json()["error"]["message"]
        assert answer.headers["x-generation-id"] == generation.pk
    assert wait_for("metered").output_tokens == 5  # it went on waiting in memory
    [line] = [record.getMessage() for record in caplog.records if "meter_unwritten" in record.getMessage()]
    Generation.objects.update(state="held", metered_at=None, cost=None, output_tokens=0)  # as if the process had died
    log = tmp_path / "gateway.log"
    log.write_text(f"12:00 ERROR {line}\nanother line\n", encoding="utf-8")
    call_command("replay_meter", log)
    call_command("replay_meter", log)
    replayed = Generation.objects.get()
    assert (replayed.state, replayed.output_tokens, f"{replayed.cost:f}") == ("metered", 5, "0.00042000")


def test_usage_that_arrives_after_a_release_is_stored_flagged_and_not_charged(gateway, upstream, customer):
    upstream.events = [*STREAM[:2], 0.6, *STREAM[2:]]
    with gateway.stream() as response:
        pieces = response.iter_raw()
        next(pieces)
        [generation_id] = Generation.objects.values_list("pk", flat=True)
        assert settlement.release([generation_id], reason="abandoned", now=NOW) == [generation_id]
        b"".join(pieces)
    time.sleep(0.1)
    generation = Generation.objects.get()
    assert (generation.state, generation.settlement_reason, generation.cost) == ("released", "abandoned", 0)
    assert (generation.output_tokens, generation.is_flagged) == (5, True)
    settlement.settle_all(now=NOW)
    assert Wallet.objects.get(customer=customer).bonus == 10


def test_a_poisoned_record_fails_alone_and_is_logged(gateway, upstream, monkeypatch, caplog):
    """A record the database refuses does not take its batch along."""
    original = metering.Metered.row
    poisoned: list[str] = []

    def row(self):
        values = original(self)
        if not poisoned or self.generation_id in poisoned:
            poisoned.append(self.generation_id)
            values[14] = "not a number"
        return values

    monkeypatch.setattr(metering.Metered, "row", row)
    statuses = asyncio.run(ask_many([gateway.url], gateway.key, 40))
    assert statuses[200] == 39
    assert Generation.objects.exclude(state="held").count() == 39
    assert [poisoned[0] in r.getMessage() for r in caplog.records if "meter_unwritten" in r.getMessage()] == [True]


@pytest.fixture(autouse=True)
def _quick_comments(monkeypatch):
    monkeypatch.setattr(relay_stream, "COMMENT_AFTER_SECONDS", 0.3)
    monkeypatch.setattr(gateway_module, "STALE_METERING_SECONDS", 0.2)

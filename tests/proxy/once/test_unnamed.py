"""What official clients send again without an `Idempotency-Key`: known by their count of tries and by the whole."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from aiohttp import web
from django.db import connection, transaction

from chuizi.asgi import gateway as application
from proxy.models import Generation, OnceRow, Upstream
from proxy.once import rows, table
from proxy.once.claims import Claim
from tests.faults.conftest import wait_until
from tests.proxy.conftest import only_generation, wait_for
from tests.proxy.once.conftest import FIRST, REPLAYED, RETRY, Gate, ask, readers
from tests.proxy.relay.test_abandoned import asking
from tests.spoken import each_protocol


@each_protocol
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_a_retry_gets_the_answer_of_the_first_try(gateway, upstream, spoken, stream):
    first, second = (ask(gateway, stream=stream, headers=headers) for headers in (FIRST, RETRY))
    assert second.content == first.content
    assert [one.headers.get(REPLAYED) for one in (first, second)] == [None, "true"]
    assert len(upstream.calls) == 1
    only_generation()


def test_first_tries_that_are_alike_are_requests_of_their_own(gateway, upstream):
    assert [ask(gateway, headers=FIRST).headers.get(REPLAYED) for _ in range(3)] == [None] * 3
    assert len(upstream.calls) == 3


def test_a_retry_with_another_body_is_another_request(gateway, upstream):
    ask(gateway, headers=FIRST)
    assert REPLAYED not in ask(gateway, headers=RETRY, temperature=0.5).headers
    assert len(upstream.calls) == 2


@pytest.mark.parametrize("status", [429, 500])
def test_a_retry_of_what_failed_is_done_anew_though_another_like_it_was_answered(gateway, upstream, status):
    ask(gateway, headers=FIRST)
    upstream.status, told = status, upstream.json
    upstream.json = {"error": {"message": "no"}}
    assert ask(gateway, headers=FIRST).status_code >= 500
    upstream.status, upstream.json = 200, told
    assert REPLAYED not in ask(gateway, headers=RETRY).headers
    assert ask(gateway, headers=RETRY).headers[REPLAYED] == "true"
    assert len(upstream.calls) == 3


@each_protocol
def test_a_retry_joins_the_stream_whose_caller_has_left(gateway, upstream, spoken):
    gate = Gate(upstream, spoken)
    with asking(gateway, stream=True, headers="x-stainless-retry-count: 0\r\n") as connection:
        said = b""
        while b"two" not in said:
            said += connection.recv(65_536)
    wait_until(lambda: any(one.has_left for [one] in application._once._by_digest.values()))
    with ThreadPoolExecutor(1) as pool:
        retry = pool.submit(ask, gateway, stream=True, headers=RETRY)
        wait_until(lambda: readers() == 1)
        gate.open()
        answer = retry.result(20)
    assert "".join(map(spoken.words_of, spoken.events_in(answer.text))) == "one two three "
    assert len(upstream.calls) == 1
    assert wait_for("metered").settlement_reason == "completed"


def test_an_answer_whose_caller_left_is_kept_for_its_retry(gateway, upstream, spoken):
    """Whatever the process that had it becomes."""
    gate = Gate(upstream, spoken)
    with asking(gateway, stream=True, headers="x-stainless-retry-count: 0\r\n") as connection:
        connection.recv(65_536)
    wait_until(lambda: any(one.has_left for [one] in application._once._by_digest.values()))
    gate.open()
    assert wait_for("metered").settlement_reason == "client_disconnected"
    wait_until(lambda: OnceRow.objects.filter(status=rows.KEPT).exists())
    application._once._by_digest.clear()
    retry = ask(gateway, stream=True, headers=RETRY)
    assert retry.headers[REPLAYED] == "true"
    assert "".join(map(spoken.words_of, spoken.events_in(retry.text))) == "one two three "
    assert len(upstream.calls) == 1


def test_a_retry_of_what_was_cut_and_charged_is_told_so(gateway, upstream, spoken):
    """An upstream that does not bill what is abandoned is hung up on: what it had written is charged."""
    Upstream.objects.update(bills_abandoned=False)
    gateway.look_at_catalog()
    gate = Gate(upstream, spoken)
    with asking(gateway, stream=True, headers="x-stainless-retry-count: 0\r\n") as connection:
        said = b""
        while b"two" not in said:
            said += connection.recv(65_536)
    charged = wait_for("metered")
    gate.open()
    retry = ask(gateway, stream=True, headers=RETRY)
    assert (retry.status_code, retry.json()["error"]["code"]) == (409, "answer_not_kept")
    assert charged.pk in retry.json()["error"]["message"]
    assert len(upstream.calls) == 1


def test_an_answer_that_was_delivered_and_is_kept_nowhere_is_made_anew(gateway, upstream):
    ask(gateway, headers=FIRST)
    application._once._by_digest.clear()
    application._once._ended.clear()
    retry = ask(gateway, headers=RETRY)
    assert (retry.status_code, retry.headers.get(REPLAYED)) == (200, None)
    assert len(upstream.calls) == 2
    assert OnceRow.objects.get().generation_id == Generation.objects.latest("pk").pk


def test_answers_in_memory_make_room_for_newer_ones(gateway, upstream, monkeypatch):
    monkeypatch.setattr(application._once._memory, "most", 10_000)
    for number in range(20):
        ask(gateway, headers=FIRST, seed=number)
        assert application._once._memory.taken <= 10_000
    assert ask(gateway, headers=RETRY, seed=19).headers[REPLAYED] == "true"
    assert len(upstream.calls) == 20
    monkeypatch.setattr(table, "UNNAMED_SECONDS", 0)
    application._once._forget_the_old(time.monotonic())
    assert application._once._memory.taken == 0
    assert not application._once._by_digest


def test_the_official_client_is_charged_once_for_what_it_sends_again(gateway, upstream):
    """Its first try takes too long for it; the second waits for what the upstream does for the first."""
    gate = threading.Event()

    async def handler(request: web.Request) -> web.Response:
        while not gate.is_set():
            await asyncio.sleep(0.01)
        return web.json_response(upstream.json)

    upstream.handler = handler
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=3, timeout=1.0)
    opening = threading.Thread(target=lambda: (wait_until(lambda: readers() == 1), gate.set()))
    opening.start()
    answer = client.chat.completions.create(model="openai/m", messages=[{"role": "user", "content": "hello"}])
    opening.join(20)
    assert answer.choices[0].message.content == "one two three"
    assert len(upstream.calls) == 1
    only_generation()


@pytest.mark.django_db
def test_a_first_try_is_noted_without_waiting_for_the_disk_and_nothing_else_is(django_assert_num_queries):
    def waits() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SHOW synchronous_commit")
            return cursor.fetchone()[0]

    usual, before = waits(), transaction.savepoint()
    rows.note([(Claim(1, "aa", "aa", is_named=False, is_retry=False), "gen-1")])
    assert (waits(), OnceRow.objects.get().generation_id) == ("off", "gen-1")
    transaction.savepoint_rollback(before)
    assert waits() == usual
    with django_assert_num_queries(1):
        rows.note([(Claim(1, name, name, is_named=False, is_retry=False), f"gen-{name}") for name in ("aa", "bb")])
    assert OnceRow.objects.count() == 2

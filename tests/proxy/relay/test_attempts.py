"""What an upstream may bill beside the answer that was charged is written down, and nothing where there is nothing."""

import asyncio
import time
from typing import Any

import httpx2 as httpx
import orjson
import pytest
from aiohttp import web
from django.db import OperationalError

from chuizi.asgi import gateway as application
from proxy.models import Attempt, Upstream
from proxy.prices.loading import load_catalog
from proxy.settlement import attempts
from tests.proxy.conftest import catalog, only_generation, wait_for
from tests.proxy.relay.answers.raw import answers
from tests.proxy.relay.test_abandoned import asking, called, load, slow
from tests.upstream import chunk, usage

ERROR = {"error": {"message": "overloaded", "type": "server_error"}}


@pytest.fixture
def two(gateway, upstream, second_upstream):
    """A gateway with two upstreams, the first of which fails as the test says."""
    load_catalog(catalog(upstream, second=second_upstream))
    gateway.look_at_catalog()
    return gateway


def refuses(upstream, body: Any, *, status: int = 500, **headers: str) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        await request.read()
        return web.json_response(body, status=status, headers=headers)

    upstream.handler = handler


def hangs_up(upstream) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        await request.read()
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    upstream.handler = handler


def written(gateway) -> list[tuple[Any, ...]]:
    """All attempts, once they are written: upstream, outcome, tokens in and out (None where unknown), request id."""
    gateway._server.run_there(application._write_attempts())
    found = Attempt.objects.order_by("generation_id", "number").select_related("upstream")
    return [
        (
            *(one.upstream.name, one.outcome),
            (one.input_tokens, one.output_tokens) if one.is_known else None,
            one.upstream_request_id,
        )
        for one in found
    ]


def test_a_request_that_its_first_upstream_answers_has_no_attempts(gateway):
    assert gateway.chat().status_code == 200
    with gateway.stream() as response:
        response.read()
    assert written(gateway) == []


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_usage_in_an_errors_body_is_the_first_upstreams_and_the_answer_the_seconds(two, upstream, stream):
    refuses(upstream, {**ERROR, "usage": usage(20, 3)}, **{"x-request-id": "req_1"})
    assert two.chat(stream=stream).status_code == 200
    assert written(two) == [("first", "refused", (20, 3), "req_1")]
    row, generation = Attempt.objects.get(), wait_for("metered")
    assert (row.generation_id, row.number, row.model_id) == (generation.pk, 1, generation.model_id)
    assert generation.created_at <= row.ended_at <= generation.metered_at
    assert generation.upstream.name == "second"


@pytest.mark.parametrize("body", [b"[1]", b'{"usage": 5', b'{"usage": {"prompt_tokens": "many"}}', b"<usage>", b""])
def test_an_errors_body_that_tells_no_usage_is_none(two, upstream, body):
    async def handler(request: web.Request) -> web.StreamResponse:
        await request.read()
        return web.Response(body=body + b'"usage"', status=500)

    upstream.handler = handler
    assert two.chat().status_code == 200
    assert written(two) == []


@pytest.mark.parametrize(("status", "seen"), [(400, 400), (401, 502), (429, 503), (500, 502)])
def test_a_refusal_with_an_id_is_written_and_one_without_is_not(gateway, upstream, status, seen):
    refuses(upstream, ERROR, status=status)
    assert gateway.chat().status_code == seen
    assert written(gateway) == []
    refuses(upstream, ERROR, status=status, **{"request-id": "req_2"})
    assert gateway.chat().status_code == seen
    assert written(gateway) == [("first", "refused", None, "req_2")]


def test_an_upstream_that_is_silent_with_the_whole_request_may_bill_it(two, upstream):
    Upstream.objects.filter(name="first").update(timeout_seconds=1)
    two.look_at_catalog()
    slow(upstream, 3)
    assert two.chat().status_code == 200
    assert written(two) == [("first", "timed_out", None, "")]
    assert only_generation().upstream.name == "second"


def test_so_may_one_that_hangs_up_and_one_that_cannot_be_reached_may_not(two, upstream):
    hangs_up(upstream)
    assert two.chat().status_code == 200
    assert written(two) == [("first", "abandoned", None, "")]
    Upstream.objects.filter(name="first").update(base_url="http://127.0.0.1:9/v1")
    two.look_at_catalog()
    assert two.chat().status_code == 200
    assert len(written(two)) == 1


def test_each_upstream_of_a_request_that_nobody_answered_is_one(two, upstream, second_upstream):
    refuses(upstream, ERROR, **{"x-request-id": "one"})
    refuses(second_upstream, ERROR, **{"x-request-id": "two"})
    assert two.chat().status_code == 502
    assert written(two) == [("first", "refused", None, "one"), ("second", "refused", None, "two")]
    assert list(Attempt.objects.order_by("number").values_list("number", flat=True)) == [1, 2]
    assert wait_for("released").cost == 0


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_an_error_that_comes_with_success_is_a_refusal_with_its_usage(two, upstream, stream):
    answers(upstream, orjson.dumps({**ERROR, "id": "theirs", "choices": [], "usage": usage(20, 0)}))
    assert two.chat(stream=stream).status_code == 200
    assert written(two) == [("first", "refused", (20, 0), "theirs")]


def test_a_stream_that_breaks_off_before_its_first_word_used_what_it_tells(two, upstream):
    upstream.events = [chunk(None, usage=usage(20, 4))]
    with two.stream() as response:
        response.read()
    assert response.status_code == 200
    assert written(two) == [("first", "abandoned", (20, 4), "chatcmpl-theirs")]
    assert only_generation().upstream.name == "second"


@pytest.mark.parametrize("body", [b"{", b"<html>"])
def test_what_cannot_be_read_was_answered_and_nobody_knows_what_it_used(two, upstream, body):
    answers(upstream, body, x_request_id="req_3")
    assert two.chat().status_code == 200
    assert written(two) == [("first", "answered", None, "req_3")]


def test_an_answer_without_words_and_without_usage_used_nobody_knows_what(gateway, upstream):
    upstream.json = {"id": "theirs", "choices": [{"index": 0, "message": {"content": ""}, "finish_reason": "stop"}]}
    gateway.chat()
    assert written(gateway) == [("first", "answered", None, "theirs")]


def test_sound_that_breaks_off_is_for_nobody_and_may_be_billed(gateway, upstream):
    load_catalog(catalog(upstream, price={"character": "15"}, max_output_tokens=None))
    gateway.look_at_catalog()

    async def sound(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "audio/mpeg", "Content-Length": "90000"})
        await response.prepare(request)
        await response.write(b"x" * 50_000)
        assert request.transport is not None
        request.transport.close()
        return response

    upstream.handler = sound
    with pytest.raises(httpx.HTTPError):
        gateway.client.post("/v1/audio/speech", json={"model": "openai/m", "input": "hello", "voice": "alloy"})
    assert wait_for("metered").cost == 0
    assert written(gateway) == [("first", "abandoned", None, "")]


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_an_upstream_that_was_hung_up_on_for_a_caller_that_left_may_bill_it(gateway, upstream, stream):
    load(gateway, upstream, bills_abandoned=False)
    slow(upstream, 5)
    with asking(gateway, stream=stream):
        called(upstream)
        time.sleep(0.3)
    wait_for("released")
    assert written(gateway) == [("first", "abandoned", None, "")]


def test_what_is_charged_though_nobody_knows_it_stands_with_the_request_alone(gateway, upstream):
    Upstream.objects.update(timeout_seconds=1, total_timeout_seconds=1)
    slow(upstream, 8)
    gateway.look_at_catalog()
    with asking(gateway):
        called(upstream)
        time.sleep(0.2)
    assert wait_for("metered").usage_source == "estimated"
    assert written(gateway) == []


def test_what_waits_is_written_when_the_gateway_stops(gateway, upstream, monkeypatch):
    monkeypatch.setattr("proxy.gateway.process.FLUSH_SECONDS", 60)
    refuses(upstream, ERROR, **{"x-request-id": "last"})
    gateway.chat()
    gateway._server.stop()
    assert Attempt.objects.get().upstream_request_id == "last"


def test_a_request_that_is_cut_when_the_gateway_stops_may_be_billed(gateway, upstream):
    slow(upstream, 15)
    Upstream.objects.update(timeout_seconds=20)
    gateway.look_at_catalog()
    with asking(gateway):
        called(upstream)
        time.sleep(0.3)
        gateway._server.stop()
    assert Attempt.objects.get().outcome == "abandoned"


ONE = attempts.Attempt(1, "refused", 0.0)


def waiting(count: int) -> attempts.Attempts:
    book = attempts.Attempts()
    book.add("g", [ONE] * count)
    return book


def test_what_cannot_be_written_now_is_kept_up_to_a_bound_and_lost_beyond(monkeypatch):
    monkeypatch.setattr(attempts, "MOST", 3)
    lost = attempts.metrics.ATTEMPTS_LOST._value
    before = lost.get()
    book = waiting(5)
    assert (len(book), lost.get() - before) == (3, 2)

    def away(told: Any) -> None:
        raise OperationalError

    monkeypatch.setattr(attempts, "write", away)
    with pytest.raises(OperationalError):
        asyncio.run(book.flush())
    assert len(book) == 3
    book.give_up()
    assert (len(book), lost.get() - before) == (0, 5)


def test_written_twice_at_once_none_is_lost(monkeypatch):
    monkeypatch.setattr(attempts, "MOST_AT_ONCE", 2)
    told: list[int] = []

    def write(batch: Any) -> None:
        time.sleep(0.01)
        told.extend(number for _, number, _ in batch)

    monkeypatch.setattr(attempts, "_write_sound", write)
    book = waiting(5)

    async def both() -> None:
        await asyncio.gather(book.flush(), book.flush())

    asyncio.run(both())
    assert (told, len(book)) == ([1, 2, 3, 4, 5], 0)


def test_one_that_the_database_refuses_keeps_no_other(make_generation):
    good = make_generation(cost=None)
    place = Upstream.objects.get().pk
    bad = attempts.Attempt(place, "x" * 11, time.monotonic())
    sound = attempts.Attempt(place, "refused", time.monotonic())
    attempts._write_sound([(good.pk, 1, bad), (good.pk, 2, sound)])
    assert Attempt.objects.get().number == 2

"""Streams and disconnects, each line of what goes wrong in gateways like this one."""

import asyncio
import socket
import threading
import time
from decimal import Decimal

import orjson
import pytest
from aiohttp import web

from billing.models import Hold, Wallet
from proxy.models import Generation
from proxy.prices.loading import load_catalog
from proxy.relay import relay
from tests.proxy.conftest import catalog, only_generation, settle, wait_for
from tests.spoken import each_way
from tests.upstream import STREAM, chunk, usage
from tests.upstream import stream as play

COST = Decimal("0.00042000")


def events_of(response) -> list:
    """The data of a stream's events."""
    return [line[6:] for line in response.iter_lines() if line.startswith("data: ")]


def halt(gateway, upstream, *, before: bytes, told: tuple[bytes, bytes] = (b"\0", b"")) -> threading.Event:
    """The upstream sends its events until one that holds this, and the others once the event is set; it tells the
    second of `told` in the place of the first.
    """
    go_on, events = threading.Event(), [event.replace(*told) for event in gateway.spoken.stream]
    after = next(at for at, event in enumerate(events) if before in event)

    async def halting(request: web.Request) -> web.StreamResponse:
        response = await play(request, events[:after])
        await asyncio.to_thread(go_on.wait, 10)
        for event in events[after:]:
            await response.write(event)
        return response

    upstream.handler = halting
    return go_on


def leave_after(gateway, upstream, *, received: bytes, before: bytes) -> None:
    """Ask for a stream, and hang up once the upstream has sent what comes before and `received` has come."""
    go_on = halt(gateway, upstream, before=before)
    body = orjson.dumps(gateway.spoken.body(stream=True))
    host, port = gateway.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            f"POST {gateway.spoken.place(stream=True)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gateway.key}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        seen = b""
        while received not in seen:
            seen += connection.recv(65536)
        while not upstream.calls:
            time.sleep(0.01)
    time.sleep(0.2)  # the gateway hears of it
    go_on.set()


@each_way
def test_client_gone_mid_stream_the_true_usage_is_still_learned_and_charged(gateway, upstream):
    leave_after(gateway, upstream, received=b"one ", before=b"two ")
    generation = wait_for("metered")
    assert (generation.settlement_reason, generation.usage_source) == ("client_disconnected", "upstream")
    assert generation.cost == COST


@each_way
@pytest.mark.parametrize("watched_after", [0.01, 60])
def test_client_gone_before_the_first_byte_the_true_usage_is_still_learned(
    gateway, upstream, monkeypatch, watched_after
):
    monkeypatch.setattr(relay, "WATCH_AFTER_SECONDS", watched_after)
    leave_after(gateway, upstream, received=b"", before=b"")
    generation = wait_for("metered")
    assert (generation.settlement_reason, generation.cost) == ("client_disconnected", COST)


@each_way
def test_an_upstream_that_ends_early_bills_what_was_relayed_and_says_so(gateway, upstream, spoken):
    upstream.events = list(spoken.begun)
    with gateway.stream() as response:
        events = events_of(response)
    assert spoken.code_of(orjson.loads(events[-1])) == spoken.code("provider_error")
    generation = only_generation()
    assert (generation.settlement_reason, generation.usage_source) == ("upstream_eof", "estimated")


@each_way
def test_an_upstream_that_hangs_times_out_and_bills_what_was_relayed(gateway, upstream, spoken):
    upstream.events = [*spoken.begun, 3.0]
    with gateway.stream() as response:
        events = events_of(response)
    assert spoken.code_of(orjson.loads(events[-1])) == spoken.code("provider_timeout")
    generation = only_generation()
    assert (generation.settlement_reason, generation.usage_source) == ("timeout", "estimated")


@each_way
def test_an_upstream_that_ends_before_a_word_costs_nothing(gateway, upstream, customer):
    upstream.events = []
    with gateway.stream() as response:
        assert response.status_code == 502
    generation = wait_for("released")
    assert (generation.settlement_reason, generation.cost) == ("upstream_eof", 0)
    assert Wallet.objects.get(customer=customer).held == 0


@each_way
def test_error_text_is_not_billed_as_output(gateway, upstream, spoken):
    upstream.events = [spoken.failed("overloaded")]
    with gateway.stream() as response:
        response.read()
    assert (response.status_code, response.json()["error"]["message"]) == (502, "overloaded")
    assert wait_for("released").cost == 0


@each_way
def test_an_error_object_in_the_middle_of_a_200_stream_ends_it_with_what_was_relayed(gateway, upstream, spoken):
    upstream.events = [*spoken.begun, spoken.failed("quota of org-abcdef123 is used up")]
    with gateway.stream() as response:
        events = events_of(response)
    assert orjson.loads(events[-1])["error"]["message"] == "quota of [removed] is used up"
    generation = only_generation()
    assert (generation.settlement_reason, generation.usage_source) == ("upstream_error", "estimated")


@each_way
def test_garbage_in_a_stream_is_not_relayed(gateway, upstream, spoken):
    upstream.events = [spoken.stream[0], b"data: {not json}\n\n", b"hello\n\n", *spoken.stream[1:]]
    with gateway.stream() as response:
        body = b"".join(response.iter_raw())
    assert b"not json" not in body
    assert only_generation().cost == COST


def test_streamed_usage_that_is_missing_altogether_is_estimated(gateway, upstream):
    upstream.events = [*STREAM[:-2], STREAM[-1]]
    with gateway.stream() as response:
        events = events_of(response)
    assert orjson.loads(events[-2])["usage"]["completion_tokens"] == only_generation().output_tokens == 4
    assert only_generation().usage_source == "estimated"


def test_usage_in_the_middle_is_kept_for_the_end(gateway, upstream):
    upstream.events = [
        STREAM[0],
        chunk({"content": "one "}, usage=usage(completion=1)),
        chunk({"content": "two "}, usage=usage(completion=5)),
        chunk({}, finish="stop"),
        STREAM[-1],
    ]
    with gateway.stream() as response:
        events = [orjson.loads(event) for event in events_of(response) if event != "[DONE]"]
    assert [event["choices"][0]["delta"].get("content") for event in events] == ["", "one ", "two ", None]
    assert all("usage" not in event or event["usage"] is None for event in events[:-1])
    assert (events[-1]["choices"][0]["finish_reason"], events[-1]["usage"]["completion_tokens"]) == ("stop", 5)
    assert only_generation().cost == COST


@each_way
def test_events_cut_anywhere_arrive_whole(gateway, upstream, spoken):
    whole = b"".join(spoken.stream).replace(b"\n", b"\r\n")
    upstream.events = [piece for i in range(0, len(whole), 7) for piece in (whole[i : i + 7],)]
    with gateway.stream() as response:
        text = response.read()
    assert "".join(map(spoken.words_of, spoken.events_in(text.decode()))) == "one two three "
    assert text.endswith(spoken.last)
    assert only_generation().cost == COST


@each_way
def test_a_stream_reaches_the_client_chunk_by_chunk(gateway, upstream, spoken):
    go_on = halt(gateway, upstream, before=b"two ")
    with gateway.stream() as response:
        pieces = response.iter_raw()
        first = next(pieces)
        go_on.set()
        rest = b"".join(pieces)
    assert rest.endswith(spoken.last)
    assert spoken.last not in first


@each_way
@pytest.mark.parametrize("status", [500, 502, 429, 529, 401, 403, 402, 404])
def test_a_failing_upstream_is_replaced_before_the_first_byte_under_the_same_hold(
    gateway, upstream, second_upstream, status
):
    load_catalog(catalog(upstream, second=second_upstream))
    gateway.look_at_catalog()
    upstream.status, upstream.json = status, {"error": {"message": "no"}}
    for stream in (False, True):
        if stream:
            with gateway.stream() as response:
                response.read()
        else:
            response = gateway.chat()
        assert response.status_code == 200
    assert (len(upstream.calls), len(second_upstream.calls)) == (2, 2)
    assert Hold.objects.count() == Generation.objects.count() == 2


@each_way
def test_a_transport_error_gives_the_hold_back_at_once(gateway, upstream, customer, spoken):
    upstream.stop()
    response = gateway.chat()
    upstream.__init__()
    assert (response.status_code, spoken.code_of(response.json())) == (503, spoken.code("provider_unavailable"))
    assert response.headers["x-generation-id"] == wait_for("released").pk
    assert Wallet.objects.get(customer=customer).held == 0


def test_an_upstreams_4xx_about_the_request_comes_back_in_our_shape(gateway, upstream):
    upstream.status = 400
    upstream.json = {
        "error": {
            "message": "This model's maximum context length is 8192 tokens. Ask https://api.example.com org-Ab12Cd34.",
            "type": "invalid_request_error",
            "param": "messages",
            "code": "context_length_exceeded",
        }
    }
    response = gateway.chat()
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, "context_length_exceeded", "messages")
    assert error["message"].startswith("This model's maximum context length is 8192 tokens.")
    assert "example.com" not in error["message"]
    assert "org-" not in error["message"]
    assert wait_for("released").cost == 0


@each_way
@pytest.mark.parametrize("status", [401, 402, 403])
def test_an_upstreams_refusal_of_our_key_is_our_problem(gateway, upstream, status, spoken):
    upstream.status, upstream.json = status, {"error": {"message": "Incorrect API key provided: sk-first-upstream-key"}}
    response = gateway.chat()
    assert (response.status_code, spoken.code_of(response.json())) == (502, spoken.code("provider_error"))
    assert "sk-first" not in response.text


@each_way
def test_an_answer_that_is_not_json_is_502_and_free(gateway, upstream):
    async def garbage(request):
        return web.Response(body=b"<html>", content_type="text/html")

    upstream.handler = garbage
    assert gateway.chat().status_code == 502
    assert wait_for("released").cost == 0


@each_way
def test_every_outcome_leaves_the_books_clean(gateway, upstream, customer, spoken):
    upstream.events = list(spoken.begun)
    with gateway.stream() as response:
        response.read()
    gateway.chat()
    settle()
    wallet = Wallet.objects.get(customer=customer)
    assert (wallet.held, wallet.exposure) == (0, 0)
    assert wallet.bonus == Decimal(10) - sum(g.cost for g in Generation.objects.all())

"""Responses through the gateway: what a caller gets, what is charged, and how a stream ends."""

from decimal import Decimal

import orjson
import pytest

from proxy.models import Upstream
from tests.proxy.conftest import only_generation, wait_for
from tests.spoken import RESPONSES, renamed
from tests.spoken_responses import responded, response, response_ending, response_usage, response_words

COST = Decimal("0.00042")
pytestmark = pytest.mark.parametrize("spoken", [RESPONSES], ids=str)
SECRET = "quota of org-abcdef123 is used up"


def said_by(answer):
    return RESPONSES.events_in(answer.read().decode())


def ours(generation):
    return {"generation_id": generation.pk, "latency_ms": generation.latency_ms, "cost": "0.00042000"}


def test_an_answer_comes_as_it_is_with_its_cost(gateway, upstream):
    answer = gateway.chat()
    told, generation = answer.json(), only_generation()
    assert told.pop("x_chuizi") == ours(generation)
    assert told["usage"].pop("cost") == 0.00042
    assert told == orjson.loads(renamed(orjson.dumps(upstream.json)))
    assert (answer.headers["x-generation-id"], generation.cost, generation.finish_reason) == (
        generation.pk,
        COST,
        "completed",
    )
    [asked] = upstream.calls
    assert asked == {"model": "m-at-upstream", "input": "hello", "max_output_tokens": 100, "service_tier": "default"}


def test_a_stream_comes_as_it_is_with_its_cost_on_the_last_event(gateway, upstream):
    with gateway.stream() as answer:
        text = answer.read()
    [*begun, last] = RESPONSES.events_in(text.decode())
    generation = only_generation()
    assert last["response"].pop("x_chuizi") == ours(generation)
    assert last["response"]["usage"].pop("cost") == 0.00042
    assert [*begun, last] == [orjson.loads(renamed(event.partition(b"data: ")[2])) for event in upstream.events]
    assert text.startswith(renamed(b"".join(upstream.events[:-1])))
    assert (b"[DONE]" in text, answer.headers["x-generation-id"]) == (False, generation.pk)


@pytest.mark.parametrize(("kind", "details", "reason"), [
    ("incomplete", {"incomplete_details": {"reason": "max_output_tokens"}}, "max_output_tokens"),
    ("cancelled", {}, "cancelled"),
])  # fmt: skip
def test_other_ends_are_answers_too(gateway, upstream, kind, details, reason):
    upstream.events = [*response_words("one "), *response_ending(kind, **details)]
    with gateway.stream() as answer:
        last = said_by(answer)[-1]
    assert (last["type"], last["response"]["x_chuizi"]["cost"]) == (f"response.{kind}", "0.00042000")
    generation = only_generation()
    assert (generation.finish_reason, generation.settlement_reason) == (reason, "completed")


def test_one_that_fails_after_words_is_charged_by_its_own_usage_and_says_so_in_our_words(gateway, upstream):
    error = {"code": "server_error", "message": SECRET, "at": "gpu-7.internal"}
    upstream.events = [*response_words("one "), *response_ending("failed", error=error, debug=SECRET)]
    with gateway.stream() as answer:
        last = said_by(answer)[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["error"] == {"code": "server_error", "message": "quota of [removed] is used up"}
    assert ("debug" in last["response"], last["response"]["usage"]["cost"]) == (False, 0.00042)
    generation = only_generation()
    assert (generation.settlement_reason, generation.cost) == ("upstream_error", COST)


@pytest.mark.parametrize("stream", [False, True])
def test_one_that_fails_before_a_word_costs_nothing(gateway, upstream, stream):
    failed = response(status="failed", output=[], error={"code": "server_error", "message": SECRET})
    upstream.json, upstream.events = (
        failed,
        [responded("created", response=failed), responded("failed", response=failed)],
    )
    answer = gateway.chat(stream=stream)
    assert (answer.status_code, answer.json()["error"]["message"]) == (502, "quota of [removed] is used up")
    assert wait_for("released").cost == 0


def test_early_events_are_not_parsed_but_for_the_id(gateway, upstream, monkeypatch):
    echo = {"id": "resp_theirs", "instructions": "x" * 60_000}
    torn = b'event: response.created\ndata: {"type":"response.created","response":%b,}\n\n' % orjson.dumps(echo)
    upstream.events = [torn, *response_words("one ")[1:]]
    with gateway.stream() as answer:
        text = answer.read()
    assert text.startswith(torn)
    assert only_generation().upstream_request_id == "resp_theirs"


def test_what_is_said_in_a_text_ends_nothing(gateway, upstream):
    words = 'event: response.completed\ndata: {"type":"response.completed","response":{"error":{"message":"no"}}}\n\n'
    upstream.events = [*response_words(words), *response_ending()]
    with gateway.stream() as answer:
        events = said_by(answer)
    assert "".join(map(RESPONSES.words_of, events)) == words
    assert (len(events), only_generation().cost) == (len(upstream.events), COST)


def test_usage_that_cannot_be_is_billed_within_the_bound_and_flagged(gateway, upstream):
    upstream.json = response(usage=response_usage(4_000_000_000, 4_000_000_000))
    assert gateway.chat().status_code == 200
    generation = only_generation()
    assert (generation.is_flagged, generation.cost) == (True, generation.bound)


def test_a_compaction_is_held_and_charged_in_one_piece(gateway, upstream):
    upstream.json = {
        "id": "resp_theirs",
        "object": "response.compaction",
        "created_at": 1,
        "output": [{"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAAA"}],
        "usage": response_usage(),
    }
    asked = {"model": "openai/m", "input": "hello"}
    answer = gateway.client.post("/v1/responses/compact", json=asked)
    assert (answer.json()["object"], answer.json()["x_chuizi"]["cost"]) == ("response.compaction", "0.00042000")
    assert upstream.calls == [{**asked, "model": "m-at-upstream", "service_tier": "default"}]
    generation = only_generation()
    assert generation.bound > Decimal("0.04")
    for more in ({"stream": True}, {"max_output_tokens": 50}):
        assert gateway.client.post("/v1/responses/compact", json={**asked, **more}).status_code == 400


def test_input_is_counted_for_nothing(gateway, upstream, django_assert_num_queries):
    upstream.json = {"object": "response.input_tokens", "input_tokens": 11}
    asked = {"model": "openai/m", "input": "hello", "service_tier": "flex"}
    answer = gateway.client.post("/v1/responses/input_tokens", json=asked)
    assert (answer.status_code, answer.json()) == (200, upstream.json)
    assert upstream.calls == [{"model": "m-at-upstream", "input": "hello"}]


def test_an_upstream_that_does_not_name_the_path_is_not_asked(gateway, upstream):
    Upstream.objects.update(paths=["embeddings"])
    gateway.look_at_catalog()
    answer = gateway.chat()
    assert (answer.status_code, answer.json()["error"]["param"], upstream.calls) == (400, "model", [])
    assert gateway.client.post("/v1/responses/input_tokens", json=RESPONSES.asked).status_code == 400
    Upstream.objects.update(paths=["responses"])
    gateway.look_at_catalog()
    assert gateway.chat().status_code == 200


def test_a_tier_of_ours_that_an_upstream_does_not_take_is_left_out(gateway, upstream):
    upstream.status, upstream.json = 400, {"error": {"message": "Unknown parameter", "param": "service_tier"}}
    gateway.chat()
    assert [call.get("service_tier") for call in upstream.calls] == ["default", None]


def test_a_web_socket_is_refused_with_words(gateway, upstream):
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    answer = gateway.client.get("/v1/responses", headers=upgrade)
    assert (answer.status_code, "WebSocket" in answer.text) == (426, True)
    assert gateway.client.get("/v1/responses").status_code == 405


def test_an_error_of_ours_goes_on_with_the_numbers_of_the_stream(gateway, upstream):
    numbered = [
        event.replace(b'"sequence_number":0', b'"sequence_number":%d' % number)
        for number, event in enumerate(response_words("one ", "two "))
    ]
    upstream.events = numbered
    with gateway.stream() as answer:
        said = said_by(answer)
    assert said[-1]["type"] == "error"
    assert [event["sequence_number"] for event in said] == list(range(len(numbered) + 1))
    assert wait_for("metered").settlement_reason == "upstream_eof"

"""`POST /v1/messages` passed through: what goes upstream, what comes back, what it costs."""

from decimal import Decimal

import orjson
import pytest

from billing.models import Hold, Wallet
from proxy.models import Generation, Upstream
from tests.proxy.conftest import only_generation, settle, wait_for
from tests.spoken import MESSAGES, ending, event, message, renamed, text_events

pytestmark = pytest.mark.parametrize("spoken", [MESSAGES], ids=str)
COST = Decimal("0.00042000")


def said_by(response) -> list:
    return MESSAGES.events_in(response.read().decode())


def test_an_answer_in_one_piece_comes_as_it_is_with_what_it_cost(gateway, upstream):
    answer = gateway.chat(temperature=0.5)
    assert answer.status_code == 200, answer.text
    generation = only_generation()
    usage = {**MESSAGES.told["usage"], "cost": float(COST)}
    told = answer.json()
    assert told.pop("x_chuizi") == {
        "generation_id": generation.pk,
        "latency_ms": generation.latency_ms,
        "cost": f"{COST:f}",
    }
    assert told == {**MESSAGES.told, "model": "openai/m", "usage": usage}
    assert answer.headers["x-generation-id"] == generation.pk
    assert answer.headers["request-id"] == answer.headers["x-request-id"]
    assert (generation.protocol, generation.finish_reason, generation.cost) == ("anthropic", "end_turn", COST)
    assert upstream.calls == [
        {
            "model": "m-at-upstream",
            "max_tokens": 100,
            "service_tier": "standard_only",
            "messages": [{"role": "user", "content": "hello"}],
            "temperature": 0.5,
        }
    ]
    settle()
    assert (only_generation().state, Hold.objects.get().captured) == ("settled", COST)


def test_a_stream_comes_event_by_event_and_its_last_word_tells_what_it_cost(gateway, upstream):
    with gateway.stream() as response:
        text = response.read()
    events = MESSAGES.events_in(text.decode())
    assert text.startswith(renamed(b"".join(MESSAGES.stream[:-2])))
    assert text.endswith(MESSAGES.last)
    [*_begun, delta, stop] = events
    generation = only_generation()
    assert delta["usage"] == {"output_tokens": 5, "cost": float(COST)}
    assert delta["x_chuizi"]["generation_id"] == generation.pk == response.headers["x-generation-id"]
    assert (delta["delta"]["stop_reason"], stop) == ("end_turn", {"type": "message_stop"})
    assert (generation.input_tokens, generation.output_tokens, generation.cost) == (20, 5, COST)
    assert "x_chuizi" not in str(events[:-2])


def test_headers_of_the_list_go_upstream_and_the_upstreams_key_is_the_only_one(gateway, upstream):
    sent = {
        "anthropic-version": "2026-10-21",
        "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14",
        "x-api-key": gateway.key,
        "cookie": "a=b",
        "x-app": "cli",
        "forwarded": "for=10.0.0.1",
    }
    answer = gateway.client.post("/anthropic/v1/messages?beta=true", json=MESSAGES.asked, headers=sent)
    assert answer.status_code == 200, answer.text
    [went] = [{name.lower(): value for name, value in headers.items()} for headers in upstream.headers]
    assert went["anthropic-version"] == "2026-10-21"
    assert went["anthropic-beta"] == sent["anthropic-beta"]
    assert went["x-api-key"] == "sk-first-upstream-key"
    assert not {"authorization", "cookie", "x-app", "forwarded"} & went.keys()
    assert gateway.key not in str(went)


@pytest.mark.parametrize("kind", ["", "relay"])
def test_the_tier_is_set_at_anthropic_alone(gateway, upstream, kind):
    Upstream.objects.update(kind=kind)
    gateway.look_at_catalog()
    gateway.chat()
    gateway.chat(service_tier="auto")
    gateway.chat(service_tier="standard_only")
    usual = "standard_only" if not kind else None
    assert [call.get("service_tier") for call in upstream.calls] == [usual, usual, "standard_only"]


def test_thinking_and_its_signature_come_through_untouched(gateway, upstream):
    block = {"type": "thinking", "thinking": "", "signature": ""}
    pieces = [
        text_events()[0],
        event("content_block_start", index=0, content_block=block),
        event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "Let me see."}),
        event("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "EqQB/+="}),
        event("content_block_stop", index=0),
        event("newer_event", index=0, anything=[1, 2.50]),
    ]
    upstream.events = [*pieces, *ending()[1:]]
    with gateway.stream(thinking={"type": "enabled", "budget_tokens": 50}) as response:
        text = response.read()
    assert text.startswith(renamed(b"".join(pieces)))
    assert only_generation().cost == COST


def test_each_count_of_a_streams_usage_is_its_last(gateway, upstream):
    first = {"input_tokens": 7, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 0, "output_tokens": 2}
    last = {"input_tokens": 10, "cache_read_input_tokens": 6, "cache_creation_input_tokens": None, "output_tokens": 5}
    upstream.events = [*text_events("a", usage=first), *ending({**first, "output_tokens": 3})[:-1], *ending(last)[1:]]
    with gateway.stream() as response:
        [*_begun, delta, _stop] = said_by(response)
    generation = only_generation()
    assert (generation.input_tokens, generation.cached_tokens, generation.output_tokens) == (16, 6, 5)
    assert delta["usage"] == {**last, "cost": float(generation.cost)}


def test_cache_reads_and_writes_by_their_life_are_input_at_their_rates(gateway, upstream):
    upstream.json = message(
        usage={
            "input_tokens": 10,
            "cache_read_input_tokens": 100,
            "cache_creation_input_tokens": 50,
            "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30},
            "output_tokens": 5,
            "service_tier": "standard",
        }
    )
    gateway.chat()
    found = only_generation()
    assert (found.input_tokens, found.cached_tokens) == (160, 100)
    assert (found.cache_write_tokens, found.cache_write_1h_tokens) == (50, 30)
    assert found.cost == Decimal("1.05") * (60 * 10 + 100 * Decimal("2.5") + 5 * 40) / 1_000_000
    assert (found.service_tier, found.is_flagged) == ("standard", False)


def test_the_turns_of_a_request_are_billed_in_place_of_the_counts_above_them(gateway, upstream):
    turns = [
        {"type": "compaction", "input_tokens": 1000, "output_tokens": 50},
        {"type": "message", "input_tokens": 20, "output_tokens": 5},
    ]
    usage = {"input_tokens": 20, "output_tokens": 5, "iterations": turns}
    upstream.json = message(usage=usage)
    edits = {"edits": [{"type": "compact_20260112"}]}
    answer = gateway.chat(context_management=edits, messages=[{"role": "user", "content": "hello " * 300}])
    found = only_generation()
    assert (found.input_tokens, found.output_tokens, found.is_flagged) == (1020, 55, False)
    assert found.cost == Decimal("1.05") * (1020 * 10 + 55 * 40) / 1_000_000
    assert answer.json()["usage"] == {**usage, "cost": float(found.cost)}


def test_a_turn_of_another_model_is_flagged(gateway, upstream):
    turns = [
        {"type": "message", "input_tokens": 20, "output_tokens": 5},
        {"type": "advisor_message", "model": "other", "input_tokens": 9, "output_tokens": 1},
    ]
    upstream.json = message(usage={"input_tokens": 20, "output_tokens": 5, "iterations": turns})
    gateway.chat()
    assert (only_generation().output_tokens, only_generation().is_flagged) == (6, True)


def test_tokens_are_counted_for_nothing(gateway, upstream):
    upstream.json = {"input_tokens": 12}
    for root in ("", "/anthropic"):
        asked = {"model": "openai/m", "messages": MESSAGES.asked["messages"]}
        answer = gateway.client.post(root + "/v1/messages/count_tokens", json=asked)
        assert (answer.status_code, answer.json()) == (200, {"input_tokens": 12})
        assert answer.headers["request-id"]
    assert upstream.calls[0] == {"model": "m-at-upstream", "messages": MESSAGES.asked["messages"]}
    assert not Hold.objects.exists()
    assert not Generation.objects.exists()


def test_an_error_has_this_protocols_shape_and_the_requests_id(gateway):
    answer = gateway.chat(max_tokens=None)
    assert answer.status_code == 400
    assert answer.json() == {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "message": "`max_tokens` is required: how many tokens the answer may have at most.",
        },
        "request_id": answer.headers["request-id"],
    }


def test_a_model_of_another_protocol_is_refused_with_words(gateway):
    other = gateway.client.post("/v1/completions", json={"model": "openai/m", "prompt": "hello"})
    assert other.status_code == 400
    assert "/v1/completions" in other.json()["error"]["message"]
    assert not Hold.objects.exists()


def test_a_cut_after_the_head_goes_to_the_next_and_costs_nothing(gateway, upstream):
    upstream.events = [text_events()[0]]
    with gateway.stream() as response:
        assert response.status_code == 502
        told = orjson.loads(response.read())
    assert told["error"]["type"] == "api_error"
    assert wait_for("released").cost == 0


def test_events_without_their_names_get_them_as_clients_go_by_those(gateway, upstream):
    upstream.events = [event.partition(b"\n")[2] for event in MESSAGES.stream]
    with gateway.stream() as response:
        text = response.read()
    assert text.startswith(renamed(b"".join(MESSAGES.stream[:-2])))


def test_an_answer_without_a_block_has_its_head_too(gateway, upstream):
    upstream.events = [text_events()[0], *ending()[1:]]
    with gateway.stream() as response:
        assert [event["type"] for event in said_by(response)] == ["message_start", "message_delta", "message_stop"]
    assert only_generation().cost == COST


def refused(answer) -> tuple[int, str]:
    told = answer.json()
    assert (told["type"], told["request_id"]) == ("error", answer.headers["request-id"])
    return answer.status_code, told["error"]["type"]


def test_what_is_refused_has_the_types_that_this_protocols_clients_act_upon(gateway, settings):
    assert refused(gateway.chat(model="openai/none")) == (404, "not_found_error")
    wrong = gateway.client.post("/v1/messages", json=MESSAGES.asked, headers={"Authorization": "Bearer ck-" + "A" * 32})
    assert refused(wrong) == (401, "authentication_error")
    assert refused(gateway.client.get("/v1/messages")) == (405, "invalid_request_error")
    Wallet.objects.update(bonus=0)
    poor = gateway.chat()
    assert refused(poor) == (402, "billing_error")
    assert poor.headers["x-should-retry"] == "false"
    settings.MAX_BODY_BYTES = 50
    assert refused(gateway.chat()) == (413, "request_too_large")


def test_betas_on_several_lines_all_go_on(gateway, upstream):
    lines = [("anthropic-beta", "a-2025-01-01"), ("anthropic-beta", "b-2025-01-01")]
    assert gateway.chat(headers=lines).status_code == 200
    assert {name.lower(): value for name, value in upstream.headers[0].items()}["anthropic-beta"] == (
        "a-2025-01-01,b-2025-01-01"
    )

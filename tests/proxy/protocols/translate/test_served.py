"""A running gateway before upstreams of the other protocol: what goes there, what is charged, who is asked."""

from decimal import Decimal
from typing import Any

import orjson
import pytest

from billing.models import Hold
from proxy.models import Generation
from proxy.prices.loading import load_catalog
from tests.proxy.conftest import catalog, wait_for
from tests.spoken import CHAT, MESSAGES, TRANSLATED, Spoken, ending, event, message, text_events
from tests.upstream import FakeUpstream, answer, chunk, usage

ON_MESSAGES, ON_CHAT = TRANSLATED[:2]
CACHED = {"input_tokens": 100, "cache_creation_input_tokens": 400, "cache_read_input_tokens": 500, "output_tokens": 10}
PRICE = {"input": "3", "output": "15", "cache_read": "0.3", "cache_write": "3.75", "cache_write_1h": "6"}
TOOL = {"name": "look", "description": "Look.", "input_schema": {"type": "object", "properties": {}}}
AGENT: dict[str, Any] = {
    "max_tokens": 1000,
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.332"},
        {"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "word " * 5_000, "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ],
    "thinking": {"type": "adaptive", "display": "omitted"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "output_config": {"effort": "medium"},
    "metadata": {"user_id": '{"device_id":"a"}'},
    "tools": [
        {**TOOL, "name": f"t{number}", "description": "word " * 400, "defer_loading": True} for number in range(25)
    ],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Fix it.", "cache_control": {"type": "ephemeral"}}]},
        {"role": "system", "content": "The day is Monday."},
    ],
}
"""As Claude Code sends it."""


@pytest.fixture(params=[ON_CHAT], ids=str)
def spoken(request: pytest.FixtureRequest) -> Spoken:
    way: Spoken = request.param
    return way


on_messages = pytest.mark.parametrize("spoken", [ON_MESSAGES], ids=str, indirect=True)


def mixed(gateway: Any, first: FakeUpstream, second: FakeUpstream) -> None:
    load_catalog(catalog(first, second=second))
    gateway.look_at_catalog()


def test_a_coding_agents_body_runs_on_a_chat_model(gateway, upstream):
    headers = {"anthropic-beta": "claude-code-20250219,effort-2025-11-24", "anthropic-version": "2023-06-01"}
    response = gateway.client.post("/v1/messages?beta=true", json={"model": "openai/m", **AGENT}, headers=headers)
    assert response.status_code == 200, response.text
    [sent] = upstream.calls
    assert [one["role"] for one in sent["messages"]] == ["system", "user", "system"]
    assert sent["messages"][0]["content"].startswith("You are an agent.\n\nword ")
    assert (len(sent["tools"]), sent["reasoning_effort"], sent["max_tokens"]) == (25, "medium", 1000)
    ignored = response.headers["x-chuizi-ignored"].split(", ")
    assert set(ignored) == {
        *("context_management", "metadata", "anthropic-beta", "thinking.display"),
        *("tools.defer_loading", "cache_control"),
    }
    made = wait_for("metered")
    assert (made.protocol, made.usage_source, made.ignored) == ("anthropic", "upstream", ignored)


@on_messages
def test_an_openai_client_pays_what_the_cache_did(gateway, upstream):
    load_catalog(catalog(upstream, price=PRICE))
    gateway.look_at_catalog()
    upstream.json = message(usage=CACHED)
    told = gateway.chat().json()
    cost = (100 * Decimal(3) + 400 * Decimal("3.75") + 500 * Decimal("0.3") + 10 * Decimal(15)) * Decimal("1.05")
    made = wait_for("metered")
    assert made.cost == cost / 1_000_000
    assert (made.input_tokens, made.cached_tokens, made.cache_write_tokens) == (1000, 500, 400)
    assert told["usage"] == {
        "prompt_tokens": 1000,
        "completion_tokens": 10,
        "total_tokens": 1010,
        "prompt_tokens_details": {"cached_tokens": 500, "cache_write_tokens": 400},
        "completion_tokens_details": {"reasoning_tokens": 0},
        "cost": float(made.cost),
    }
    upstream.events = [*text_events("Hi", usage=CACHED), *ending({"output_tokens": 10})]
    with gateway.stream(stream_options={"include_usage": True}) as response:
        *_, last = CHAT.events_in(response.read().decode())
    assert last["choices"] == []
    assert {**last["usage"], "cost": 0} == {**told["usage"], "cost": 0}


def test_messages_count_beside_the_cache_what_a_chat_counts_with_it(gateway, upstream):
    details = {"prompt_tokens_details": {"cached_tokens": 15}, "completion_tokens_details": {"reasoning_tokens": 2}}
    upstream.json = answer(usage=usage(**details))
    told = gateway.chat().json()["usage"]
    assert (told["input_tokens"], told["cache_read_input_tokens"], told["output_tokens"]) == (5, 15, 5)
    assert told["output_tokens_details"] == {"thinking_tokens": 2}
    assert wait_for("metered").input_tokens == 20


@on_messages
def test_what_cannot_be_carried_is_refused_before_a_hold(gateway, upstream):
    refused = gateway.chat(logit_bias={"1": 2})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "logit_bias")
    assert not upstream.calls
    assert not Hold.objects.exists()


@on_messages
def test_of_two_kinds_of_upstreams_the_native_one_gets_what_cannot_be_carried(gateway, upstream, second_upstream):
    second_upstream.protocol, second_upstream.json = "openai", CHAT.told
    mixed(gateway, upstream, second_upstream)
    assert gateway.chat().status_code == 200
    assert (len(upstream.calls), len(second_upstream.calls)) == (1, 0)
    assert gateway.chat(logit_bias={"1": 2}).status_code == 200
    assert (len(upstream.calls), len(second_upstream.calls)) == (1, 1)
    upstream.status, upstream.json = 500, {}
    failed_over = gateway.chat(seed=7)
    assert failed_over.status_code == 200
    assert "x-chuizi-ignored" not in failed_over.headers
    assert second_upstream.calls[-1]["seed"] == 7


def test_tokens_are_counted_here_where_nobody_there_counts_them(gateway, upstream):
    counted = gateway.client.post(
        "/v1/messages/count_tokens", json={"model": "openai/m", "messages": AGENT["messages"]}
    )
    assert counted.json()["input_tokens"] > 20
    assert not upstream.calls
    assert not Generation.objects.exists()


def test_a_thought_of_a_chat_model_is_sealed_and_goes_back_to_it(gateway, upstream, second_upstream):
    said = {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."}
    upstream.json = answer(choices=[{"index": 0, "message": said, "finish_reason": "stop"}])
    load_catalog(
        {
            "upstreams": [
                {"name": "chat", "protocol": "openai", "kind": "vllm", "base_url": upstream.url, "api_key": "k"},
                {"name": "real", "protocol": "anthropic", "base_url": second_upstream.url, "api_key": "k"},
            ],
            "models": [
                {"id": "a/chat", "upstreams": ["chat"], "price": {"input": "1", "output": "1"}},
                {"id": "a/real", "upstreams": ["real"], "price": {"input": "1", "output": "1"}},
            ],
        }
    )
    gateway.look_at_catalog()
    thinking = {"thinking": {"type": "adaptive"}}
    content = gateway.chat(model="a/chat", **thinking).json()["content"]
    assert [block["type"] for block in content] == ["thinking", "text"]
    assert gateway.chat(model="a/chat").json()["content"] == content[1:]
    forged = {**content[0], "thinking": "Something else."}
    history = [
        {"role": "user", "content": "Really?"},
        {"role": "assistant", "content": [*content, forged]},
        {"role": "user", "content": "Sure?"},
    ]
    gateway.chat(model="a/chat", messages=history, **thinking)
    assert upstream.calls[-1]["messages"][1] == said
    second_upstream.json = MESSAGES.told
    gateway.chat(model="a/real", messages=history, **thinking)
    assert second_upstream.calls[-1]["messages"][1]["content"] == content[1:]


def test_a_field_that_an_upstream_does_not_take_is_left_out_and_named(gateway, upstream):
    seen = []

    async def picky(request: Any) -> Any:
        from aiohttp import web

        body = orjson.loads(await request.read())
        seen.append("reasoning_effort" in body)
        if "reasoning_effort" in body:
            words = "Unrecognized request argument supplied: reasoning_effort"
            return web.json_response({"error": {"message": words, "type": "invalid_request_error"}}, status=400)
        return web.json_response(answer())

    upstream.handler = picky
    for _ in range(2):
        told = gateway.chat(output_config={"effort": "low"})
        assert (told.status_code, told.headers["x-chuizi-ignored"]) == (200, "output_config.effort")
    assert seen == [True, False, False]


def test_parallel_calls_are_told_one_after_the_other(gateway, upstream):
    def piece(index: int, text: str, **more: Any) -> bytes:
        return chunk({"tool_calls": [{"index": index, **more, "function": {"arguments": text, **more.get("f", {})}}]})

    begun = [
        chunk({"tool_calls": [{"index": at, "id": f"call:{at}", "function": {"name": "f", "arguments": ""}}]})
        for at in range(3)
    ]
    upstream.events = [
        *begun,
        *(piece(0, '{"a":'), piece(1, '{"b"'), piece(0, "1}"), piece(1, ":2}")),
        *(chunk({}, finish="stop"), chunk(None, usage=usage()), b"data: [DONE]\n\n"),
    ]
    with gateway.stream() as response:
        events = CHAT.events_in(response.read().decode())
    kinds = [(one["type"], one.get("index")) for one in events]
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    assert [kind for kind, index in kinds if index == 2] == block
    assert [index for _kind, index in kinds if index is not None] == sorted(
        index for _kind, index in kinds if index is not None
    )
    pieces = [one["delta"]["partial_json"] for one in events if one["type"] == "content_block_delta"]
    assert "".join(pieces) == '{"a":1}{"b":2}{}'
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
    ids = [one["content_block"]["id"] for one in events if one["type"] == "content_block_start"]
    assert all(id.replace("_", "").isalnum() for id in ids)
    assert len({*ids}) == 3


def test_the_head_estimates_the_input_and_the_end_corrects_it(gateway):
    with gateway.stream() as response:
        events = CHAT.events_in(response.read().decode())
    assert events[0]["message"]["usage"]["input_tokens"] > 0
    assert events[0]["message"]["id"].startswith("msg_")
    assert events[-2]["usage"]["input_tokens"] == 20


@on_messages
def test_an_error_of_the_other_protocol_comes_in_the_callers(gateway, upstream):
    upstream.json = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    failed = gateway.chat()
    assert failed.status_code == 503
    assert failed.json()["error"]["code"] == "provider_unavailable"
    upstream.events = [*text_events("Hi"), event("error", error={"type": "api_error", "message": "It broke."})]
    with gateway.stream() as response:
        events = CHAT.events_in(response.read().decode())
    assert events[-1]["error"]["code"] == "provider_error"

"""OpenAI's client at Responses, where the model's upstream has chat alone or speaks Messages; and the other clients
where it has Responses alone. The sandbox takes back no thought that it did not give out."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import anthropic
import openai
import orjson
import pytest

from proxy.prices.loading import load_catalog
from tests.proxy.conftest import Gateway, only_generation, wait_for

PRICE = {"input": "3", "output": "15", "cache_read": "0.3", "cache_write": "3.75", "cache_write_1h": "6"}
ON_CHAT, ON_MESSAGES, ON_RESPONSES = "openai/on-chat", "anthropic/claude-sonnet-4-6", "openai/on-responses"
LOOK = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": False}
EXEC = {"type": "custom", "name": "exec", "description": "Run it."}
elsewhere = pytest.mark.parametrize("model", [ON_CHAT, ON_MESSAGES])


@pytest.fixture
def translating(gateway: Gateway, upstream: Any) -> Gateway:
    there = {"base_url": upstream.url, "api_key": "sk-upstream-sandbox"}
    upstreams = [
        {"name": "chat", "protocol": "openai", "kind": "vllm", "paths": ["chat"], **there},
        {"name": "messages", "protocol": "anthropic", **there},
        {"name": "responses", "protocol": "openai", "paths": ["responses"], **there},
    ]
    models = [
        {"id": model, "upstreams": [name], "price": PRICE, "max_output_tokens": 4096}
        for model, name in ((ON_CHAT, "chat"), (ON_MESSAGES, "messages"), (ON_RESPONSES, "responses"))
    ]
    load_catalog({"upstreams": upstreams, "models": models})
    gateway.look_at_catalog()
    return gateway


@pytest.fixture
def client(translating: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{translating.url}/v1", api_key=translating.key, max_retries=0) as client:
        yield client


@pytest.fixture
def claude(translating: Gateway) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=translating.url, api_key=translating.key, max_retries=0) as client:
        yield client


@elsewhere
def test_an_answer_says_what_it_cost_and_that_nothing_is_stored(client, model):
    answer = client.responses.create(model=model, input="What is a ledger?", max_output_tokens=20)
    assert "sandbox model" in answer.output_text
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert (answer.usage.output_tokens, answer.store) == (20, False)
    assert Decimal(str(answer.usage.cost)) == wait_for("metered").cost > 0
    assert answer.id == f"resp_{answer.x_chuizi['generation_id'].removeprefix('gen-')}"
    assert only_generation().usage_source == "upstream"


@elsewhere
def test_a_stream_is_put_together_to_the_same(client, model):
    asked = {"model": model, "input": "What is a ledger?", "reasoning": {"effort": "low", "summary": "auto"}}
    with client.responses.stream(**asked) as stream:
        events = list(stream)
        whole = stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert said == whole.output_text != ""
    assert events[-1].type == "response.completed"
    assert Decimal(str(whole.usage.cost)) > 0
    if model == ON_MESSAGES:
        assert [item.type for item in whole.output] == ["reasoning", "message"]


@elsewhere
@pytest.mark.parametrize("is_streamed", [False, True])
def test_tools_are_called_and_their_results_and_thoughts_go_back(client, model, is_streamed):
    group = {"type": "namespace", "name": "functions", "description": "All of them.", "tools": [LOOK]}
    asked: dict[str, Any] = {"model": model, "tools": [EXEC, group], "reasoning": {"effort": "low"}}
    turns: list[Any] = [{"role": "user", "content": "Look."}]
    for choice in ({"type": "function", "name": "look"}, {"type": "custom", "name": "exec"}):
        if is_streamed:
            with client.responses.stream(**asked, input=turns, tool_choice=choice) as stream:
                output = [event.item for event in stream if event.type == "response.output_item.done"]
                assert [item.id for item in stream.get_final_response().output] == [item.id for item in output]
        else:
            output = client.responses.create(**asked, input=turns, tool_choice=choice).output
        call = output[-1]
        kinds = {"function": "function_call", "custom": "custom_tool_call"}
        assert (call.type, call.name) == (kinds[choice["type"]], choice["name"])
        assert call.namespace == ("functions" if choice["name"] == "look" else None)
        turns += [item.to_dict() for item in output]
        turns.append({"type": f"{call.type}_output", "call_id": call.call_id, "output": "A book."})
    assert client.responses.create(**asked, input=turns).output_text


@elsewhere
def test_what_is_stored_cannot_be_referred_to(client, model):
    for field, value in (("background", True), ("conversation", "conv_1")):
        with pytest.raises(openai.BadRequestError) as refused:
            client.responses.create(model=model, input="Hi", **{field: value})
        assert refused.value.param == field
    hinted = client.responses.with_raw_response.create(model=model, input="Hi", store=True, user="u")
    assert hinted.headers["x-chuizi-ignored"] == "user, store"


def test_tokens_are_counted_here(client):
    assert client.responses.input_tokens.count(model=ON_MESSAGES, input="What is a ledger?").input_tokens > 0


def test_a_client_of_chat_gets_thoughts_and_calls_of_an_upstream_that_has_responses_alone(client):
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    asked: dict[str, Any] = {"model": ON_RESPONSES, "tools": [tool], "reasoning_effort": "low"}
    turns: list[Any] = [{"role": "user", "content": "Look."}]
    first = client.chat.completions.create(**asked, messages=turns, tool_choice="required")
    message = first.choices[0].message
    assert message.tool_calls[0].function.name == "look"
    assert message.reasoning_content
    turns += [message.to_dict(), {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "A book."}]
    chunks = list(client.chat.completions.create(**asked, messages=turns, stream=True))
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert Decimal(str(chunks[-1].usage.cost)) > 0


def test_a_client_of_messages_gets_them_too(claude):
    tool = {"name": "look", "input_schema": {"type": "object"}}
    thinking = {"type": "enabled", "budget_tokens": 1024}
    asked: dict[str, Any] = {"model": ON_RESPONSES, "max_tokens": 2048, "tools": [tool], "thinking": thinking}
    turns: list[Any] = [{"role": "user", "content": "Look."}]
    first = claude.messages.create(**asked, messages=turns, tool_choice={"type": "any"})
    assert [block.type for block in first.content] == ["thinking", "tool_use"]
    result = {"type": "tool_result", "tool_use_id": first.content[1].id, "content": "A book."}
    turns += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    with claude.messages.stream(**asked, messages=turns) as stream:
        whole = stream.get_final_message()
    assert [block.type for block in whole.content] == ["thinking", "text"]
    assert whole.usage.output_tokens > 0


def codex(*, model: str) -> dict[str, Any]:
    """As Codex asks of a model that it does not know: 41 kB."""
    tools = [{**LOOK, "name": f"tool_{number}", "description": "It does this. " * 120} for number in range(20)]
    agents = {"type": "namespace", "name": "multi_agent_v1", "description": "Agents.", "tools": [LOOK]}
    words = {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be careful. " * 200}]}
    return {
        "model": model,
        "instructions": "You are a coding agent. " * 100,
        "input": [words, {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go"}]}],
        "tools": [*tools, agents, {"type": "web_search", "external_web_access": False}],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "0199a213-81a0-7800-8aa0-2f1d1f9c1c1b",
        "client_metadata": {"x-codex-installation-id": "a"},
        "text": {"verbosity": "medium"},
    }


@elsewhere
def test_codex_runs_on_it(translating, model):
    body = codex(model=model)
    assert len(orjson.dumps(body)) > 41_000
    answer = translating.client.post("/v1/responses", json=body)
    assert answer.status_code == 200
    assert answer.headers["x-chuizi-removed"] == "web_search"
    ignored = ["client_metadata", "text.verbosity", *(["prompt_cache_key"] if model == ON_CHAT else [])]
    assert answer.headers["x-chuizi-ignored"] == ", ".join(ignored)
    events = [orjson.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert events[-1]["type"] == "response.completed"
    assert len(events[0]["response"]["tools"]) == 21
    usage = events[-1]["response"]["usage"]
    assert usage["input_tokens"] > 5_000
    if model == ON_MESSAGES:
        assert usage["input_tokens_details"]["cache_write_tokens"] > 5_000
        turns = [*body["input"], *events[-1]["response"]["output"], {"role": "user", "content": "Go on."}]
        again = translating.client.post("/v1/responses", json={**body, "stream": False, "input": turns}).json()["usage"]
        assert again["input_tokens_details"]["cached_tokens"] > 5_000
        assert again["cost"] < usage["cost"]

"""OpenAI's and Anthropic's own clients on models whose upstream speaks the other's protocol."""

import asyncio
from collections.abc import Iterator

import anthropic
import openai
import pytest

from tests.proxy.conftest import Gateway

CLAUDE, CHAT = "anthropic/claude-sonnet-4-6", "gpt-4.1-nano"
ASKED = [{"role": "user", "content": "What is a ledger?"}]
SCHEMA = {"type": "object", "properties": {"at": {"type": "string"}}}
LOOK = {"name": "look", "description": "Look at something.", "input_schema": SCHEMA}
LOOK_THERE = {"type": "function", "function": {"name": "look", "parameters": SCHEMA}}


@pytest.fixture
def on_claude(served: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0) as client:
        yield client


@pytest.fixture
def on_chat(served: Gateway) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=served.url, api_key=served.key, max_retries=0) as client:
        yield client


def test_openais_client_thinks_with_claude_and_calls_a_tool(on_claude):
    said = on_claude.chat.completions.create(model=CLAUDE, messages=ASKED, max_tokens=2000, reasoning_effort="low")
    message = said.choices[0].message
    assert message.reasoning_content
    [detail] = message.reasoning_details
    assert detail["signature"]
    assert said.usage.cost > 0
    history = [*ASKED, message.model_dump(exclude_none=True), {"role": "user", "content": "Look."}]
    with on_claude.chat.completions.stream(
        model=CLAUDE, messages=history, tools=[LOOK_THERE], tool_choice="required", max_tokens=500
    ) as stream:
        called = stream.get_final_completion().choices[0].message
    [call] = called.tool_calls
    assert (call.function.name, call.function.arguments) == ("look", "{}")
    results = [{"role": "tool", "tool_call_id": call.id, "content": "The sky."}]
    again = [*history, called.model_dump(exclude_none=True, exclude={"parsed"}), *results]
    for message in again:
        for call in message.get("tool_calls", ()):
            call["function"].pop("parsed_arguments", None)
    answer = on_claude.chat.completions.create(model=CLAUDE, messages=again, tools=[LOOK_THERE], max_tokens=50)
    assert answer.choices[0].finish_reason in ("stop", "length")


def test_openais_client_asks_claude_for_a_structure(on_claude):
    shape = {"type": "json_schema", "json_schema": {"name": "where", "schema": SCHEMA, "strict": True}}
    said = on_claude.chat.completions.create(model=CLAUDE, messages=ASKED, response_format=shape, max_tokens=30)
    assert said.choices[0].message.content


def test_openais_asynchronous_client_streams_from_claude(served):
    async def run() -> tuple[str, object]:
        async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0) as client:
            stream = await client.chat.completions.create(
                model=CLAUDE, messages=ASKED, max_tokens=60, stream=True, stream_options={"include_usage": True}
            )
            chunks = [chunk async for chunk in stream]
        return "".join(one.delta.content or "" for chunk in chunks for one in chunk.choices), chunks[-1].usage

    said, usage = asyncio.run(run())
    assert "sandbox model" in said
    assert usage.completion_tokens == 60


def test_anthropics_client_talks_to_a_chat_model(on_chat):
    answer = on_chat.messages.create(model=CHAT, max_tokens=60, messages=ASKED, system="Be brief.")
    assert "sandbox model" in answer.content[0].text
    assert (answer.stop_reason, answer.usage.output_tokens) == ("max_tokens", 60)
    assert answer.usage.cost > 0
    with on_chat.messages.stream(model=CHAT, max_tokens=60, messages=ASKED) as stream:
        said = "".join(stream.text_stream)
    assert said == answer.content[0].text
    assert on_chat.messages.count_tokens(model=CHAT, messages=ASKED).input_tokens > 5


def test_anthropics_client_has_a_chat_model_call_a_tool(on_chat):
    with on_chat.messages.stream(
        model=CHAT, max_tokens=60, messages=ASKED, tools=[LOOK], tool_choice={"type": "tool", "name": "look"}
    ) as stream:
        answer = stream.get_final_message()
    [use] = answer.content
    assert (answer.stop_reason, use.name, use.input) == ("tool_use", "look", {})
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "The sky.", "is_error": True}
    history = [*ASKED, {"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}]
    answer = on_chat.messages.create(model=CHAT, max_tokens=60, messages=history, tools=[LOOK])
    assert answer.content[0].text
    structured = on_chat.messages.create(
        model=CHAT,
        max_tokens=60,
        messages=ASKED,
        output_config={"format": {"type": "json_schema", "schema": {**SCHEMA, "additionalProperties": False}}},
    )
    assert structured.content[0].text


def test_what_cannot_be_carried_is_an_error_of_the_client(on_claude, on_chat):
    with pytest.raises(openai.BadRequestError, match="logit_bias"):
        on_claude.chat.completions.create(model=CLAUDE, messages=ASKED, logit_bias={"1": 1})
    with pytest.raises(anthropic.BadRequestError, match="prefill"):
        on_chat.messages.create(model=CHAT, max_tokens=9, messages=[*ASKED, {"role": "assistant", "content": "A"}])

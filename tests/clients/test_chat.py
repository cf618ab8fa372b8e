"""OpenAI's own client on chat: answers, streams, tools, what was described, errors; and the same without blocking."""

import asyncio
import json
from collections.abc import Iterator

import openai
import pytest

from proxy.models import Generation
from tests.proxy.conftest import Gateway

MODEL = "openai/gpt-4.1-nano"
ASKED = [{"role": "user", "content": "What is a ledger?"}]
TASK = [{"role": "user", "content": 'Create the file /tmp/a with the text "Hello."'}]
WRITE = {
    "type": "function",
    "function": {
        "name": "write_file",
        "parameters": {"type": "object", "properties": {"path": {"type": "string"}, "content": {"type": "string"}}},
    },
}


class Answer(openai.BaseModel):
    answer: str
    parts: list[int]


@pytest.fixture
def client(demo: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{demo.url}/v1", api_key=demo.key, max_retries=0) as client:
        yield client


def test_an_answer_and_a_stream_say_the_same_and_what_they_cost(client):
    whole = client.chat.completions.create(model=MODEL, messages=ASKED)
    assert "sandbox model" in whole.choices[0].message.content
    assert whole.usage.cost > 0
    with client.chat.completions.stream(
        model=MODEL, messages=ASKED, stream_options={"include_usage": True}, extra_headers={"X-Session-Id": "s1"}
    ) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert "".join(deltas) == whole.choices[0].message.content
    assert final.usage.completion_tokens == whole.usage.completion_tokens
    assert list(Generation.objects.order_by("pk").values_list("session", flat=True)) == [None, "s1"]


def test_a_tool_is_called_and_its_result_answered(client):
    asked = {"model": MODEL, "tools": [WRITE]}
    with client.chat.completions.stream(messages=TASK, **asked) as stream:
        streamed = stream.get_final_completion().choices[0]
    whole = client.chat.completions.create(messages=TASK, **asked).choices[0]
    for said in (streamed, whole):
        [call] = said.message.tool_calls
        assert said.finish_reason == "tool_calls"
        assert json.loads(call.function.arguments) == {"path": "/tmp/a", "content": "Hello.\n"}
        turns = [*TASK, said.message, {"role": "tool", "tool_call_id": call.id, "content": "done"}]
        assert client.chat.completions.create(messages=turns, **asked).choices[0].message.content == "I created /tmp/a."


def test_an_answer_fits_what_was_described(client):
    answer = client.chat.completions.parse(model=MODEL, messages=ASKED, response_format=Answer)
    assert answer.choices[0].message.parsed == Answer(answer="yes", parts=[1])


def test_errors_are_the_clients_own_kinds(client):
    for asked, error, code in (
        ({"model": "openai/none"}, openai.NotFoundError, "model_not_found"),
        ({"messages": []}, openai.BadRequestError, "validation_error"),
        ({"extra_body": {"sandbox": {"fault": "400"}}}, openai.BadRequestError, "context_length_exceeded"),
        ({"extra_body": {"sandbox": {"fault": "500"}}}, openai.InternalServerError, "provider_error"),
    ):
        with pytest.raises(error) as caught:
            client.chat.completions.create(**{"model": MODEL, "messages": ASKED, **asked})
        assert caught.value.code == code
        assert caught.value.request_id.startswith("req-")


def test_the_async_client_does_the_same(demo):
    async def ask() -> tuple[str, str]:
        async with openai.AsyncOpenAI(base_url=f"{demo.url}/v1", api_key=demo.key) as client:
            whole = await client.chat.completions.create(model=MODEL, messages=ASKED)
            said = ""
            async for chunk in await client.chat.completions.create(model=MODEL, messages=ASKED, stream=True):
                said += "".join(choice.delta.content or "" for choice in chunk.choices)
            return str(whole.choices[0].message.content), said

    whole, said = asyncio.run(ask())
    assert whole == said != ""

"""OpenAI's own client at Responses."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal

import openai
import pytest

from tests.proxy.conftest import Gateway, wait_for

MODEL = "openai/gpt-4.1-nano"
LOOK = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}, "strict": False}
EXEC = {"type": "custom", "name": "exec", "format": {"type": "text"}}


class Nothing(openai.BaseModel):
    """What the sandbox's `{}` can be read as."""


@pytest.fixture
def client(served: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0) as client:
        yield client


def test_an_answer_with_its_cost_and_the_same_as_a_stream(client):
    whole = client.responses.create(model=MODEL, input="hello")
    assert whole.output_text
    assert whole.id.startswith("resp_")
    assert Decimal(str(whole.usage.cost)) == wait_for("metered").cost == Decimal(whole.x_chuizi["cost"]) > 0
    with client.responses.stream(model=MODEL, input="hello") as stream:
        said = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        last = stream.get_final_response()
    assert said == last.output_text == whole.output_text
    assert (last.usage.cost, last.usage.output_tokens) == (whole.usage.cost, whole.usage.output_tokens)


def test_a_limit_ends_it_as_incomplete(client):
    events = list(client.responses.create(model=MODEL, input="hello", max_output_tokens=16, stream=True))
    last = events[-1]
    assert (last.type, last.response.incomplete_details.reason) == ("response.incomplete", "max_output_tokens")
    assert last.response.x_chuizi["generation_id"].startswith("gen-")
    assert [event.sequence_number for event in events] == list(range(len(events)))


@pytest.mark.parametrize(("tool", "kind"), [(LOOK, "function_call"), (EXEC, "custom_tool_call")])
def test_a_tool_is_called_in_pieces_and_its_result_goes_back_with_sealed_reasoning(client, tool, kind):
    sealed = {"reasoning": {"effort": "low"}, "include": ["reasoning.encrypted_content"], "store": False}
    asked = {"model": MODEL, "tools": [tool], **sealed}
    with client.responses.stream(**asked, input="hello", tool_choice="required") as stream:
        pieces = [event.delta for event in stream if event.type.endswith(("arguments.delta", "tool_call_input.delta"))]
        thought, call = stream.get_final_response().output
    assert (thought.type, call.type) == ("reasoning", kind)
    assert "".join(pieces) == (call.arguments if kind == "function_call" else call.input)
    result = {"type": f"{kind}_output", "call_id": call.call_id, "output": "blue"}
    turns = [
        {"role": "user", "content": "hello"},
        *(one.model_dump(exclude_none=True) for one in (thought, call)),
        result,
    ]
    for turn in turns[1:3]:
        for name in ("status", "parsed_arguments"):
            turn.pop(name, None)
    assert client.responses.create(**asked, input=turns).output_text
    turns[1]["encrypted_content"] = "gAAAAforeign"
    with pytest.raises(openai.BadRequestError, match="could not be verified"):
        client.responses.create(**asked, input=turns)


def test_a_structure_is_parsed(client):
    assert client.responses.parse(model=MODEL, input="hello", text_format=Nothing).output_parsed == Nothing()


def test_a_context_is_summed_up_and_goes_on_and_its_tokens_are_counted(client):
    asked = [{"role": "user", "content": "hello"}]
    count = client.responses.input_tokens.count(model=MODEL, input=asked)
    compacted = client.responses.compact(model=MODEL, input=asked)
    assert compacted.usage.input_tokens == count.input_tokens
    assert compacted.usage.cost > 0
    turns = compacted.model_dump(exclude_none=True, warnings=False)["output"]
    assert client.responses.create(model=MODEL, input=[*turns, *asked]).output_text


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"previous_response_id": "resp_none"}, openai.NotFoundError),
        ({"model": "openai/none"}, openai.NotFoundError),
        ({"extra_body": {"sandbox": {"fault": "400"}}}, openai.BadRequestError),
        ({"extra_body": {"sandbox": {"fault": "500"}}}, openai.InternalServerError),
        ({"extra_body": {"sandbox": {"fault": "failed"}}, "stream": True}, openai.InternalServerError),
    ],
)
def test_errors_are_the_clients_own_kinds_with_our_words(client, asked, error):
    with pytest.raises(error) as raised:
        client.responses.create(**{"model": MODEL, "input": "hello", **asked})
    assert raised.value.body["message"]
    assert raised.value.request_id.startswith("req-")


def test_an_error_in_the_middle_of_a_stream_is_raised(client):
    body = {"sandbox": {"fault": "error-in-stream"}}
    stream = client.responses.create(model=MODEL, input="hello", stream=True, extra_body=body)
    with pytest.raises(openai.APIError, match="The server had an error"):
        list(stream)


def test_the_async_client_does_the_same(served):
    async def ask() -> tuple[str, str]:
        async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key=served.key) as client:
            whole = await client.responses.create(model=MODEL, input="hello")
            async with client.responses.stream(model=MODEL, input="hello") as stream:
                said = (await stream.get_final_response()).output_text
            return whole.output_text, said

    whole, said = asyncio.run(ask())
    assert whole == said != ""

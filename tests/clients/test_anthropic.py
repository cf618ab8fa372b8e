"""The official Anthropic client before the running whole, with the settings that its page gives."""

import asyncio

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic

from tests.running import Running

MODEL = "anthropic/claude-sonnet-4-6"
ASKED = [{"role": "user", "content": "What is a ledger?"}]
LOOK = {
    "name": "look",
    "description": "Look at something.",
    "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}},
}


@pytest.fixture(scope="module")
def new_key(running: Running) -> str:
    """Of a customer of its own, with the welcome credit: nobody else's balance moves."""
    made = running.manage("create_customer", "--email", "clients@example.com")
    assert made.returncode == 0, made.stderr
    return running.manage("issue_key", "--email", "clients@example.com", "--name", "a").stdout.splitlines()[-1]


@pytest.fixture
def client(running: Running, new_key: str):
    with Anthropic(base_url=running.url, api_key=new_key, max_retries=0) as made:
        yield made


def text_of(message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_an_answer_says_what_it_cost(client):
    answer = client.messages.create(model=MODEL, max_tokens=60, messages=ASKED)
    assert "sandbox model" in text_of(answer)
    assert (answer.stop_reason, answer.usage.output_tokens) == ("max_tokens", 60)
    assert answer.usage.cost > 0
    assert answer.x_chuizi["generation_id"].startswith("gen-")
    assert answer._request_id.startswith("req-")


def test_a_stream_is_put_together_to_the_same(client):
    with client.messages.stream(model=MODEL, max_tokens=60, messages=ASKED) as stream:
        said = "".join(stream.text_stream)
        whole = stream.get_final_message()
    assert said == text_of(whole) != ""
    assert whole.usage.output_tokens == 60
    assert stream.response.headers["x-generation-id"].startswith("gen-")


def test_the_raw_events_tell_the_cost_on_the_last_but_one(client):
    events = list(client.messages.create(model=MODEL, max_tokens=20, messages=ASKED, stream=True))
    assert [event.type for event in events[-2:]] == ["message_delta", "message_stop"]
    assert events[-2].usage.cost > 0
    assert events[-2].x_chuizi["generation_id"].startswith("gen-")


def test_a_tool_is_called_and_its_result_answered(client):
    called = client.messages.create(
        model=MODEL, max_tokens=60, messages=ASKED, tools=[LOOK], tool_choice={"type": "any"}
    )
    [use] = called.content
    assert (called.stop_reason, use.type, use.name) == ("tool_use", "tool_use", "look")
    result = {"type": "tool_result", "tool_use_id": use.id, "content": [{"type": "text", "text": "A book."}]}
    turns = [*ASKED, {"role": "assistant", "content": called.content}, {"role": "user", "content": [result]}]
    answer = client.messages.create(model=MODEL, max_tokens=60, messages=turns, tools=[LOOK])
    assert text_of(answer)


def test_thinking_comes_back_in_the_next_turn(client):
    thinking = {"type": "enabled", "budget_tokens": 1024}
    first = client.messages.create(model=MODEL, max_tokens=2048, messages=ASKED, thinking=thinking)
    assert [block.type for block in first.content] == ["thinking", "text"]
    turns = [*ASKED, {"role": "assistant", "content": first.content}, {"role": "user", "content": "Go on."}]
    assert text_of(client.messages.create(model=MODEL, max_tokens=2048, messages=turns, thinking=thinking))


def test_a_cache_is_written_in_the_first_turn_and_read_in_the_next(client):
    system = [{"type": "text", "text": "Be brief. " * 50, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    first = client.messages.create(model=MODEL, max_tokens=20, messages=ASKED, system=system)
    turns = [*ASKED, {"role": "assistant", "content": text_of(first)}, {"role": "user", "content": "Go on."}]
    second = client.messages.create(model=MODEL, max_tokens=20, messages=turns, system=system)
    assert first.usage.cache_creation.ephemeral_1h_input_tokens > 100
    assert second.usage.cache_read_input_tokens > 100
    assert second.usage.cost < first.usage.cost / 2


def test_betas_and_counting_and_the_list_of_models(client):
    beta = client.beta.messages.create(
        model=MODEL, max_tokens=20, messages=ASKED, betas=["interleaved-thinking-2025-05-14"]
    )
    assert text_of(beta)
    assert client.messages.count_tokens(model=MODEL, messages=ASKED).input_tokens > 0
    ids = [model.id for model in client.models.list(limit=5)]
    assert {"claude-sonnet-4-6", MODEL} <= set(ids)
    assert client.models.retrieve(MODEL).display_name


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"max_tokens": 0}, anthropic.BadRequestError),
        ({"model": "anthropic/none"}, anthropic.NotFoundError),
        ({"extra_body": {"sandbox": {"fault": "400"}}}, anthropic.BadRequestError),
        ({"extra_body": {"sandbox": {"fault": "500"}}}, anthropic.InternalServerError),
    ],
)
def test_errors_are_the_clients_own_kinds_with_our_words(client, asked, error):
    with pytest.raises(error) as raised:
        client.messages.create(**{"model": MODEL, "max_tokens": 20, "messages": ASKED, **asked})
    assert raised.value.body["type"] == "error"
    assert raised.value.request_id.startswith("req-")


def test_a_wrong_key_is_refused_once(running):
    client = Anthropic(base_url=running.url, api_key="ck-" + "A" * 32)
    with client, pytest.raises(anthropic.AuthenticationError):
        client.messages.create(model=MODEL, max_tokens=20, messages=ASKED)


def test_the_async_client_does_the_same_also_under_its_own_root(running, new_key):
    async def ask() -> tuple[str, str]:
        async with AsyncAnthropic(base_url=f"{running.url}/anthropic", api_key=new_key) as client:
            whole = await client.messages.create(model="claude-sonnet-4-6", max_tokens=20, messages=ASKED)
            said = ""
            async with client.messages.stream(model=MODEL, max_tokens=20, messages=ASKED) as stream:
                async for piece in stream.text_stream:
                    said += piece
            return text_of(whole), said

    whole, said = asyncio.run(ask())
    assert whole == said != ""

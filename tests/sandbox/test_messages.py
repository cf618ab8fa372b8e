"""The stand-in for a model behind Anthropic's protocol, driven by the official client."""

import anthropic
import pytest

ASKED = [{"role": "user", "content": "What is a ledger?"}]
MARKED = [{"type": "text", "text": "Be brief. " * 50, "cache_control": {"type": "ephemeral"}}]


@pytest.fixture
def client(sandbox):
    url = sandbox.upstream_url.removesuffix("/v1")
    headers = {"x-api-key": "sk-upstream-sandbox"}
    with anthropic.Anthropic(base_url=url, api_key="-", default_headers=headers, max_retries=0, timeout=5) as made:
        yield made


def ask(client, **more):
    return client.messages.create(**{"model": "claude", "max_tokens": 50, "messages": ASKED, **more})


def test_an_answer_and_its_stream_are_the_same(client):
    whole = ask(client)
    with client.messages.stream(model="claude", max_tokens=50, messages=ASKED) as stream:
        streamed = stream.get_final_message()
    assert whole.content[0].text == streamed.content[0].text
    assert (whole.usage.output_tokens, whole.stop_reason) == (50, "max_tokens")
    assert (
        whole.usage.input_tokens
        == streamed.usage.input_tokens
        == client.messages.count_tokens(model="claude", messages=ASKED).input_tokens
    )


def test_it_thinks_and_calls_tools_where_it_is_asked_to(client):
    thinking = ask(client, max_tokens=2000, thinking={"type": "enabled", "budget_tokens": 1024})
    assert [block.type for block in thinking.content] == ["thinking", "text"]
    tool = {"name": "look", "input_schema": {"type": "object"}}
    called = ask(client, tools=[tool], tool_choice={"type": "tool", "name": "look"})
    assert (called.content[0].name, called.content[0].input) == ("look", {})


def test_a_marked_prompt_is_written_and_then_read(client):
    first = ask(client, system=MARKED)
    turns = [*ASKED, {"role": "assistant", "content": "A book."}, *ASKED]
    second = ask(client, system=MARKED, messages=turns)
    assert first.usage.cache_creation_input_tokens > 100
    assert second.usage.cache_read_input_tokens > first.usage.cache_creation_input_tokens


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("400", anthropic.BadRequestError),
        ("401", anthropic.AuthenticationError),
        ("429", anthropic.RateLimitError),
        ("500", anthropic.InternalServerError),
        ("529", anthropic.InternalServerError),
    ],
)
def test_faults_are_the_clients_own_errors(client, fault, error):
    with pytest.raises(error):
        ask(client, model=f"fault-{fault}")


def test_what_it_needs_it_says(client):
    with pytest.raises(anthropic.AuthenticationError):
        ask(client, extra_headers={"x-api-key": "sk-bad"})
    with pytest.raises(anthropic.BadRequestError, match="budget_tokens"):
        ask(client, thinking={"type": "enabled", "budget_tokens": 1024})

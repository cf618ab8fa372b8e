"""The stand-in for a model, driven by the official OpenAI client."""

import math
import time

import openai
import pytest

ENGLISH = [{"role": "user", "content": "What is a ledger?"}]
CHINESE = [{"role": "user", "content": "什么是账本？"}]


@pytest.fixture
def client(sandbox):
    with openai.OpenAI(base_url=sandbox.upstream_url, api_key="sk-upstream-sandbox", max_retries=0, timeout=5) as made:
        yield made


def ask(client, model="gpt-4.1-nano", messages=ENGLISH, **more):
    return client.chat.completions.create(model=model, messages=messages, **more)


def streamed(client, **more):
    """The text, the finish reason, and the usages that came."""
    text, finish, usages = "", None, []
    for chunk in ask(client, stream=True, **more):
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
        if chunk.usage:
            usages.append((chunk.usage, chunk.choices))
    return text, finish, usages


def test_an_answer_is_in_the_language_of_the_question_and_says_what_it_is(client):
    english = ask(client).choices[0].message.content
    assert "sandbox model" in english
    assert "What is a ledger?" in english
    chinese = ask(client, messages=CHINESE).choices[0].message.content
    assert "沙盒模型" in chinese
    assert "什么是账本？" in chinese


def test_usage_follows_the_stated_formula(client):
    answer = ask(client)
    # 3 for the prompt, 4 for the message, a token for each four characters of "What is a ledger?" (17).
    assert answer.usage.prompt_tokens == 3 + 4 + math.ceil(17 / 4)
    assert answer.usage.completion_tokens == math.ceil(len(answer.choices[0].message.content) / 4)
    assert ask(client, messages=CHINESE).usage.prompt_tokens == 3 + 4 + 6
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_an_output_limit_is_kept(client):
    answer = ask(client, max_tokens=5)
    assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("length", 5)
    assert ask(client, max_completion_tokens=7).usage.completion_tokens == 7
    long = ask(client, extra_body={"sandbox": {"tokens": 1000}})
    assert (long.usage.completion_tokens, long.choices[0].finish_reason) == (1000, "stop")


def test_a_stream_says_the_same_as_the_json_answer_and_ends_with_its_usage(client):
    whole = ask(client)
    text, finish, usages = streamed(client, stream_options={"include_usage": True})
    assert text == whole.choices[0].message.content
    assert finish == "stop"
    [(usage, choices)] = usages
    assert choices == []
    assert usage.completion_tokens == whole.usage.completion_tokens
    assert streamed(client)[2] == []


def test_several_choices_are_all_counted(client):
    one, three = ask(client), ask(client, n=3)
    assert len(three.choices) == 3
    assert three.usage.completion_tokens == 3 * one.usage.completion_tokens


def test_a_demanded_tool_is_called(client):
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    answer = ask(client, tools=tools, tool_choice="required")
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.tool_calls[0].function.name == "look"


def test_models_are_listed_and_a_bad_key_is_401(sandbox, client):
    assert "gpt-4.1-nano" in [model.id for model in client.models.list()]
    with (
        openai.OpenAI(base_url=sandbox.upstream_url, api_key="sk-bad", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        ask(stranger)
    with pytest.raises(openai.AuthenticationError):
        ask(client, extra_headers={"Authorization": "Basic eDp5"})


@pytest.mark.parametrize("body", [{"messages": []}, {"messages": [{"content": "x"}]}, {"max_tokens": 0}, {"n": 0.5}])
def test_an_odd_request_is_400(client, body):
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(**({"model": "gpt-4.1-nano", "messages": ENGLISH} | body))


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("400", openai.BadRequestError),
        ("401", openai.AuthenticationError),
        ("403", openai.PermissionDeniedError),
        ("429", openai.RateLimitError),
        ("500", openai.InternalServerError),
        ("503", openai.InternalServerError),
    ],
)
def test_a_model_may_refuse(client, name, error):
    with pytest.raises(error):
        ask(client, model=f"fault-{name}")
    with pytest.raises(error):
        ask(client, stream=True, extra_body={"sandbox": {"fault": name}})


def test_a_model_may_forget_or_inflate_its_usage(client):
    assert ask(client, model="openai/fault-no-usage").usage is None
    assert ask(client, model="fault-huge-usage").usage.prompt_tokens == 4_000_000_000
    assert ask(client, model="fault-zero-usage").usage.total_tokens == 0
    assert ask(client, extra_body={"sandbox": {"usage": {"prompt_tokens": 7}}}).usage.prompt_tokens == 7
    assert streamed(client, model="fault-no-usage", stream_options={"include_usage": True})[2] == []


def test_usage_may_come_in_the_middle_of_a_stream_or_with_each_chunk(client):
    seen = [
        (bool(chunk.usage), bool(chunk.choices))
        for chunk in ask(client, model="fault-usage-middle", stream=True, stream_options={"include_usage": True})
    ]
    assert seen.count((True, False)) == 1
    assert seen[-1] == (False, True)
    counts = [c.usage.completion_tokens for c in ask(client, model="fault-usage-each", stream=True) if c.usage]
    assert len(counts) > 5
    assert counts == sorted(counts)


@pytest.mark.parametrize("is_stream", [True, False])
def test_a_connection_may_be_cut_in_the_middle(client, is_stream):
    with pytest.raises(Exception, match=r"closed|incomplete|Connection error"):
        list(ask(client, model="fault-eof-mid-stream", stream=is_stream))


@pytest.mark.parametrize("name", ["hang", "hang-mid-stream"])
def test_a_model_may_fall_silent(sandbox, name):
    with (
        openai.OpenAI(base_url=sandbox.upstream_url, api_key="sk-x", max_retries=0, timeout=0.3) as client,
        pytest.raises(Exception, match="timed out"),
    ):
        list(ask(client, model=f"fault-{name}", stream=True))


def test_an_error_may_come_inside_a_stream(client):
    with pytest.raises(openai.APIError, match="had an error"):
        list(ask(client, model="fault-error-in-stream", stream=True))


def test_garbage_is_no_json(client):
    with pytest.raises(Exception, match=r"JSON|json|Expecting|char"):
        list(ask(client, model="fault-garbage", stream=True))
    raw = client.chat.completions.with_raw_response.create(model="fault-garbage", messages=ENGLISH)
    assert raw.text.startswith("<!doctype")


def test_calls_are_counted_and_shown_without_their_key(sandbox, client):
    ask(client)
    ask(client, max_tokens=3)
    seen = sandbox.control("GET", "/upstream")
    assert seen["calls"] == 2
    assert seen["by_model"] == {"gpt-4.1-nano": 2}
    assert seen["last"][-1]["body"]["max_tokens"] == 3
    assert "sk-upstream-sandbox" not in str(seen)
    sandbox.control("DELETE", "/upstream")
    assert sandbox.control("GET", "/upstream")["calls"] == 0


def test_chunks_come_at_the_set_pace(client):
    start = time.monotonic()
    extra = {"sandbox": {"tokens": 20, "pace_ms": 20}}
    list(ask(client, stream=True, extra_body=extra))
    assert time.monotonic() - start > 0.2

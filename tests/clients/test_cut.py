"""A stream that the balance does not cover to its end, as the official clients see it: ended at a limit of length."""

from collections.abc import Callable, Iterator
from decimal import Decimal

import anthropic
import openai
import pytest

from accounts.keys import issuing
from accounts.models import Customer
from proxy.admission import rule
from proxy.models import Generation
from tests.conftest import NOW
from tests.proxy.conftest import Gateway, settle

LONG = {"sandbox": {"tokens": 3_000}}
ASKED = [{"role": "user", "content": "What is a ledger?"}]


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rule, "OUTPUT_WINDOW_TOKENS", 300)


@pytest.fixture
def key_of(make_customer: Callable[..., Customer]) -> Callable[[str], str]:
    """A function: a key of a customer with so much, in USD."""
    return lambda funds: issuing.issue(customer=make_customer(funds, name="Poor"), name="k", now=NOW).text


@pytest.fixture
def chat(served: Gateway, key_of: Callable[[str], str]) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key=key_of("0.0006"), max_retries=0) as client:
        yield client


def cut() -> Generation:
    """The one request, which was cut and charged no more than there was."""
    [generation] = Generation.objects.all()
    assert generation.settlement_reason == "insufficient_balance"
    assert 500 < generation.output_tokens < 3_000
    assert generation.cost == generation.bound or generation.cost < generation.held
    settle()
    return generation


@pytest.mark.parametrize("with_usage", [False, True])
def test_chat_ends_by_length_with_its_usage(chat, with_usage):
    more = {"stream_options": {"include_usage": True}} if with_usage else {}
    chunks = list(
        chat.chat.completions.create(
            model="gpt-4.1-nano", messages=ASKED, max_tokens=3_000, stream=True, extra_body=LONG, **more
        )
    )
    generation = cut()
    assert [one.finish_reason for chunk in chunks for one in chunk.choices if one.finish_reason] == ["length"]
    assert chunks[-1].x_chuizi["generation_id"] == generation.pk
    assert chunks[-1].usage.completion_tokens == generation.output_tokens
    assert Decimal(str(chunks[-1].usage.cost)) == generation.cost


def test_responses_are_incomplete_for_their_limit_with_all_that_was_said(chat):
    events = list(
        chat.responses.create(
            model="gpt-4.1-nano", input="What is a ledger?", max_output_tokens=3_000, stream=True, extra_body=LONG
        )
    )
    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    whole = events[-1].response
    generation = cut()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[-1].type, whole.status) == ("response.incomplete", "incomplete")
    assert whole.incomplete_details.reason == "max_output_tokens"
    assert whole.output_text == said != ""
    assert whole.usage.output_tokens == generation.output_tokens


def test_messages_stop_for_max_tokens_with_their_usage(served, key_of):
    client = anthropic.Anthropic(base_url=served.url, api_key=key_of("0.025"), max_retries=0)
    asked = {"model": "anthropic/claude-sonnet-4-6", "max_tokens": 3_000, "messages": ASKED}
    with client, client.messages.stream(**asked, extra_body=LONG) as stream:
        said = "".join(stream.text_stream)
        whole = stream.get_final_message()
    generation = cut()
    assert (whole.stop_reason, whole.usage.output_tokens) == ("max_tokens", generation.output_tokens)
    assert whole.content[0].text == said != ""
    assert whole.usage.input_tokens == generation.input_tokens


def test_what_is_asked_next_is_refused_with_the_reason(chat):
    asked = {"model": "gpt-4.1-nano", "messages": ASKED, "max_tokens": 3_000}
    list(chat.chat.completions.create(stream=True, extra_body=LONG, **asked))
    cut()
    with pytest.raises(openai.APIStatusError, match="Top up to go on") as refused:
        chat.chat.completions.create(**asked)
    assert (refused.value.status_code, refused.value.code) == (402, "insufficient_balance")

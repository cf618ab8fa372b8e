"""What an upstream keeps, and what it works on in the background, with OpenAI's own client."""

from collections.abc import Iterator

import openai
import pytest

from accounts.keys import issuing
from billing.audit.run import audit
from billing.models import Hold
from proxy.gateway.routes import ROUTES
from proxy.kept import looking
from proxy.models import Generation, Job, Kept
from proxy.settlement.settle import settle_all
from tests.conftest import NOW
from tests.proxy.conftest import Gateway

MODEL = "openai/gpt-4.1-nano"


@pytest.fixture
def client(served: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0) as client:
        yield client


@pytest.fixture
def eve(served: Gateway, make_customer) -> Iterator[openai.OpenAI]:
    issued = issuing.issue(customer=make_customer("10", "Eve"), name="eve", now=NOW)
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key=issued.text, max_retries=0) as client:
        yield client


def test_a_conversation_goes_on_by_the_id_of_its_last_answer_and_by_those_of_items(client):
    first = client.responses.create(model=MODEL, input="hello")
    second = client.responses.create(model=MODEL, input="and then?", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    assert second.usage.input_tokens > first.usage.input_tokens + first.usage.output_tokens
    named = {"type": "item_reference", "id": first.output[0].id}
    third = client.responses.create(model=MODEL, input=[named, {"role": "user", "content": "and then?"}])
    assert third.usage.input_tokens > first.usage.output_tokens
    assert all(generation.cost <= generation.bound for generation in Generation.objects.all())
    with client.responses.stream(model=MODEL, input="?", previous_response_id=second.id) as stream:
        last = stream.get_final_response()
    assert client.responses.retrieve(last.id).output_text == last.output_text
    assert not Generation.objects.filter(is_flagged=True).exists()


def test_what_is_kept_is_read_listed_and_deleted_by_its_customer_alone(client, eve):
    made = client.responses.create(model=MODEL, input="hello")
    assert client.responses.retrieve(made.id).output_text == made.output_text
    items = client.responses.input_items.list(made.id, limit=1, order="asc")
    assert items.data[0].content == "hello"
    for act in (
        lambda: eve.responses.retrieve(made.id),
        lambda: eve.responses.input_items.list(made.id),
        lambda: eve.responses.delete(made.id),
        lambda: eve.responses.cancel(made.id),
        lambda: eve.responses.create(model=MODEL, input="x", previous_response_id=made.id),
        lambda: eve.responses.create(model=MODEL, input=[{"type": "item_reference", "id": made.output[0].id}]),
        lambda: eve.responses.create(model=MODEL, input=[{"type": "image_generation_call", "id": made.output[0].id}]),
    ):
        with pytest.raises(openai.NotFoundError) as refused:
            act()
        assert refused.value.code == "not_found"
    with pytest.raises(openai.BadRequestError, match="background"):
        client.responses.cancel(made.id)
    client.responses.delete(made.id)
    for act in (
        lambda: client.responses.retrieve(made.id),
        lambda: client.responses.create(model=MODEL, input="x", previous_response_id=made.id),
    ):
        with pytest.raises(openai.NotFoundError):
            act()


def test_thoughts_that_stand_without_what_they_say_are_their_customers_alone(client, eve):
    made = client.responses.create(model=MODEL, input="hello", reasoning={"effort": "low"})
    thought = {"type": "reasoning", "id": made.output[0].id, "summary": [{"type": "summary_text", "text": "Hm."}]}
    given = [{"role": "user", "content": "hello"}, thought, made.output[1].to_dict(), {"role": "user", "content": "x"}]
    again = client.responses.create(model=MODEL, input=given)
    assert again.usage.input_tokens > made.usage.input_tokens
    for act in (eve.responses.create, eve.responses.input_tokens.count):
        with pytest.raises(openai.NotFoundError) as refused:
            act(model=MODEL, input=given)
        assert refused.value.code == "not_found"


def test_what_is_not_stored_is_not_kept(client):
    made = client.responses.create(model=MODEL, input="hello", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    assert not Kept.objects.exists()


def test_a_stream_that_breaks_off_is_asked_for_by_its_id(client):
    broken = {"sandbox": {"fault": "eof-mid-stream"}}
    with pytest.raises(openai.APIError):
        list(client.responses.create(model=MODEL, input="hello", stream=True, extra_body=broken))
    generation = Generation.objects.get()
    assert (generation.usage_source, generation.settlement_reason) == ("upstream", "upstream_eof")


def is_booked() -> bool:
    settle_all(now=NOW)
    found: list[str] = []
    audit(tell=found.append)
    hold = Hold.objects.get()
    return (hold.kind, hold.state, hold.captured, found) == ("job", "captured", Generation.objects.get().cost, [])


def test_a_response_in_the_background_is_asked_for_until_it_is_completed_and_charged_once(client):
    begun = client.responses.create(model=MODEL, input="hello", background=True)
    assert begun.status == "queued"
    seen = []
    while begun.status in ("queued", "in_progress"):
        begun = client.responses.retrieve(begun.id)
        seen.append(begun.status)
    assert seen == ["queued", "in_progress", "completed"]
    assert begun.output_text
    generation = Generation.objects.get()
    assert (generation.state, generation.output_tokens) == ("metered", begun.usage.output_tokens)
    assert is_booked()
    assert client.responses.create(model=MODEL, input="?", previous_response_id=begun.id).output_text


def test_the_task_meters_what_nobody_asks_for(client):
    client.responses.create(model=MODEL, input="hello", background=True, extra_body={"sandbox": {"background_ms": 0}})
    Job.objects.update(next_look_at=NOW)
    assert looking.look_at_all(ROUTES.keeper) == 1
    assert Generation.objects.get().usage_source == "upstream"
    assert is_booked()


def test_what_is_cancelled_costs_its_prompt_and_can_be_deleted_then(client):
    begun = client.responses.create(model=MODEL, input="hello " * 50, background=True)
    with pytest.raises(openai.ConflictError):
        client.responses.delete(begun.id)
    assert client.responses.cancel(begun.id).status == "cancelled"
    for _ in range(looking.UNTOLD_LOOKS):
        Job.objects.update(next_look_at=NOW)
        looking.look_at_all(ROUTES.keeper)
    generation = Generation.objects.get()
    assert (generation.usage_source, generation.settlement_reason) == ("estimated", "client_disconnected")
    assert is_booked()
    client.responses.delete(begun.id)


def test_a_stream_in_the_background_is_taken_up_again_where_it_was_left(client):
    with client.responses.create(model=MODEL, input="hello", background=True, stream=True) as stream:
        first = next(iter(stream))
    assert first.type == "response.created"
    assert Job.objects.get().ended_at is None
    with client.responses.retrieve(first.response.id, stream=True, starting_after=first.sequence_number) as stream:
        events = list(stream)
    assert (events[0].sequence_number, events[-1].type) == (1, "response.completed")
    assert Generation.objects.get().state == "metered"
    assert is_booked()


def test_a_whole_stream_in_the_background_is_charged_with_its_last_event(client):
    events = list(client.responses.create(model=MODEL, input="hello", background=True, stream=True))
    assert events[-1].response.usage.cost == float(Generation.objects.get().cost)
    assert is_booked()

"""`X-Chuizi-Body: plain`: the upstream's answer as it came, but for its own figures of cost; charged as ever."""

import orjson
import pytest

from tests.proxy.conftest import only_generation, wait_for
from tests.spoken import each_protocol
from tests.upstream import STREAM, chunk, usage

PLAIN = {"X-Chuizi-Body": "plain"}
COST = {"cost": 0.0001, "cost_details": {"upstream": 1}}


@each_protocol
@pytest.mark.parametrize("costs", [{}, COST], ids=["", "with costs"])
def test_an_answer_is_the_upstreams_and_charged_the_same(gateway, upstream, spoken, costs):
    upstream.json = {**spoken.told, **costs, spoken.usage: {**spoken.told[spoken.usage], **costs}}
    answer = gateway.chat(headers=PLAIN)
    assert answer.content == orjson.dumps(spoken.told)
    plain = wait_for("metered")
    assert (plain.pk, plain.usage_source) == (answer.headers["x-generation-id"], "upstream")
    upstream.json = spoken.told
    assert "x_chuizi" in gateway.chat().json()
    [other] = type(plain).objects.exclude(pk=plain.pk)
    assert (plain.cost, plain.input_tokens, plain.output_tokens) == (other.cost, 20, 5)


@each_protocol
def test_a_stream_is_the_upstreams_and_charged_the_same(gateway, upstream, spoken):
    asked = {"stream_options": {"include_usage": True}} if spoken.last == b"data: [DONE]\n\n" else {}
    with gateway.stream(headers=PLAIN, **asked) as response:
        assert response.read() == b"".join(spoken.stream)
    assert (only_generation().input_tokens, only_generation().output_tokens) == (20, 5)


def test_usage_that_was_not_asked_for_is_none_of_the_stream(gateway):
    with gateway.stream(headers=PLAIN) as response:
        assert response.read() == b"".join(event for event in STREAM if b'"usage"' not in event)
    assert only_generation().output_tokens == 5


def test_usage_beside_the_last_word_stays_there_without_its_cost(gateway, upstream):
    said = [*STREAM[:4], chunk({}, finish="stop", usage=usage(cost=0.1)), STREAM[-1]]
    upstream.events = said
    with gateway.stream(headers=PLAIN) as response:
        assert response.read() == b"".join([*STREAM[:4], chunk({}, finish="stop", usage=usage()), STREAM[-1]])


@each_protocol
def test_a_stream_that_ends_with_an_error_has_nothing_of_ours_before_it(gateway, upstream, spoken):
    upstream.events = [*spoken.begun, spoken.failed("it broke")]
    with gateway.stream(headers=PLAIN) as response:
        text = response.read()
    assert text.startswith(b"".join(spoken.begun))
    assert b"it broke" in text
    assert b"x_chuizi" not in text


@each_protocol
@pytest.mark.parametrize("said", ["Plain", "", "full", "plain, plain"])
def test_another_word_is_refused_before_a_hold(gateway, upstream, spoken, said):
    answer = gateway.chat(headers={"X-Chuizi-Body": said})
    assert (answer.status_code, spoken.code_of(answer.json())) == (400, spoken.code("validation_error"))
    assert "X-Chuizi-Body" in answer.text
    assert upstream.calls == []

"""Usage is read wherever it stands and whatever it is called; what contradicts itself is mended, and flagged."""

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.prices.usage import Usage
from proxy.protocols.openai import usage as usages
from tests.proxy.conftest import only_generation, wait_for
from tests.proxy.relay.answers.raw import answers, told
from tests.upstream import STREAM, answer, chunk, usage

PLAIN = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
COST = "0.00042000"


def counted(prompt: int, completion: int, **more: Any) -> Usage:
    return Usage(input_tokens=prompt, output_tokens=completion, **more)


@pytest.mark.parametrize(
    "said",
    [
        PLAIN,
        {"prompt_tokens": 20.0, "completion_tokens": 5.0, "total_tokens": 25.0},
        {"prompt_tokens": "20", "completion_tokens": "5"},
        {"input_tokens": 20, "output_tokens": 5},
        {"input_tokens": 20, "output_tokens": 5.0, "total_tokens": 25},
    ],
)
@pytest.mark.parametrize(
    "place",
    [
        lambda said: {"usage": said},
        lambda said: {"usage": None, "x_groq": {"id": "req_1", "usage": said}},
        lambda said: {"choices": [{"index": 0, "usage": said}]},
        lambda said: {"choices": [{"index": 0, "message": {"content": "x", "usage": said}}]},
        lambda said: {"usage": {"prompt_tokens": 0, "completion_tokens": 0}, "choices": [{"usage": said}]},
        lambda said: {"usage": "none", "message": {"usage": said}},
    ],
)
def test_usage_is_read_in_every_place_and_under_every_name(place, said):
    found = usages.find(place(said))
    assert found is not None
    assert (found.usage, found.is_odd) == (counted(20, 5), False)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"prompt_tokens": 20, "total_tokens": 25}, counted(20, 5)),
        ({"completion_tokens": 5, "total_tokens": 25}, counted(20, 5)),
        ({"prompt_tokens": 20}, counted(20, 0)),
        ({"prompt_tokens": 20, "completion_tokens": -5}, counted(20, 0)),
        ({"prompt_tokens": 20, "completion_tokens": None, "total_tokens": 7}, counted(20, 0)),
        ({**PLAIN, "prompt_tokens_details": {"cached_tokens": 900}}, counted(920, 5, cached_tokens=900)),
        (
            {**PLAIN, "cache_read_input_tokens": 900, "cache_creation_input_tokens": 80},
            counted(1000, 5, cached_tokens=900, cache_write_tokens=80),
        ),
        (
            {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 35, "cache_read_input_tokens": 10},
            counted(30, 5, cached_tokens=10),
        ),
        ({"input_tokens": 20, "output_tokens": 5, "cache_read_input_tokens": 10}, counted(30, 5, cached_tokens=10)),
        ({"prompt_tokens": 0, "completion_tokens": 5, "cached_tokens": 40}, counted(40, 5, cached_tokens=40)),
        ({"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 530}, counted(20, 510)),  # Gemini's thinking
        ({"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 9}, counted(20, 5)),
        ({**PLAIN, "completion_tokens_details": {"reasoning_tokens": 50}}, counted(20, 55, reasoning_tokens=50)),
    ],
)
def test_a_usage_that_contradicts_itself_is_summed_up_and_marked(said, meant):
    found = usages.read(said)
    assert found is not None
    assert (found.usage, found.is_odd) == (meant, True)


@pytest.mark.parametrize(
    "said",
    [
        {"prompt_tokens": 20, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 20}},
        {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25, "cache_read_input_tokens": 10},
        {"input_tokens": 20, "output_tokens": 5, "input_tokens_details": {"cached_tokens": 10}},
    ],
)
def test_cached_tokens_within_the_prompt_are_not_added(said):
    found = usages.read(said)
    assert found is not None
    assert (found.usage.input_tokens, found.is_odd) == (20, False)


DEEP = {"citation_tokens": 900, "num_search_queries": 3, "reasoning_tokens": 50}


@pytest.mark.parametrize("total", [25, 975, None])
def test_reasoning_and_citations_beside_the_completion_are_counted_once(total):
    found = usages.read({**PLAIN, "total_tokens": total, **DEEP})
    assert found is not None
    more = {"citation": 900, "web_search": 3}
    assert (found.usage, found.is_odd) == (counted(20, 955, reasoning_tokens=50, more=more), False)


def test_reasoning_that_is_told_beside_the_counts_is_in_the_completion_elsewhere():
    found = usages.read({**PLAIN, "reasoning_tokens": 3})
    assert found is not None
    assert (found.usage, found.is_odd) == (counted(20, 5, reasoning_tokens=3), False)


def test_counts_under_the_other_name_stand_in_for_zeros():
    zeros = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    assert usages.usage({**zeros, "input_tokens": 20, "output_tokens": 5, "total_tokens": 25}) == counted(20, 5)
    assert usages.usage(zeros) == counted(0, 0)


@pytest.mark.parametrize(
    "said", [None, 5, [], {}, {"prompt_tokens": True}, {"completion_tokens": 2.5}, {"prompt_tokens": 1 << 60}, {"a": 1}]
)
def test_what_tells_no_whole_numbers_is_no_usage(said: Any):
    assert usages.read(said) is None


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("said", "billed", "source"),
    [
        (usage(0, 0), (7, 4), "estimated"),
        (usage(20, 0), (20, 4), "estimated"),
        (usage(0, 5), (7, 5), "estimated"),
        ({"prompt_tokens": 20}, (20, 4), "estimated"),
        (usage(20, 5, prompt_tokens_details={"cached_tokens": 30}), (50, 5), "upstream"),
        ({"prompt_tokens": 20, "total_tokens": 25}, (20, 5), "upstream"),
    ],
)
def test_an_odd_usage_beside_an_answer_is_billed_as_meant_and_flagged(gateway, upstream, said, billed, source, stream):
    upstream.json = answer(usage=said)
    upstream.events = [*STREAM[:-2], chunk(None, usage=said), STREAM[-1]]
    _, events, _ = told(gateway, stream=stream)
    generation = only_generation()
    assert generation.usage_source == source
    assert generation.output_tokens == billed[1]
    assert generation.input_tokens == (billed[0] if said.get("prompt_tokens") else generation.input_tokens) > 0
    assert generation.is_flagged
    shown = events[-1]["usage"]
    assert (shown["prompt_tokens"], shown["completion_tokens"]) == (generation.input_tokens, generation.output_tokens)


@pytest.mark.parametrize("asked", [True, False])
def test_usage_of_a_streams_last_choice_is_billed_and_shown_once_at_its_end(gateway, upstream, asked):
    last = chunk(None, choices=[{"index": 0, "delta": {}, "finish_reason": "stop", "usage": PLAIN}])
    answers(upstream, b"".join(STREAM[:-3]) + last + STREAM[-1], label="text/event-stream")
    _, events, _ = told(gateway, stream=True, stream_options={"include_usage": asked})
    assert [event["usage"]["total_tokens"] for event in events if event.get("usage")] == [25]
    assert (events[-1]["x_chuizi"]["cost"], events[-1]["choices"] == []) == (COST, asked)
    assert (only_generation().usage_source, only_generation().is_flagged) == ("upstream", False)


@pytest.mark.parametrize("stream", [True, False])
def test_the_cost_shown_is_ours_and_unknown_fields_pass(gateway, upstream, stream):
    theirs = usage(cost=0.1, cost_details={"upstream_inference_cost": 0.09}, estimated_cost=1, is_byok=False)
    more = {"system_fingerprint": "fp", "odd": {"unknown": [1]}, "cost": 3, "response_cost": 4}
    upstream.json = answer(usage=theirs, **more)
    upstream.events = [*STREAM[:-2], chunk(None, usage=theirs, **more), STREAM[-1]]
    _, events, _ = told(gateway, stream=stream)
    last = events[-1]
    assert last["usage"] == {**usage(), "is_byok": False, "cost": 0.00042}
    assert (last["odd"], last["system_fingerprint"]) == ({"unknown": [1]}, "fp")
    assert "cost" not in last
    assert "response_cost" not in last
    assert last["x_chuizi"] == {
        "generation_id": last["id"],
        "latency_ms": wait_for("metered").latency_ms,
        "cost": COST,
    }
    assert orjson.dumps(events).count(b"cost") == 2


@pytest.mark.parametrize("stream", [True, False])
def test_zeros_at_a_streams_end_do_not_undo_what_was_told_before(gateway, upstream, stream):
    zeros = chunk({}, finish="stop", usage=usage(0, 0))
    answers(upstream, chunk({"content": "a"}, usage=usage(20, 5)) + zeros + STREAM[-1], label="text/event-stream")
    _, events, _ = told(gateway, stream=stream)
    assert (events[-1]["usage"]["prompt_tokens"], events[-1]["usage"]["completion_tokens"]) == (20, 5)
    assert (only_generation().usage_source, only_generation().is_flagged) == ("upstream", False)


COUNTS = st.sampled_from([0, 1, 3, 20, 2**60, -1, True, None, "3", 4.0])
PLACES = st.dictionaries(
    st.sampled_from(["cached_tokens", "reasoning_tokens", "audio_tokens", "cache_creation_tokens"]), COUNTS
)


@given(
    names=st.sampled_from(usages.USUAL), prompt=COUNTS, completion=COUNTS, total=COUNTS | st.just(21), brought=PLACES,
    made=PLACES,
)  # fmt: skip
@example(usages.USUAL[0], 20, 1, 21, {"cached_tokens": 3}, {"reasoning_tokens": 1})
@example(usages.USUAL[1], 20, 1, 21, {"cached_tokens": 20}, {"reasoning_tokens": 0, "audio_tokens": 0})
@example(usages.USUAL[1], 20, 1, 21, {"cached_tokens": 21}, {"reasoning_tokens": 0})
@example(usages.USUAL[1], 20, 1, 21, {"cached_tokens": 3, "audio_tokens": 1}, {"reasoning_tokens": 0})
def test_the_usual_members_are_read_as_they_are_beside_others(names, prompt, completion, total, brought, made):
    said = dict(zip(names, (prompt, completion, total, brought, made), strict=True))
    usual, general = usages.read(said), usages.read({**said, "nothing": None})
    assert (usual is None) == (general is None)
    if usual is not None and general is not None:
        assert (usual.usage, usual.is_odd) == (general.usage, general.is_odd)

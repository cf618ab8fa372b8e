"""Completions without chat: prompts in each form, what they are held at, and what goes upstream."""

from decimal import Decimal

import orjson
import pytest
from aiohttp import web

from proxy.prices.loading import load_catalog
from tests.proxy.conftest import catalog, wait_for
from tests.spoken import COMPLETIONS, Spoken, texts
from tests.upstream import stream, usage


@pytest.fixture
def spoken() -> Spoken:
    return COMPLETIONS


def ask(gateway, **more):
    return gateway.client.post("/v1/completions", json={"model": "openai/m", "prompt": "hello", **more})


def held(gateway, **more) -> Decimal:
    """What output of 100 tokens is held for, at 40 a million and the margin, in such choices."""
    assert ask(gateway, max_tokens=100, **more).status_code == 200
    generation = wait_for("metered")
    bound = generation.bound
    generation.delete()
    return bound


def test_an_answer_has_our_id_its_cost_and_the_rest_as_it_came(gateway, upstream):
    answer = ask(gateway, max_tokens=7, suffix="!", echo=True, logprobs=2, best_of=1, new={"x": 1})
    said = answer.json()
    generation = wait_for("metered")
    assert (said["id"], said["object"]) == (generation.pk, "text_completion")
    assert said["choices"] == upstream.json["choices"]
    assert said["usage"] == {**usage(), "cost": float(generation.cost)}
    assert generation.cost == Decimal("0.00042000")
    assert said["x_chuizi"]["generation_id"] == generation.pk
    [sent] = upstream.calls
    assert sent == {
        **{"model": "m-at-upstream", "prompt": "hello", "max_tokens": 7, "suffix": "!", "echo": True},
        **{"logprobs": 2, "best_of": 1, "new": {"x": 1}},
    }


def test_a_stream_tells_its_cost_on_the_last_chunk(gateway, upstream):
    upstream.events[3] = b"data: [DONE]\n\n"  # no chunk with a reason, and no usage
    with gateway.stream(stream_options={"include_usage": False}) as answer:
        text = answer.read().decode()
    [*_, last] = Spoken.events_in(text)
    assert last["object"] == "text_completion"
    assert last["choices"] == [{"index": 0, "text": "", "logprobs": None, "finish_reason": None}]
    assert "x_chuizi" in last
    assert upstream.calls[0]["stream_options"] == {"include_usage": True}


def test_a_request_without_a_limit_gets_the_usual_sixteen_tokens(gateway, upstream):
    ask(gateway)
    assert upstream.calls[0]["max_tokens"] == 16
    assert "service_tier" not in upstream.calls[0]
    assert wait_for("metered").bound < Decimal("0.005")


def test_a_prompt_may_be_scored_without_a_token_of_output(gateway, upstream):
    assert ask(gateway, max_tokens=0, echo=True, logprobs=1).status_code == 200
    assert upstream.calls[0]["max_tokens"] == 0


def test_prompts_choices_and_the_best_of_them_multiply_what_is_held(gateway):
    one = held(gateway)
    each = Decimal("0.0042")
    assert held(gateway, n=3) - one == pytest.approx(2 * each, abs=Decimal("0.0002"))
    assert held(gateway, n=2, best_of=5) - one == pytest.approx(4 * each, abs=Decimal("0.0004"))
    assert held(gateway, prompt=["a", "b"], best_of=5) - one == pytest.approx(9 * each, abs=Decimal("0.0004"))
    assert held(gateway, prompt=[[1, 2], [3, 4]], n=2) - one == pytest.approx(3 * each, abs=Decimal("0.0004"))


def test_the_context_bounds_one_prompt_and_not_several(gateway, upstream):
    load_catalog(catalog(upstream, context_window=1000))
    gateway.look_at_catalog()
    long = "word " * 4_000
    one, two = held(gateway, prompt=long), held(gateway, prompt=[long, long])
    assert one < Decimal("0.02")
    assert two > Decimal("0.4")


@pytest.mark.parametrize("said", ["a", ["a", "b"], [1, 2], [[1], [2, 3]], ""])
def test_prompts_go_on_in_each_form(gateway, upstream, said):
    assert ask(gateway, prompt=said).status_code == 200
    assert upstream.calls[0]["prompt"] == said


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [1, "a"]}, "prompt"),
        ({"prompt": {"a": 1}}, "prompt"),
        ({"prompt": ["a"] * 2049}, "prompt"),
        ({"n": 0}, "n"),
        ({"best_of": 129}, "best_of"),
        ({"Best_Of": 20}, "Best_Of"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_completion_tokens": 5}, "max_completion_tokens"),
        ({"messages": []}, "messages"),
        ({"use_beam_search": True}, "use_beam_search"),
        ({"stream": 1}, "stream"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"max_tokens": 5000}, "max_tokens"),
    ],
)
def test_what_cannot_be_held_is_refused(gateway, upstream, more, param):
    answer = ask(gateway, **more)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text
    assert not upstream.calls


def test_events_and_json_are_put_into_the_form_that_was_asked(gateway, upstream):
    async def events(request):
        return await stream(request, list(COMPLETIONS.stream))

    async def whole(request):
        return web.json_response(COMPLETIONS.told)

    upstream.handler = events
    said = ask(gateway).json()
    assert (said["object"], said["choices"][0]["text"]) == ("text_completion", "one two three ")
    assert "message" not in said["choices"][0]
    upstream.handler = whole
    with gateway.stream() as answer:
        text = answer.read().decode()
    assert "".join(map(COMPLETIONS.words_of, Spoken.events_in(text))) == "one two three"
    assert text.endswith("data: [DONE]\n\n")


def test_an_error_of_a_stream_is_in_openais_shape(gateway, upstream):
    upstream.events = [*texts("one "), COMPLETIONS.failed("broken")]
    with gateway.stream() as answer:
        text = answer.read().decode()
    assert orjson.loads(text.strip().rpartition("data: ")[2])["error"]["code"] == "provider_error"
    assert "[DONE]" not in text

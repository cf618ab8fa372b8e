"""What an upstream does not take of our fields is learnt from it alone: no caller can teach a route anything."""

from time import monotonic
from typing import Any

import orjson
import pytest
from aiohttp import web

from proxy.errors import Refusal
from proxy.protocols.base import Habits
from proxy.protocols.openai import chat
from proxy.relay import habits
from proxy.relay.habits import UNKNOWN, HabitBook
from tests.proxy.conftest import wait_for
from tests.proxy.protocols.asking.test_members import THERE
from tests.proxy.protocols.asking.test_routes import asked, strict
from tests.upstream import answer

FIELDS = ("stream_options", "service_tier", "max_tokens")


def after(refusal: Refusal, **fields: Any) -> Habits | None:
    return chat.after_refusal(chat.read(asked(stream=True, **fields)), THERE, UNKNOWN, refusal)


def refused(words: str, *, param: str | None = None, code: str = "validation_error") -> Refusal:
    return Refusal(400, code, words, param=param)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    "said",
    [
        lambda field: refused("Unsupported parameter.", param=field),
        lambda field: refused(f"Unknown parameter: '{field}'."),
        lambda field: refused(f"body.{field}: Extra inputs are not permitted"),
    ],
)
def test_a_field_that_only_we_sent_is_tried_without(field, said):
    learnt = after(said(field))
    assert learnt is not None
    assert learnt == (Habits("max_completion_tokens") if field == "max_tokens" else Habits("", frozenset({field})))


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    "spelt",
    [
        lambda field: field,
        lambda field: field.upper(),
        lambda field: field.replace("_", "\\u005f"),
        lambda field: f'{{"x": "{field}"}}',
    ],
)
@pytest.mark.parametrize("where", ["text", "tool", "name"])
def test_words_that_may_be_the_callers_own_teach_nothing(field, spelt, where):
    text = spelt(field)
    fields: dict[str, Any] = {
        "text": {"user": text},
        "tool": {"tools": [{"type": "function", "description": text}]},
    }.get(where, {f"x {text}": 1})
    assert after(refused(f"messages[0]: cannot read '{field}'"), **fields) is None
    assert after(refused("Unsupported parameter.", param=field), **fields) is not None, "its own word still counts"


def test_an_escaped_name_in_the_callers_bytes_is_found_too():
    raw = b'{"model":"m","stream":true,"user":"stream\\u005Foptions","messages":[{"role":"user","content":"hi"}]}'
    assert chat.after_refusal(chat.read(raw), THERE, UNKNOWN, refused("input: 'stream_options'")) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [("stream_options", {"include_usage": True}), ("service_tier", "auto"), ("max_tokens", 5)],
)
def test_a_field_that_the_caller_sent_itself_is_the_callers_to_leave_out(field, value):
    assert after(refused("Unsupported parameter.", param=field), **{field: value}) is None


@pytest.mark.parametrize(
    "param", ["messages[0].stream_options", "stream_options.x", "x.service_tier", "service_tier[0]"]
)
def test_a_param_that_only_resembles_a_field_of_ours_teaches_nothing(param):
    assert after(refused("No.", param=param), user="stream_options service_tier") is None


@pytest.mark.parametrize(
    "words",
    [
        "max_tokens is too large: 4096. This model supports at most 400.",
        "max_tokens must be between 1 and 400",
        "'max_tokens' exceeds the limit",
    ],
)
def test_a_limit_refused_for_its_number_is_not_sent_under_a_name_that_may_not_count(words):
    assert after(refused(words, param="max_tokens")) is None
    assert after(refused("Too long.", param="max_tokens", code="context_length_exceeded")) is None


def test_two_fields_named_at_once_teach_nothing():
    assert after(refused("stream_options and service_tier are unknown")) is None


def test_what_was_learnt_is_forgotten_after_an_hour():
    book, found, now = HabitBook(), Habits("", frozenset({"service_tier"})), monotonic()
    book.learn(THERE, found, now=now)
    assert book.of(THERE, now=now + habits.SECONDS - 1) == found
    assert book.of(THERE, now=now + habits.SECONDS) == UNKNOWN


def echo(*, again: int):  # type: ignore[no-untyped-def]
    """An upstream that refuses its first requests, repeating what they said, as vLLM and FastAPI do."""
    calls: list[dict[str, Any]] = []

    async def handle(request: web.Request) -> web.Response:
        calls.append(told := orjson.loads(await request.read()))
        if len(calls) <= again:
            text = told["messages"][0]["content"]
            detail = [{"loc": ["body", "messages", 0, "content"], "msg": f"cannot read {text!r}", "input": text}]
            return web.json_response({"detail": detail}, status=422)
        return web.json_response(answer())

    return calls, handle


@pytest.mark.parametrize("field", FIELDS)
def test_a_caller_that_writes_a_fields_name_switches_nothing_off_for_others(gateway, upstream, field):
    calls, upstream.handler = echo(again=1)
    message = {"model": "openai/m", "messages": [{"role": "user", "content": f"see {field}"}]}
    assert gateway.client.post("/v1/chat/completions", json=message).status_code == 422
    assert len(calls) == 1, "it is not even tried again"
    wait_for("released")
    assert gateway.client.post("/v1/chat/completions", json=message).status_code == 200
    assert calls[1].keys() == calls[0].keys()


def test_what_an_upstream_refuses_without_the_field_too_is_not_remembered(gateway, upstream):
    calls: list[dict[str, Any]] = []

    async def handle(request: web.Request) -> web.Response:
        calls.append(orjson.loads(await request.read()))
        return web.json_response({"error": {"message": "Bad.", "param": "service_tier"}}, status=400)

    upstream.handler = handle
    assert gateway.chat().status_code == 400
    assert ["service_tier" in call for call in calls] == [True, False]
    calls.clear()
    assert gateway.chat().status_code == 400
    assert ["service_tier" in call for call in calls] == [True, False], "each finds out anew"


def test_fastapis_place_of_what_it_does_not_know_is_its_own_word(gateway, upstream):
    calls: list[dict[str, Any]] = []

    async def handle(request: web.Request) -> web.Response:
        calls.append(told := orjson.loads(await request.read()))
        if "service_tier" in told:
            detail = [{"loc": ["body", "service_tier"], "msg": "Extra inputs are not permitted", "type": "extra"}]
            return web.json_response({"detail": detail}, status=422)
        return web.json_response(answer())

    upstream.handler = handle
    text = {"messages": [{"role": "user", "content": "what does service_tier mean?"}]}
    assert gateway.chat(**text).status_code == 200
    assert gateway.chat(**text).status_code == 200
    assert len(calls) == 3


def test_usage_left_out_for_a_strict_upstream_is_estimated_and_billed(gateway, upstream):
    calls, refusing = strict("stream_options")

    async def handle(request: web.Request) -> web.StreamResponse:
        refusal = await refusing(request)
        if refusal.status == 400:
            return refusal
        words = {"id": "x", "object": "chat.completion.chunk", "model": "m-at-upstream"}
        events = [
            {**words, "choices": [{"index": 0, "delta": {"content": "some words"}, "finish_reason": None}]},
            {**words, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        ]
        body = b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in events) + b"data: [DONE]\n\n"
        return web.Response(body=body, content_type="text/event-stream")

    upstream.handler = handle
    with gateway.stream() as response:
        assert b"[DONE]" in response.read()
    assert ["stream_options" in call for call in calls] == [True, False]
    generation = wait_for("metered")
    assert generation.usage_source == "estimated"
    assert generation.cost > 0

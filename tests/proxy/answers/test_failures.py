"""Status 200 is no success by itself: errors in every shape that upstreams have for them."""

import time
from typing import Any

import orjson
import pytest

from proxy.loading import load_catalog
from proxy.models import Generation
from tests.proxy.answers.raw import answers, told, words
from tests.proxy.conftest import catalog, only_generation, wait_for
from tests.upstream import STREAM, answer, chunk

SECRET = "quota of org-abcdef123456 is used up"
ERROR = {"message": SECRET, "code": 500}
JSON_FAILURES: dict[str, Any] = {
    "an error alone": {"error": ERROR},
    "an error beside empty choices": {"error": ERROR, "choices": [], "usage": None},
    "an error beside a choice without words": {
        "error": ERROR,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "error"}],
    },
    "an error in a choice": {"choices": [{"index": 0, "error": ERROR, "message": {"content": None}}]},
    "an error in a message": {"choices": [{"index": 0, "message": {"content": None, "error": ERROR}}]},
    "an error that is a text": {"id": "1", "error": SECRET},
    "MiniMax's status": {"base_resp": {"status_code": 1004, "status_msg": SECRET}, "choices": None},
    "a code and a message": {"code": "Throttling", "message": SECRET, "request_id": "1"},
    "a message flat": {"object": "error", "message": SECRET, "type": "BadRequestError"},
    "a detail": {"detail": SECRET},
    "a detail in parts": {"detail": [{"type": "missing", "msg": SECRET}]},
    "errors in a list": {"success": False, "errors": [{"code": 5007, "message": SECRET}], "result": None},
}
SAID = "quota of [removed] is used up"


@pytest.mark.parametrize("name", JSON_FAILURES)
def test_a_success_that_is_an_error_is_502_and_free(gateway, upstream, name):
    body = orjson.dumps(JSON_FAILURES[name])
    for label, framed in (
        ("application/json", body),
        ("text/event-stream", body),
        ("text/event-stream", b"data: " + body + b"\n\ndata: [DONE]\n\n"),
        ("text/event-stream", b": waiting\n\nevent: error\ndata: " + body + b"\n\n"),
        ("text/event-stream", b"error: " + body + b"\n\n"),
        ("text/event-stream", b": waiting\n\n" + body + b"\n\n"),
    ):
        answers(upstream, framed, label=label)
        for stream in (True, False):
            status, [said], _ = told(gateway, stream=stream)
            assert (status, said["error"]["code"], said["error"]["message"]) == (502, "provider_error", SAID), framed
    wait_for("released")
    assert not Generation.objects.exclude(settlement_reason__in=["", "upstream_error"]).exists()
    assert not Generation.objects.filter(cost__gt=0).exists()


NOTHING = {
    "only [DONE]": b"data: [DONE]\n\n",
    "choices that are empty": b'data: {"id":"1","choices":[]}\n\ndata: [DONE]\n\n',
    "an empty object": b"{}",
    "a list": b"[]",
    "null choices": b'{"id":"1","choices":null}',
    "a heartbeat": b'data: {"type":"ping"}\n\ndata: [DONE]\n\n',
    "a page": b"<html>busy</html>",
    "a word": b"busy",
    "nothing": b"",
}


@pytest.mark.parametrize("stream", [True, False])
def test_a_success_without_an_answer_is_502_and_the_next_upstream_is_tried(gateway, upstream, second_upstream, stream):
    for body in NOTHING.values():
        answers(upstream, body)
        status, [said], _ = told(gateway, stream=stream)
        assert (status, said["error"]["code"]) == (502, "provider_error"), body
    load_catalog(catalog(upstream, second=second_upstream))
    time.sleep(1.2)  # the gateway looks at the catalog every second
    for number, body in enumerate(NOTHING.values(), start=1):
        answers(upstream, body)
        status, events, _ = told(gateway, stream=stream)
        assert (status, words(events).split()) == (200, ["one", "two", "three"]), body
        assert len(second_upstream.calls) == number


ENDS = {
    "beside choices": {
        "error": ERROR,
        "choices": [{"index": 0, "delta": {"content": "two"}, "finish_reason": "error"}],
    },
    "in a choice": {"choices": [{"index": 0, "error": ERROR, "delta": {"content": "two"}, "finish_reason": "error"}]},
    "as a text": {"id": "chatcmpl-theirs", "choices": [{"index": 0, "delta": {"content": "two"}}], "error": SECRET},
}


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("name", ENDS)
def test_words_beside_an_error_in_a_stream_are_relayed_and_then_our_error(gateway, upstream, name, asked):
    answers(upstream, STREAM[1] + b"data: " + orjson.dumps(ENDS[name]) + b"\n\n" + STREAM[2], label="text/event-stream")
    status, events, _ = told(gateway, stream=True, stream_options={"include_usage": asked})
    assert (status, words(events), events[-1]["error"]["message"]) == (200, "one two", SAID)
    assert "org-" not in str(events)
    generation = only_generation()
    assert (generation.settlement_reason, generation.usage_source, generation.output_tokens) == (
        "upstream_error",
        "estimated",
        2,
    )


def test_words_beside_an_error_in_json_are_answered_with_our_error(gateway, upstream):
    upstream.json = answer(error=ERROR)
    upstream.json["choices"][0] |= {"finish_reason": "error", "error": ERROR}
    status, [said], _ = told(gateway, stream=False)
    assert (status, words([said]), said["error"]["message"]) == (200, "one two three", SAID)
    assert "org-" not in str(said)
    generation = only_generation()
    assert (generation.settlement_reason, generation.output_tokens) == ("upstream_error", 5)


def test_the_finish_reason_error_is_one_without_an_object(gateway, upstream):
    answers(upstream, STREAM[1] + chunk({}, finish="error") + STREAM[-1], label="text/event-stream")
    _, events, _ = told(gateway, stream=True)
    assert (words(events), events[-1]["error"]["code"]) == ("one ", "provider_error")
    assert wait_for("metered").settlement_reason == "upstream_error"


@pytest.mark.parametrize("empty", [None, False, "", {}, []])
def test_an_error_that_is_empty_is_none(gateway, upstream, empty):
    upstream.json = answer(error=empty, base_resp={"status_code": 0, "status_msg": ""})
    upstream.events = [STREAM[1], chunk({"content": "two"}, error=empty), *STREAM[-3:]]
    for stream in (True, False):
        status, events, _ = told(gateway, stream=stream)
        assert (status, words(events)[:7]) == (200, "one two")
    assert {generation.settlement_reason for generation in Generation.objects.all()} == {"completed"}


def test_errors_in_the_middle_of_streams_count_for_the_cool_down(gateway, upstream, second_upstream):
    load_catalog(catalog(upstream, second=second_upstream))
    time.sleep(1.2)
    answers(upstream, STREAM[1] + b'data: {"error": {"message": "no"}}\n\n', label="text/event-stream")
    for _ in range(3):
        told(gateway, stream=True)
    status, events, _ = told(gateway, stream=True)
    assert (status, words(events), len(second_upstream.calls)) == (200, "one two three ", 1)

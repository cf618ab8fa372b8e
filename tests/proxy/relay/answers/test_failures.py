"""Status 200 is no success by itself: errors in every shape that upstreams have for them."""

from typing import Any

import orjson
import pytest

from proxy.models import Generation
from proxy.prices.loading import load_catalog
from tests.proxy.conftest import catalog, only_generation, wait_for
from tests.proxy.relay.answers.raw import answers, told, words
from tests.upstream import STREAM, answer, chunk, usage

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
    "beside usage that counts nothing": {"choices": [], "usage": usage(0, 0), "error_msg": SECRET, "error_code": 336},
    "beside usage": {"choices": [], "usage": usage(20, 0), "error": ERROR},
    "a name beside the sentence": {"error": {"name": "BadRequestError", "message": SECRET}},
    "in capitals": {"Error": {"Message": SECRET}},
    "within an answer": {"Response": {"Error": {"Code": "FailedOperation", "Message": SECRET}, "RequestId": "1"}},
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
    "usage that counts nothing": b'{"id":"1","choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0}}',
    "another protocol's": b'{"candidates":[{"content":{"parts":[{"text":"hi"}]}}]}',
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
    gateway.look_at_catalog()
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


@pytest.mark.parametrize("reason", ["error", "ERROR", "failed", "network_error"])
def test_the_finish_reason_error_is_one_without_an_object(gateway, upstream, reason):
    answers(upstream, STREAM[1] + chunk({}, finish=reason) + STREAM[-1], label="text/event-stream")
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
    gateway.look_at_catalog()
    answers(upstream, STREAM[1] + b'data: {"error": {"message": "no"}}\n\n', label="text/event-stream")
    for _ in range(3):
        told(gateway, stream=True)
    status, events, _ = told(gateway, stream=True)
    assert (status, words(events), len(second_upstream.calls)) == (200, "one two three ", 1)


BESIDE = {
    "a code and a message": {"code": 500, "message": SECRET},
    "a detail": {"detail": SECRET},
    "errors": {"errors": [{"message": SECRET}], "result": SECRET},
    "a word with its sentence beside it": {"error": "Internal Server Error", "message": SECRET},
    "true with a sentence beside it": {"error": True, "message": SECRET},
    "in capitals": {"Error": {"Message": SECRET}},
    "a list": [{"error": {"code": 500, "message": SECRET}}],
    "Groq's": {"choices": [{"index": 0, "delta": {}, "finish_reason": None}], "x_groq": {"id": "1", "error": SECRET}},
    "a choice that says more": {
        "choices": [{"index": 0, "delta": {}, "finish_reason": "error", "native_finish_reason": SECRET}],
        "error": {"message": SECRET, "metadata": {"raw": SECRET}},
        "provider": SECRET,
    },
}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", BESIDE)
def test_an_error_in_the_middle_leaves_the_words_and_our_error_whatever_stands_beside_it(
    gateway, upstream, name, stream
):
    answers(upstream, b"".join(STREAM[:2]) + b"data: " + orjson.dumps(BESIDE[name]) + b"\n\n" + STREAM[-1])
    status, events, _ = told(gateway, stream=stream)
    assert (status, words(events).strip(), events[-1]["error"]["message"]) == (200, "one", SAID)
    assert "org-" not in str(events)
    assert wait_for("metered").settlement_reason == "upstream_error"


def test_what_an_upstream_says_beside_its_events_is_in_no_answer_put_together(gateway, upstream):
    beside = {"type": "ping", "status": "ok", "worker": "gpu-7", "Warning": {"Message": SECRET}}
    answers(upstream, STREAM[1] + b"data: " + orjson.dumps(beside) + b"\n\n" + b"".join(STREAM[2:]))
    _, [said], _ = told(gateway, stream=False)
    assert words([said]).split() == ["one", "two", "three"]
    assert not {"type", "status", "worker", "Warning"} & set(said)


def test_a_code_of_zero_says_that_all_is_well(gateway, upstream):
    spark = {"code": 0, "message": "Success", "sid": "1", "choices": []}
    answers(upstream, b"data: " + orjson.dumps(spark) + b"\n\n" + b"".join(STREAM))
    for stream in (True, False):
        status, events, _ = told(gateway, stream=stream)
        assert (status, words(events).split()) == (200, ["one", "two", "three"])
    assert {generation.settlement_reason for generation in Generation.objects.all()} == {"completed"}


def test_a_chunk_over_several_lines_is_read_and_goes_out_as_one(gateway, upstream):
    last = chunk({}, finish="stop", usage={"prompt_tokens": 3, "completion_tokens": 2, "cost": 0.5})
    said = STREAM[1] + last
    for member in (b'"finish_reason"', b'"usage"'):
        said = said.replace(member + b":", member + b":\ndata: ")
    answers(upstream, said + STREAM[-1], label="text/event-stream")
    _, events, _ = told(gateway, stream=True)
    assert (words(events), events[-1]["usage"]["completion_tokens"]) == ("one ", 2)
    generation = only_generation()
    assert (generation.finish_reason, generation.output_tokens) == ("stop", 2)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("end", [b"", STREAM[-1]])
def test_a_text_at_the_end_of_a_stream_is_the_sentence_of_an_error(gateway, upstream, stream, end):
    text = b"data: " + SECRET.encode() + b"\n\n"
    answers(upstream, text + end, label="text/event-stream")
    status, [said], _ = told(gateway, stream=stream)
    assert (status, said["error"]["message"]) == (502, SAID)
    answers(upstream, STREAM[1] + text + end, label="text/event-stream")
    status, events, _ = told(gateway, stream=stream)
    assert (status, words(events), events[-1]["error"]["message"]) == (200, "one ", SAID)
    assert Generation.objects.latest("pk").settlement_reason == "upstream_error"


@pytest.mark.parametrize("stream", [True, False])
def test_a_word_that_keeps_a_connection_open_is_no_error(gateway, upstream, stream):
    ping = b"data: ping\n\n"
    for events in ([ping, *STREAM, ping], [STREAM[1], ping, *STREAM[2:4], STREAM[-1]], [*STREAM[:-1], ping]):
        answers(upstream, b"".join(events), label="text/event-stream")
        status, said, _ = told(gateway, stream=stream)
        assert (status, words(said).split(), "error" in str(said)) == (200, ["one", "two", "three"], False)

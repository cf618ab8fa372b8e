"""A body is read by its first bytes, whatever its label says, and becomes what the caller asked for."""

import gzip
import zlib
from typing import Any

import orjson
import pytest
from openai import OpenAI

from tests.proxy.conftest import only_generation, settle, wait_for
from tests.proxy.relay.answers.raw import answers, told, words
from tests.upstream import STREAM, answer, chunk, usage

COST = "0.00042000"
CALLS = [
    {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "a"}'}},
    {"id": "call_2", "type": "function", "function": {"name": "find", "arguments": "{}"}},
]
WHOLE = b"".join(STREAM)


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


LABELS: dict[str, tuple[str, dict[str, str], Any]] = {
    "events as text": ("text/plain", {}, lambda data: data),
    "events as JSON": ("application/json", {}, lambda data: data),
    "events without a label that is one": ("application/octet-stream", {}, lambda data: data),
    "events in gzip": ("text/event-stream", {"Content_Encoding": "gzip"}, gzip.compress),
    "events in gzip that nobody names": ("text/event-stream", {}, gzip.compress),
    "events in two members of gzip": ("text/event-stream", {}, lambda d: gzip.compress(d[:99]) + gzip.compress(d[99:])),
    "events in deflate": ("text/event-stream", {"Content_Encoding": "deflate"}, zlib.compress),
    "events in raw deflate": ("text/event-stream", {"Content_Encoding": "deflate"}, raw_deflate),
    "events said to be in gzip": ("text/event-stream", {"Content_Encoding": "gzip"}, lambda data: data),
    "events said to be in deflate": ("text/event-stream", {"Content_Encoding": "deflate"}, lambda data: data),
    "events after a byte order mark": ("text/event-stream", {}, lambda data: b"\xef\xbb\xbf" + data),
    "events after blank lines": ("text/event-stream", {}, lambda data: b"\r\n \n\n" + data),
    "events with carriage returns": ("text/event-stream", {}, lambda data: data.replace(b"\n", b"\r")),
    "events after a comment": ("text/event-stream", {}, lambda data: b": processing\n\n" + data),
}


@pytest.mark.parametrize("name", LABELS)
def test_events_under_any_label_are_a_stream_or_put_together_to_one_answer(gateway, upstream, name):
    label, headers, packed = LABELS[name]
    answers(upstream, packed(WHOLE), label=label, **headers)
    status, events, head = told(gateway, stream=True)
    assert (status, head["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert (words(events), events[-1]["x_chuizi"]["cost"]) == ("one two three ", COST)
    status, [said], head = told(gateway, stream=False)
    assert (status, head["content-type"], said["object"]) == (200, "application/json", "chat.completion")
    assert said["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": "one two three "}, "finish_reason": "stop"}
    ]
    assert (said["usage"]["total_tokens"], said["x_chuizi"]["cost"]) == (25, COST)


@pytest.mark.parametrize("packed", [lambda data: data, gzip.compress, lambda data: b" \n" + data])
@pytest.mark.parametrize("label", ["application/json", "text/event-stream", "text/html"])
@pytest.mark.parametrize("asked", [True, False])
def test_json_where_a_stream_was_asked_is_made_one(gateway, upstream, label, asked, packed):
    body = answer()
    body["choices"][0]["message"] |= {"reasoning_content": "hm", "tool_calls": CALLS}
    body["choices"].append({"index": 1, "message": {"content": "four"}, "finish_reason": "length"})
    answers(upstream, packed(orjson.dumps(body)), label=label)
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client:
        chunks = list(
            client.chat.completions.create(
                model="m",
                messages=[{"role": "user", "content": "hello"}],
                stream=True,
                stream_options={"include_usage": asked},
            )
        )
    said = dict.fromkeys((0, 1), "")
    finished = {}
    for part in chunks:
        for choice in part.choices:
            said[choice.index] += choice.delta.content or ""
            finished[choice.index] = choice.finish_reason or finished.get(choice.index)
    assert (said, finished) == ({0: "one two three", 1: "four"}, {0: "stop", 1: "length"})
    calls = [call for part in chunks for choice in part.choices for call in choice.delta.tool_calls or ()]
    assert [(call.index, call.id, call.function.arguments) for call in calls] == [
        (0, "call_1", '{"at": "a"}'),
        (1, "call_2", "{}"),
    ]
    assert (chunks[-1].usage.total_tokens, chunks[-1].choices == []) == (25, asked)
    assert {part.id for part in chunks} == {only_generation().pk}
    settle()
    assert f"{only_generation().cost:f}" == COST


def test_a_stream_is_put_together_with_all_that_it_says(gateway, upstream):
    pieces = [
        chunk({"role": "assistant", "content": None, "reasoning": "h"}),
        chunk({"reasoning": "m", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]}),
        chunk({"content": "one "}, logprobs=None),
        chunk({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "look"}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"at": '}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '"a"}'}}]}),
        chunk({"tool_calls": [{"index": 1, **CALLS[1]}]}, finish="tool_calls"),
        chunk(None, choices=[{"index": 1, "delta": {"content": "f"}, "logprobs": {"content": [{"token": "f"}]}}]),
        chunk(None, choices=[{"index": 1, "delta": {"content": "our"}, "logprobs": {"content": [{"token": "our"}]}}]),
        chunk(None, choices=[{"index": 1, "delta": {}, "finish_reason": "length"}]),
        chunk(None, usage=usage(), service_tier="default"),
        b"data: [DONE]\n\n",
    ]
    answers(upstream, b"".join(pieces), label="text/event-stream")
    _, [said], _ = told(gateway, stream=False)
    first, second = said["choices"]
    assert first["message"] == {
        "role": "assistant",
        "content": "one ",
        "reasoning": "hm",
        "reasoning_details": [{"type": "reasoning.text", "text": "hm"}],
        "tool_calls": CALLS,
    }
    assert (first["finish_reason"], second["finish_reason"]) == ("tool_calls", "length")
    assert second["logprobs"] == {"content": [{"token": "f"}, {"token": "our"}]}
    assert (second["message"]["content"], said["service_tier"]) == ("four", "default")


@pytest.mark.parametrize("stream", [True, False])
def test_what_unpacks_to_more_than_any_answer_is_refused(gateway, upstream, stream):
    bomb = gzip.compress(b"{" + b" " * 200_000_000, 1)
    answers(upstream, bomb, Content_Encoding="gzip")
    status, [said], _ = told(gateway, stream=stream)
    assert (status, said["error"]["code"]) == (502, "provider_error")
    assert wait_for("released").settlement_reason == "upstream_eof"


@pytest.mark.parametrize("stream", [True, False])
def test_a_compressed_body_that_is_broken_or_unknown_is_502(gateway, upstream, stream):
    packed = gzip.compress(WHOLE)
    for body in (packed[:20], packed[:10] + b"x" * 50, b"\x28\xb5\x2f\xfd" + bytes(30), b"\x8b\x02\x80"):
        answers(upstream, body, Content_Encoding="gzip")
        status, [said], _ = told(gateway, stream=stream)
        assert (status, said["error"]["code"]) == (502, "provider_error"), body


def test_events_that_break_off_are_no_json_answer(gateway, upstream):
    answers(upstream, b"".join(STREAM[:3]), label="text/event-stream")
    status, [said], _ = told(gateway, stream=False)
    assert (status, said["error"]["code"]) == (502, "provider_error")
    assert wait_for("released").settlement_reason == "upstream_eof"

"""Answers of upstreams that keep their protocol's order badly, as callers of each other protocol get them."""

from typing import Any

import orjson
import pytest

from proxy.gateway.routes import CHAT, MESSAGES, RESPONSES
from tests.proxy.protocols.translate.ways import Way

CALLED = {"id": "c1", "name": "f", "arguments": {"x": 1}}


def chat(*deltas: dict[str, Any] | str) -> bytes:
    """Of deltas, and of reasons for an end."""
    chunks = [
        {"index": 0, "delta": {}, "finish_reason": said} if isinstance(said, str) else {"index": 0, "delta": said}
        for said in deltas
    ]
    events = [orjson.dumps({"id": "c", "model": "m", "choices": [chunk]}) for chunk in chunks]
    return b"".join(b"data: %b\n\n" % event for event in events)


def named(*events: dict[str, Any]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), orjson.dumps(event)) for event in events)


def piece(text: str, *, index: int = 0, **named: Any) -> dict[str, Any]:
    function = {"arguments": text, **({"name": "f"} if named else {})}
    return {"tool_calls": [{"index": index, "function": function, **named}]}


def messages(*events: dict[str, Any]) -> bytes:
    head = {"type": "message", "id": "m", "role": "assistant", "model": "m", "content": [], "usage": {}}
    end = {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 1}}
    return named({"type": "message_start", "message": head}, *events, end)


def block(index: int, kind: str, id: str, arguments: str) -> list[dict[str, Any]]:
    begun = {"type": kind, "id": id, "name": "f", "input": {}}
    delta = {"type": "input_json_delta", "partial_json": arguments}
    return [
        {"type": "content_block_start", "index": index, "content_block": begun},
        {"type": "content_block_delta", "index": index, "delta": delta},
        {"type": "content_block_stop", "index": index},
    ]


CALL = {"type": "function_call", "id": "fc", "call_id": "c1", "name": "f", "arguments": '{"x":1}'}


def response(place: Any, *more: dict[str, Any]) -> bytes:
    said = {"output_index": place, "item": CALL}
    whole = {"id": "r", "model": "m", "status": "completed", "output": [CALL], "usage": {}}
    done = {"type": "response.output_item.done", **said}
    return named(
        {"type": "response.created", "response": {**whole, "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", **said},
        done,
        *more,
        {"type": "response.completed", "response": whole},
    )


LATE = {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "zz"}
STREAMS = {
    "arguments behind the reason": (CHAT, chat(piece('{"x"', id="c1"), "tool_calls", piece(":1}"))),
    "arguments behind the item": (RESPONSES, response(0, LATE)),
    "a place that is no number": (RESPONSES, response({"a": 1})),
    "a tool at the provider": (
        MESSAGES,
        messages(*block(0, "server_tool_use", "s1", '{"q":1}'), *block(1, "tool_use", "c1", '{"x":1}')),
    ),
    "a tool at the provider behind": (
        MESSAGES,
        messages(*block(0, "tool_use", "c1", '{"x":1}'), *block(1, "server_tool_use", "s1", '{"q":1}')),
    ),
}


def calls_of(caller: Any, answer: dict[str, Any]) -> list[dict[str, Any]]:
    if caller is MESSAGES:
        return [
            {"id": one["id"], "name": one["name"], "arguments": one["input"]}
            for one in answer["content"]
            if one["type"] == "tool_use"
        ]
    if caller is CHAT:
        held = [(one["id"], one["function"]) for one in answer["choices"][0]["message"]["tool_calls"]]
    else:
        held = [(one["call_id"], one) for one in answer["output"]]
    return [{"id": id, "name": one["name"], "arguments": orjson.loads(one["arguments"])} for id, one in held]


@pytest.mark.parametrize("caller", [CHAT, MESSAGES, RESPONSES], ids=lambda caller: caller.path)
@pytest.mark.parametrize("name", STREAMS)
def test_a_call_is_told_whole_whatever_stands_where_it_should_not(name, caller):
    upstream, events = STREAMS[name]
    if caller is upstream:
        return
    way = Way(caller, upstream)
    assert calls_of(caller, way.assembled(way.streamed([events]))) == [CALLED]


@pytest.mark.parametrize("caller", [MESSAGES, RESPONSES], ids=lambda caller: caller.path)
@pytest.mark.parametrize("is_stream", [True, False])
def test_an_id_that_an_answer_has_twice_names_one_call(caller, is_stream):
    way = Way(caller, CHAT)
    both = [piece("{}", id="c1"), piece("{}", index=1, id="c1")]
    if is_stream:
        answer = way.assembled(way.streamed([chat(*both, "tool_calls")]))
    else:
        message = {"content": None, "tool_calls": [call for delta in both for call in delta["tool_calls"]]}
        answer = way.whole({"id": "c", "model": "m", "choices": [{"message": message, "finish_reason": "tool_calls"}]})
    first, second = [call["id"] for call in calls_of(caller, answer)]
    assert first == "c1" != second


@pytest.mark.parametrize("upstream", [MESSAGES, RESPONSES], ids=lambda upstream: upstream.path)
def test_results_of_calls_with_one_id_go_to_them_in_their_order(upstream):
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turn = [
        {"role": "assistant", "content": None, "tool_calls": [call, call]},
        *({"role": "tool", "tool_call_id": "c1", "content": words} for words in ("one", "two")),
    ]
    sent, _ = Way(CHAT, upstream).sent({"messages": [{"role": "user", "content": "Hi"}, *turn, *turn]})
    if upstream is MESSAGES:
        blocks = [one for message in sent["messages"] for one in message["content"]]
        called = [one["id"] for one in blocks if one["type"] == "tool_use"]
        answered = [one["tool_use_id"] for one in blocks if one["type"] == "tool_result"]
    else:
        called = [one["call_id"] for one in sent["input"] if one["type"] == "function_call"]
        answered = [one["call_id"] for one in sent["input"] if one["type"] == "function_call_output"]
    assert called == answered
    assert len(set(called)) == 4

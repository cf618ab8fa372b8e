"""Any conversation keeps its meaning there and back, and any answer is the same in pieces and whole."""

import json
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.protocols.sse import Splitter
from tests.proxy.protocols.translate.ways import TO_CHAT, TO_MESSAGES, Way
from tests.spoken import event
from tests.upstream import chunk

EXAMPLES = settings(max_examples=60, deadline=None)
WORDS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12).filter(
    lambda text: text.strip() == text and not text.startswith("x-anthropic")
)
IDS = st.from_regex(r"[a-zA-Z0-9_-]{1,20}", fullmatch=True)
NUMBERS = st.one_of(st.integers(-(10**30), 10**30), st.floats(allow_nan=False, allow_infinity=False))
OBJECTS = st.dictionaries(WORDS, st.one_of(WORDS, NUMBERS, st.none(), st.lists(NUMBERS, max_size=2)), max_size=3)
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Of a chat, as its other side tells it again: no two turns of one role in a row, but results before a user's."""
    messages: list[dict[str, Any]] = []
    if system := draw(st.none() | WORDS):
        messages.append({"role": "system", "content": system})
    ids = iter(draw(st.lists(IDS, min_size=6, max_size=6, unique=True)))
    messages.append({"role": "user", "content": draw(WORDS)})
    for _turn in range(draw(st.integers(0, 2))):
        calls = [
            {"id": next(ids), "type": "function", "function": {"name": draw(IDS), "arguments": _json(draw(OBJECTS))}}
            for _ in range(draw(st.integers(0, 3)))
        ]
        said = draw(WORDS) if not calls else draw(st.none() | WORDS)
        answer: dict[str, Any] = {"role": "assistant", "content": said}
        messages.append({**answer, "tool_calls": calls} if calls else answer)
        messages += [{"role": "tool", "tool_call_id": call["id"], "content": draw(WORDS)} for call in calls]
        content: Any = draw(WORDS)
        if draw(st.booleans()):
            content = [{"type": "text", "text": content}, PICTURE]
        if not calls or draw(st.booleans()):
            messages.append({"role": "user", "content": content})
    return messages


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


@EXAMPLES
@given(conversations(), st.lists(OBJECTS, max_size=2), st.sampled_from(["", "low", "medium", "high"]))
def test_a_chat_is_the_same_after_messages(messages, schemas, effort):
    tools = [
        {"type": "function", "function": {"name": f"t{n}", "parameters": {"type": "object", **s}}}
        for n, s in enumerate(schemas)
    ]
    asked = {
        "messages": messages,
        "stop": ["END"],
        **({"reasoning_effort": effort} if effort else {"temperature": 0.5}),
    }
    if tools:
        asked |= {"tools": tools, "tool_choice": "auto" if effort else "required"}
    there, _ = TO_MESSAGES.sent(asked)
    back, _ = TO_CHAT.sent({name: there[name] for name in there if name not in ("model", "max_tokens")})
    for message in [*back["messages"], *messages]:
        load_arguments(message)
    assert {name: back[name] for name in asked} == asked


@EXAMPLES
@given(conversations())
def test_messages_are_the_same_after_a_chat(messages):
    asked, _ = TO_MESSAGES.sent({"messages": messages})
    asked = {name: asked[name] for name in asked if name not in ("model", "max_tokens")}
    there, _ = TO_CHAT.sent(asked)
    back, _ = TO_MESSAGES.sent({name: there[name] for name in there if name not in ("model", "max_tokens")})
    assert {name: back.get(name) for name in asked} == asked


CALLS = st.lists(st.tuples(IDS, IDS, OBJECTS.map(_json)), max_size=3, unique_by=lambda call: call[0])
ANSWERS = st.tuples(st.none() | WORDS, st.none() | WORDS, CALLS).filter(any)


def chat_answer(thought: str | None, said: str | None, calls: list[tuple[str, str, str]]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": said}
    if thought:
        message["reasoning_content"] = thought
    if calls:
        message["tool_calls"] = [
            {"id": id, "type": "function", "function": {"name": name, "arguments": text}} for id, name, text in calls
        ]
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m-2026", "choices": [choice]}


def message_answer(thought: str | None, said: str | None, calls: list[tuple[str, str, str]]) -> dict[str, Any]:
    blocks: list[dict[str, Any]] = []
    if thought:
        blocks.append({"type": "thinking", "thinking": thought, "signature": f"sig {thought}"})
    if said:
        blocks.append({"type": "text", "text": said})
    blocks += [{"type": "tool_use", "id": id, "name": name, "input": json.loads(text)} for id, name, text in calls]
    reason = {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None}
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": blocks, **reason}


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    ends = sorted({0, *(cut % (len(text) + 1) for cut in cuts), len(text)})
    return [text[start:end] for start, end in pairwise(ends)]


def chat_events(
    thought: str | None, said: str | None, calls: list[tuple[str, str, str]], cuts: list[int]
) -> list[bytes]:
    """The arguments of calls one piece of each in turn, as a model writes that makes them at once."""
    events = [chunk({"role": "assistant", "content": ""})]
    events += [chunk({"reasoning_content": piece}) for piece in pieces_of(thought or "", cuts)]
    events += [chunk({"content": piece}) for piece in pieces_of(said or "", cuts)]
    begun = [
        {"index": at, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}
        for at, (id, name, _text) in enumerate(calls)
    ]
    events += [chunk({"tool_calls": [call]}) for call in begun]
    pieces = [pieces_of(text, cuts) for _id, _name, text in calls]
    for at in range(max(map(len, pieces), default=0)):
        events += [
            chunk({"tool_calls": [{"index": number, "function": {"arguments": one[at]}}]})
            for number, one in enumerate(pieces)
            if at < len(one)
        ]
    return [*events, chunk({}, finish="tool_calls" if calls else "stop"), b"data: [DONE]\n\n"]


def message_events(
    thought: str | None, said: str | None, calls: list[tuple[str, str, str]], cuts: list[int]
) -> list[bytes]:
    whole = message_answer(thought, said, calls)
    events = [event("message_start", message={**whole, "content": [], "stop_reason": None})]
    for index, block in enumerate(whole["content"]):
        kind = block["type"]
        name = {"thinking": "thinking", "text": "text", "tool_use": "input"}[kind]
        text = calls[index - len(whole["content"])][2] if kind == "tool_use" else block[name]
        empty = {**block, name: {} if kind == "tool_use" else ""}
        empty |= {"signature": ""} if kind == "thinking" else {}
        events.append(event("content_block_start", index=index, content_block=empty))
        delta = {"thinking": "thinking_delta", "text": "text_delta", "tool_use": "input_json_delta"}[kind]
        member = "partial_json" if kind == "tool_use" else name
        events += [
            event("content_block_delta", index=index, delta={"type": delta, member: piece})
            for piece in pieces_of(text, cuts)
        ]
        if kind == "thinking":
            sealed = {"type": "signature_delta", "signature": block["signature"]}
            events.append(event("content_block_delta", index=index, delta=sealed))
        events.append(event("content_block_stop", index=index))
    reason = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    return [*events, event("message_delta", delta=reason), event("message_stop")]


def compared(way: Way, answer: dict[str, Any], events: list[bytes], cuts: list[int]) -> None:
    call = way.read({"thinking": {"type": "enabled", "budget_tokens": 50}} if way is TO_CHAT else {})
    whole = way.whole(answer, call)
    wire, splitter = b"".join(events), Splitter()
    ends = sorted({0, *(cut % (len(wire) + 1) for cut in cuts), len(wire)})
    cut = [splitter.feed(wire[start:end]) for start, end in pairwise(ends)]
    streamed = way.assembled(way.streamed(cut, call))
    assert plain(streamed) == plain(whole)


def plain(answer: dict[str, Any]) -> dict[str, Any]:
    """Without what only one form of an answer has, and arguments as what they say."""
    answer = {name: value for name, value in answer.items() if name not in ("created", "x_chuizi")}
    for choice in answer.get("choices", ()):
        choice.pop("logprobs", None)
        message = choice["message"]
        if not message.get("refusal"):
            message.pop("refusal", None)
        load_arguments(message)
    return answer


def load_arguments(message: dict[str, Any]) -> None:
    """How they are spelt is nobody's business."""
    for call in message.get("tool_calls", ()):
        call["function"]["arguments"] = json.loads(call["function"]["arguments"])


CUTS = st.lists(st.integers(0, 10_000), max_size=6)


@EXAMPLES
@given(ANSWERS, CUTS)
def test_chats_stream_and_json_are_one_answer_of_messages(answer, cuts):
    compared(TO_CHAT, chat_answer(*answer), chat_events(*answer, cuts), cuts)


@EXAMPLES
@given(ANSWERS, CUTS)
def test_messages_stream_and_json_are_one_chat_completion(answer, cuts):
    compared(TO_MESSAGES, message_answer(*answer), message_events(*answer, cuts), cuts)

"""The answer's own id becomes ours, wherever it stands; a tool call's id and a provider's are never touched."""

from itertools import permutations

import orjson
import pytest

from proxy.protocols.base import Manner
from proxy.protocols.openai.chat.stream import ChatStream
from proxy.protocols.sse import END, Splitter
from tests.proxy.conftest import only_generation
from tests.proxy.relay.answers.raw import answers, told

OURS = "gen-ours"
THEIRS = "chatcmpl-theirs"
PROVIDER = {"id": "provider-1", "name": "p"}
CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
SAME = {**CALL, "id": THEIRS}
MEMBERS = {
    "id": THEIRS,
    "object": "chat.completion.chunk",
    "provider": PROVIDER,
    "choices": [{"index": 0, "delta": {"content": "x", "tool_calls": [CALL]}, "finish_reason": None}],
}
IDS: dict[str, dict] = {"named": {}, "empty": {"id": ""}, "null": {"id": None}, "a number": {"id": 7}, "missing": {}}


def events(order: tuple[str, ...], kind: str, *, call: dict = CALL, spaced: bool = False) -> bytes:
    body = {name: {**MEMBERS, **IDS[kind]}[name] for name in order if kind != "missing" or name != "id"}
    for choice in body["choices"]:
        choice["delta"]["tool_calls"] = [call]
    text = orjson.dumps(body)
    if spaced:
        text = text.replace(b'":', b'": ').replace(b",", b", ")
    return 3 * (b"data: " + text + END)


def relayed(text: bytes, *, cut: int | None = None, asked: bool = True) -> list[dict]:
    stream, splitter = ChatStream(Manner(OURS), include_usage=asked), Splitter()
    pieces = [text] if cut is None else [text[:cut], text[cut:]]
    taken = b"".join(stream.take(splitter.feed(piece)) for piece in pieces)
    return [orjson.loads(event.removeprefix(b"data: ")) for event in taken.split(END) if event]


@pytest.mark.parametrize("kind", IDS)
@pytest.mark.parametrize("call", [CALL, SAME], ids=["its own", "that of the answer"])
def test_the_answers_own_id_becomes_ours_in_every_order_of_its_members(kind, call):
    for order in permutations(MEMBERS):
        for spaced in (False, True):
            chunks = relayed(events(order, kind, call=call, spaced=spaced))
            assert [chunk["id"] for chunk in chunks] == [OURS] * 3, order
            for chunk in chunks:
                assert chunk["provider"] == PROVIDER
                assert chunk["choices"][0]["delta"]["tool_calls"] == [call]


@pytest.mark.parametrize("order", [tuple(MEMBERS), tuple(reversed(MEMBERS)), ("provider", "id", "choices", "object")])
def test_a_cut_at_any_byte_changes_nothing(order):
    last = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"id":"%b"}\n\n' % THEIRS.encode()
    text = b": waiting\r\n\r\n" + events(order, "named").replace(b"\n", b"\r\n") + last + b"data: [DONE]\n\n"
    for asked in (True, False):
        whole = relayed(text, asked=asked)
        assert len(whole) == (4 if asked else 3)
        for cut in range(len(text)):
            assert relayed(text, cut=cut, asked=asked) == whole, cut


@pytest.mark.parametrize("kind", IDS)
@pytest.mark.parametrize("stream", [True, False])
def test_a_tool_call_keeps_its_id_through_the_gateway(gateway, upstream, kind, stream):
    order = ("choices", "provider", "object", "id")
    body = events(order, kind).partition(END)[0].removeprefix(b"data: ")
    if stream:
        answers(upstream, events(order, kind) + b"data: [DONE]\n\n", label="text/event-stream")
    else:
        answers(upstream, body.replace(b'"delta"', b'"message"'))
    _, said, _ = told(gateway, stream=stream)
    assert {event["id"] for event in said} == {only_generation().pk}
    message = said[0]["choices"][0]["delta" if stream else "message"]
    assert message["tool_calls"][0]["id"] == "call_1"
    if stream:
        assert said[-1]["choices"][0]["delta"] == {}

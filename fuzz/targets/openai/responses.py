"""Responses: any bytes are a request that every server reads alike, or the caller's fault; and a stream of any bytes is
relayed, counted and judged the same however the network cuts it. The first byte says which of the two the rest is."""

import json
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from fuzz.choices import Choices
from proxy.errors import Refusal
from proxy.prices.catalog import Destination, Entry
from proxy.prices.usage import Usage
from proxy.prices.versions import PriceVersion
from proxy.protocols.base import BadRequest, Charged, Habits, Manner, Reported
from proxy.protocols.endpoint import Asked
from proxy.protocols.openai.responses.endpoint import Responses
from proxy.protocols.openai.responses.stream import ResponseStream
from proxy.protocols.sse import END, Splitter

THERE = Destination("a/m", 1, "main", "openai", "http://127.0.0.1/v1", "k", "theirs", 1, 1)
RESPONSES = Responses()
ENTRY = Entry(
    1,
    "a/m",
    PriceVersion(1, "per_token", {"input": Decimal(1), "output": Decimal(1)}, Decimal(1)),
    (THERE,),
    None,
    9_000,
)
ASKED = b'"model":"m","max_output_tokens":5,"input":'
NESTED = b'[{"type":"namespace","name":"n","tools":[{"type":"web_search"},{"type":"custom","name":"x"}]}]'
REQUESTS = [
    b"{%b%b}" % (ASKED, b'"hi","stream":true,"instructions":"a","store":false'),
    b"{%b%b}" % (ASKED, b'[{"role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,AA"}]}]'),
    b"{%b%b}" % (ASKED, b'[{"type":"function_call_output","output":[{"type":"input_file","file_url":"u"}]}]'),
    b"{%b%b}" % (ASKED, b'"a","tools":[{"type":"web_search"},{"type":"function","name":"f"}],"tool_choice":"auto"'),
    b"{%b%b}" % (ASKED, b'[{"type":"additional_tools","tools":%b},{"role":"user","content":"a"}]' % NESTED),
    b"{%b%b}" % (ASKED, b'"a","tools":%b,"tool_choice":{"type":"mcp"},"max_tool_calls":3' % NESTED),
    b"{%b%b}" % (ASKED, b'[{"type":"item_reference","id":"i"}],"previous_response_id":"r","background":true'),
    b"{%b%b}" % (ASKED, b'[{"type":"newer","file_id":"f"}],"reasoning":{"mode":"pro"},"prompt":{"id":"p"}'),
    b"{%b%b}" % (ASKED, b'"a","Max_Output_Tokens":7,"max_output_token\\u0073":8,"context_management":[{}]'),
]  # fmt: skip
RESPONSE = b'{"id":"resp_1","object":"response","status":"completed","model":"m","output":[],"usage":%b}'
USAGE = b'{"input_tokens":3,"output_tokens":2,"total_tokens":5,"cost":0.1}'
EVENTS = [
    b'{"type":"response.created","response":%b}' % (RESPONSE % b"null"),
    b'{"type":"response.in_progress","response":%b}' % (RESPONSE % b"null"),
    b'{"type":"response.output_item.added","output_index":0,"item":{"type":"message","content":[]}}',
    b'{"type":"response.output_text.delta","delta":"one "}',
    b'{"type":"response.output_text.delta","delta":"two "}',
    b'{"type":"keepalive","sequence_number":3}',
    b'{"type":"response.output_item.done","output_index":0,"item":{"type":"message","content":[{"text":"one two "}]}}',
    b'{"type":"response.completed","response":%b}' % (RESPONSE % USAGE),
]
STREAM = b"".join(b"event: %b\ndata: %b\n\n" % (event.split(b'"')[3], event) for event in EVENTS)
FAILED = STREAM.replace(b"response.completed", b"response.failed").replace(
    b'"completed"', b'"failed","error":{"code":"x"}'
)
SEEDS = [
    *(b"\x00" + request for request in REQUESTS),
    b"\x01\x03\x00\x30\x00\x60\x00\x90".ljust(17, b"\x05") + STREAM,
    b"\x01".ljust(17, b"\x07") + STREAM.replace(b"\n", b"\r\n"),
    b"\x01".ljust(17, b"\x03") + FAILED,
    b"\x01".ljust(17, b"\x21") + STREAM[: STREAM.index(b"event: keepalive")],
    b"\x01".ljust(17, b"\x02") + STREAM[:300] + b'event: error\ndata: {"type":"error","message":"x"}\n\n',
    b"\x01".ljust(17, b"\x02") + b"".join(b"data: " + event + END for event in EVENTS),
]
WORDS = [
    *(b'"max_output_tokens":', b'"input":', b'"content":', b'"type":', b'"tools":', b'"tool_choice":', b'"file_id":'),
    *(b'"usage":', b'"error":', b'"response":', b'"response.completed"', b'"response.failed"', b"\\u0064", b'"delta":'),
    *(b"event: response.completed\n", b"event: error\n", b'"web_search"', b'"additional_tools"'),
]
EXAMPLES = 300
CHARGED = Charged(Manner("gen-ours"), 12, Decimal("0.00042000"))
USED = Usage(input_tokens=7, output_tokens=5)
REFUSAL = Refusal(502, "provider_error", "It failed.")
KEPT = frozenset({"conversation", "prompt", "n", "messages", "max_tokens"})


def check(data: bytes) -> None:
    if data[:1] == b"\x00":
        check_request(data[1:])
    else:
        plan = Choices(data[1:17])
        assert said(plan.cut(data[17:])) == said([data[17:]])


def check_request(raw: bytes) -> None:
    try:
        call = RESPONSES.check(RESPONSES.read(Asked(raw, {}, {})), ENTRY)
    except BadRequest:
        return
    sending = RESPONSES.dialects["openai"].request(call, THERE, output_limit=7, habits=Habits())
    readers: list[Any] = [dict, lambda pairs: dict(reversed(pairs)), lambda pairs: {n.casefold(): v for n, v in pairs}]
    for reader in readers:
        theirs = json.loads(b"".join(sending.body), object_pairs_hook=reader)
        assert (theirs["model"], theirs["max_output_tokens"]) == ("theirs", 7)
        assert bool(theirs.get("stream")) == call.stream
        assert not {name for name in KEPT & theirs.keys() if theirs[name] not in (None, False)}
        for tool in tools_of(theirs):
            assert not str(tool.get("type")).startswith(("web_search", "file_search", "code_", "image_gen", "mcp"))
        named = {theirs.get("previous_response_id")} - {None}
        given = theirs.get("input")
        for item in given if isinstance(given, list) else ():
            if item.get("type") == "item_reference":
                named.add(item["id"])
        assert named <= set(call.references)
        assert bool(theirs.get("background")) == (call.background_seconds is not None)


def tools_of(holder: Any) -> Iterator[dict[str, Any]]:
    """In a request, in its namespaces and in the items of its input that bring tools."""
    for tool in holder.get("tools") or ():
        yield tool
        if tool["type"] == "namespace":
            yield from tools_of(tool)
    given = holder.get("input")
    for item in given if isinstance(given, list) else ():
        if item.get("type") in ("additional_tools", "tool_search_output"):
            yield from tools_of(item)


def said(pieces: Iterable[bytes]) -> tuple[bytes, Reported, int, bool, object, bytes, bytes]:
    stream, splitter = ResponseStream(CHARGED.manner), Splitter()
    stream.remember()
    relayed = b"".join([stream.take(splitter.feed(piece)) for piece in pieces])
    relayed += stream.take(splitter.rest.rstrip() + END) if splitter.rest.strip() else b""
    if not stream.is_over:
        relayed += stream.stop()
    failed = stream.failed(REFUSAL, CHARGED, USED)
    tail = stream.tail(CHARGED, USED) if stream.done else stream.release()
    for event in (relayed + tail + failed).split(END)[:-1]:
        assert event.startswith(b"event: ")
    assert relayed.count(b"\nevent: response.completed\n") == 0
    return relayed, stream.reported, stream.content_bytes, stream.is_complete, stream.error, tail, failed

"""Messages: any bytes are a request that every server reads alike, or the caller's fault; and a stream of any bytes is
relayed, counted and judged the same however the network cuts it. The first byte says which of the two the rest is."""

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from fuzz.choices import Choices
from proxy.prices.catalog import Destination, Entry
from proxy.prices.usage import Usage
from proxy.prices.versions import PriceVersion
from proxy.protocols.anthropic.messages.endpoint import Messages
from proxy.protocols.anthropic.messages.stream import MessageStream
from proxy.protocols.base import BadRequest, Charged, Habits, Manner, Reported
from proxy.protocols.endpoint import Asked
from proxy.protocols.sse import END, Splitter

THERE = Destination("a/m", 1, "main", "anthropic", "http://127.0.0.1/v1", "k", "theirs", 1, 1, kind="anthropic")
MESSAGES = Messages()
ENTRY = Entry(
    1,
    "a/m",
    PriceVersion(1, "per_token", {"input": Decimal(1), "output": Decimal(1)}, Decimal(1)),
    (THERE,),
    None,
    9_000,
)
ASKED = b'"model":"m","max_tokens":5,"messages":[{"role":"user","content":'
REQUESTS = [
    b"{%b%b}" % (ASKED, b'"hi"}],"stream":true,"system":[{"type":"text","text":"a"}]'),
    b"{%b%b}" % (ASKED, b'[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA"}}]}]'),
    b"{%b%b}"
    % (ASKED, b'[{"type":"tool_result","content":[{"type":"document","source":{"type":"url","url":"u"}}]}]}]'),
    b"{%b%b}" % (ASKED, b'"a"}],"tools":[{"type":"web_search_20250305","name":"w"},{"name":"f","input_schema":{}}]'),
    b"{%b%b}" % (ASKED, b'"a"}],"tools":[{"type":"mcp_toolset"}],"tool_choice":{"type":"tool","name":"f"}'),
    b"{%b%b}" % (ASKED, b'[{"type":"x_tool_result","content":{"file_id":"f"}}]}],"thinking":{"budget_tokens":2}'),
    b"{%b%b}" % (ASKED, b'"a","Content":"b"}],"max_token\\u0073":7,"speed":"fast","container":"c"'),
]
EVENTS = [
    b'{"type":"message_start","message":{"id":"msg_1","model":"m","usage":{"input_tokens":3,"output_tokens":1}}}',
    b'{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
    b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"one "}}',
    b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"two "}}',
    b'{"type":"content_block_stop","index":0}',
    b'{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2,"cost":0.1}}',
    b'{"type":"message_stop"}',
]
STREAM = b"".join(b"event: %b\ndata: %b\n\n" % (event.split(b'"')[3], event) for event in EVENTS)
ONE = b"event: content_block_delta\ndata: %b\n\n" % EVENTS[2]
SEEDS = [
    *(b"\x00" + request for request in REQUESTS),
    b"\x01\x03\x00\x30\x00\x60\x00\x90".ljust(17, b"\x05") + STREAM,
    b"\x01".ljust(17, b"\x07") + STREAM.replace(b"\n", b"\r\n"),
    b"\x01".ljust(17, b"\x60") + STREAM.replace(ONE, 3 * ONE).replace(b'"two "', b'\ndata: "two "'),
    b"\x01".ljust(17, b"\x02") + STREAM[:300] + b'event: error\ndata: {"type":"error","error":{"type":"x"}}\n\n',
    b"\x01".ljust(17, b"\x02") + b"".join(b"data: " + event + END for event in EVENTS),
]
WORDS = [
    *(b'"max_tokens":', b'"messages":', b'"content":', b'"type":', b'"source":', b'"tools":', b'"tool_choice":'),
    *(b'"file_id":', b'"usage":', b'"error":', b'"iterations":', b'"message_delta"', b'"message_stop"', b"\\u0064"),
]
EXAMPLES = 300
CHARGED = Charged(Manner("gen-ours"), 12, Decimal("0.00042000"))
USED = Usage(input_tokens=7, output_tokens=5)


def check(data: bytes) -> None:
    if data[:1] == b"\x00":
        check_request(data[1:])
    else:
        plan = Choices(data[1:17])
        assert said(plan.cut(data[17:])) == said([data[17:]])


def check_request(raw: bytes) -> None:
    try:
        call = MESSAGES.check(MESSAGES.read(Asked(raw, {}, {})), ENTRY)
    except BadRequest:
        return
    sending = MESSAGES.dialects["anthropic"].request(call, THERE, output_limit=7, habits=Habits())
    readers: list[Any] = [dict, lambda pairs: dict(reversed(pairs)), lambda pairs: {n.casefold(): v for n, v in pairs}]
    for reader in readers:
        theirs = json.loads(b"".join(sending.body), object_pairs_hook=reader)
        assert (theirs["model"], theirs["max_tokens"], bool(theirs.get("stream"))) == ("theirs", 7, call.stream)
        assert not {"container", "mcp_servers", "fallbacks", "n"} & theirs.keys()
        for tool in theirs.get("tools") or ():
            assert not str(tool.get("type")).startswith(("web_", "code_", "mcp_", "tool_search"))
        for message in theirs["messages"]:
            content = message.get("content")
            for block in content if isinstance(content, list) else ():
                assert not (block["type"] in ("image", "document") and block["source"].get("file_id"))


def said(pieces: Iterable[bytes]) -> tuple[bytes, Reported, int, bool, object, bytes]:
    stream, splitter = MessageStream(Manner("gen-ours")), Splitter()
    try:
        relayed = b"".join([stream.take(splitter.feed(piece)) for piece in pieces])
        relayed += stream.take(splitter.rest.rstrip() + END) if splitter.rest.strip() else b""
    except ValueError:  # too many events behind the last: the answer is cut
        return b"", Reported(None), 0, False, None, b""
    tail = stream.tail(CHARGED, USED)
    for event in (relayed + tail).split(END)[:-1]:
        assert event.startswith(b"event: ")
        assert not event.startswith(b"event: message_stop\n")
    return relayed, stream.reported, stream.content_bytes, stream.is_complete, stream.error, tail

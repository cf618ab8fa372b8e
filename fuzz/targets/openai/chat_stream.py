"""A stream of any bytes is relayed, counted and judged the same however the network cuts it."""

from collections.abc import Iterable
from decimal import Decimal

from fuzz.choices import Choices
from proxy.prices.usage import Usage
from proxy.protocols.base import Charged, Manner, Reported
from proxy.protocols.openai.chat.stream import ChatStream
from proxy.protocols.sse import END, Splitter

HEAD = b'"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m"'
SEEDS = [
    b"\x03\x00\x30\x00\x60\x00\x90"
    + b"".join(
        b"data: " + data + END
        for data in (
            b"{%b,%b}" % (HEAD, b'"choices":[{"index":0,"delta":{"content":"one "},"finish_reason":null}]'),
            b"{%b,%b}" % (b'"choices":[{"index":0,"delta":{"content":"two "}}]', HEAD),
            b"{%b,%b}" % (HEAD, b'"choices":[{"index":0,"delta":{"tool_calls":[{"id":"c","function":{"name":"f"}}]}}]'),
            b"{%b,%b}" % (HEAD, b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]'),
            b"{%b,%b}" % (HEAD, b'"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}'),
            b"[DONE]",
        )
    ),
    b"\x02\x00\x10\x00\x20"
    b'data: {"error":{"message":"m"},"choices":[{"delta":{"content":"x"},"finish_reason":"error"}]}\n\n',
    b'\x01\x00\x05: waiting\r\n\r\nerror: {"code":1,"message":"m"}\r\n\r\n{"base_resp":{"status_code":1004}}\n\n',
]
CHARGED = Charged(Manner("gen-ours"), 12, Decimal("0.00042000"))
USED = Usage(input_tokens=7, output_tokens=5)


def check(data: bytes) -> None:
    plan = Choices(data[:16])
    asked = bool(plan.number(2))
    assert said(plan.cut(data[16:]), asked) == said([data[16:]], asked)


def said(pieces: Iterable[bytes], asked: bool) -> tuple[bytes, Reported, int, bool, object, bytes]:
    stream, splitter = ChatStream(Manner("gen-ours"), include_usage=asked), Splitter()
    relayed = b"".join([stream.take(splitter.feed(piece)) for piece in pieces])
    relayed += stream.take(splitter.rest.rstrip() + END) if splitter.rest.strip() else b""
    for event in relayed.split(END)[:-1]:
        assert event.startswith(b"data: {")
    return (
        relayed,
        stream.reported,
        stream.content_bytes,
        stream.is_complete,
        stream.error,
        stream.tail(CHARGED, USED),
    )

"""A stream of server-sent events is the same events however the network cuts it."""

from fuzz.choices import Choices
from proxy.protocols.sse import Splitter, data_of, events_of

SEEDS = [
    b'\x03\x05\x09\x02data: {"choices": []}\n\n: a comment\n\ndata: [DONE]\n\n',
    b"\x02\x04\x11event: error\r\ndata: one\r\ndata: two\r\n\r\ndata: half",
]


def check(data: bytes) -> None:
    plan = Choices(data[:16])
    text = data[16:]
    pieces, whole = Splitter(), Splitter()
    cut = [event for piece in plan.cut(text) for event in said(pieces.feed(piece))]
    assert cut == said(whole.feed(text))


def said(events: bytes) -> list[bytes]:
    return [text for event in events_of(events) if (text := data_of(event))]

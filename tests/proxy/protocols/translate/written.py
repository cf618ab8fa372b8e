"""Responses without a gateway: requests as they are read, answers as they are written."""

from decimal import Decimal
from typing import Any

import orjson

from proxy.prices.usage import Usage
from proxy.protocols.base import Charged, Habits, Manner
from proxy.protocols.openai.responses.neutral import asked, telling
from proxy.protocols.openai.responses.neutral.names import Names

CHARGED = Charged(Manner("gen-0123456789abcdefghijklmn"), 7, Decimal("0.00042000"))
USED = Usage(input_tokens=20, output_tokens=5)
HABITS = Habits()


def read(body: dict[str, Any]) -> asked.NamedForm:
    return asked.read(orjson.dumps({"input": "Hi", **body})[1:-1], stream=False, tier=None)


def frame(rest: bytes = b"") -> telling.Frame:
    return telling.Frame(rest, output_limit=100, generation_id=CHARGED.generation_id)


def streamed(events: list[Any], cuts: set[int] = frozenset(), offered: Names | None = None) -> bytes:
    """As it is written where what is told comes in several runs."""
    writer, written, run = telling.Writer(frame(), offered or Names()), b"", []
    for at, event in enumerate(events):
        run.append(event)
        if at in cuts:
            written, run = written + writer.write(run), []
    return written + writer.write(run) + writer.last(CHARGED, USED)


def data(stream: bytes) -> list[Any]:
    return [orjson.loads(event.partition(b"\ndata: ")[2]) for event in stream.split(b"\n\n") if event]


def whole(events: list[Any], offered: Names | None = None) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(telling.whole(frame(), offered or Names(), events, CHARGED, USED, None))
    return found

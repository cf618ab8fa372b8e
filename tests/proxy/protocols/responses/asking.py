"""A request to Responses as the tests of its reader write it, and what a model is held to."""

from dataclasses import replace
from typing import Any

import orjson

from proxy.prices.catalog import Destination, Entry
from proxy.protocols.base import Habits
from proxy.protocols.endpoint import Asked
from proxy.protocols.openai.responses.asked.call import ResponsesCall
from proxy.protocols.openai.responses.endpoint import Responses
from tests.proxy.prices.steps import priced

THERE = Destination("a/m", 1, "main", "openai", "http://127.0.0.1/v1", "k", "theirs", 1, 1)
RELAYED = replace(THERE, kind="relay")
CONTEXT = 100_000
LOOK = {"type": "function", "name": "look", "parameters": {"type": "object"}}
GRAMMAR = {
    "type": "custom",
    "name": "exec",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: /x/"},
}
SEARCH = {"type": "web_search", "external_web_access": False}
RESPONSES = Responses()
PIXEL = "data:image/png;base64," + "A" * 1_000


def entry(*, max_tool_calls: int = 0, context: int | None = CONTEXT, **price: Any) -> Entry:
    rates = {"input": "10", "output": "40", **price}
    return Entry(1, "a/m", priced(rates), (THERE,), 10_000, context, max_tool_calls)


def body(**fields: Any) -> bytes:
    return orjson.dumps({"model": "m", "input": "hello", **fields})


def read(raw: bytes | None = None, *, headers: dict[bytes, bytes] | None = None, **fields: Any) -> ResponsesCall:
    return RESPONSES.read(Asked(body(**fields) if raw is None else raw, {}, headers or {}))


def said(*parts: Any) -> list[dict[str, Any]]:
    """An input of one message with these parts."""
    return [{"type": "message", "role": "user", "content": list(parts)}]


def sent(call: ResponsesCall, destination: Destination = THERE) -> Any:
    """The body that goes upstream."""
    dialect = RESPONSES.dialects["openai"]
    sending = dialect.request(call, destination, output_limit=call.output_limit, habits=Habits())
    return orjson.loads(b"".join(sending.body))

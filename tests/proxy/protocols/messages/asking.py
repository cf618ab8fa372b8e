"""A request to Messages as the tests of its reader write it, and what a model is held to."""

from typing import Any

import orjson

from proxy.prices.catalog import Destination, Entry
from proxy.protocols.anthropic.messages.asked.call import MessagesCall
from proxy.protocols.anthropic.messages.endpoint import Messages
from proxy.protocols.base import Habits
from proxy.protocols.endpoint import Asked
from tests.proxy.prices.steps import priced

THERE = Destination("a/m", 1, "main", "anthropic", "http://127.0.0.1/v1", "k", "theirs", 1, 1, kind="anthropic")
HELLO = [{"role": "user", "content": "hello"}]
CONTEXT = 100_000
LOOK = {"name": "look", "input_schema": {"type": "object"}}
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 9, "allowed_domains": ["example.com"]}
MESSAGES = Messages()


def entry(*, max_tool_calls: int = 0, context: int | None = CONTEXT, **price: Any) -> Entry:
    rates = {"input": "10", "output": "40", **price}
    return Entry(1, "a/m", priced(rates), (THERE,), 10_000, context, max_tool_calls)


def body(**fields: Any) -> bytes:
    return orjson.dumps({"model": "m", "max_tokens": 1_000, "messages": HELLO, **fields})


def read(raw: bytes | None = None, *, headers: dict[bytes, bytes] | None = None, **fields: Any) -> MessagesCall:
    return MESSAGES.read(Asked(body(**fields) if raw is None else raw, {}, headers or {}))


def sent(call: MessagesCall) -> Any:
    """The body that goes upstream."""
    sending = MESSAGES.dialects["anthropic"].request(call, THERE, output_limit=call.output_limit, habits=Habits())
    return orjson.loads(b"".join(sending.body))

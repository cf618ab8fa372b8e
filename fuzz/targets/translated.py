"""Any bytes that a caller may send are translated, or refused by name; and any answer of an upstream is one that the
caller's own reader takes, with what was charged."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson

from fuzz.targets import messages
from fuzz.targets.openai import chat_stream
from proxy.gateway.routes import CHAT, MESSAGES
from proxy.prices.catalog import Destination
from proxy.prices.usage import Usage
from proxy.protocols.base import BadRequest, Charged, Habits, Manner, Translation
from proxy.protocols.endpoint import Asked
from proxy.protocols.sse import END, Splitter, data_of, events_of

THERE = Destination("a/m", 1, "main", "any", "http://127.0.0.1/v1", "k", "theirs", 1, 1, kind="vllm")
WAYS = [(CHAT, MESSAGES), (MESSAGES, CHAT)]
CHATS = [
    b'{"model":"m","messages":[{"role":"system","content":"a"},{"role":"user","content":[{"type":"text","text":"b"}]},'
    b'{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f",'
    b'"arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"d"}],"stop":"e","reasoning_effort":"low"}',
    b'{"model":"m","messages":[{"role":"user","content":"a"}],"tools":[{"type":"function","function":{"name":"f",'
    b'"parameters":{"a":1}}}],"tool_choice":"auto","response_format":{"type":"json_object"},"seed":1}',
]
SEEDS = [
    *(b"\x00" + request for request in CHATS),
    *(b"\x01" + request for request in messages.REQUESTS),
    b"\x02" + messages.STREAM,
    *(b"\x03" + seed[seed.find(b"data:") :] for seed in chat_stream.SEEDS if b"data:" in seed),
]
WORDS = [*messages.WORDS, b'"tool_calls":', b'"arguments":', b'"delta":', b'"finish_reason":', b'"role":']
EXAMPLES = 300
CHARGED = Charged(Manner("gen-ours"), 12, Decimal("0.00042000"))
USED = Usage(input_tokens=7, output_tokens=5)


def check(data: bytes) -> None:
    kind, rest = (data[0] if data else 0) % 4, data[1:]
    caller, upstream = WAYS[kind % 2]
    if kind < 2:
        check_request(caller, upstream, rest)
    else:
        check_stream(caller, upstream, rest)


def check_request(caller: Any, upstream: Any, raw: bytes) -> None:
    try:
        call = replace(caller.read(Asked(raw, {}, {})), translation=Translation())
        sending = caller.dialects[upstream.name].request(call, THERE, output_limit=7, habits=Habits())
    except BadRequest:
        return
    body = b"".join(sending.body)
    sent = orjson.loads(body)
    assert (sent["model"], bool(sent.get("stream"))) == ("theirs", call.stream)
    assert sent["messages"]
    again = upstream.read(Asked(body, {}, {}))  # what we write is what our own reader takes
    assert again.output_limit == 7


def check_stream(caller: Any, upstream: Any, raw: bytes) -> None:
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "a"}]}
    body |= {"thinking": {"type": "adaptive"}}
    call = caller.read(Asked(orjson.dumps(body), {}, {}))
    stream, splitter = caller.dialects[upstream.name].events(call, Manner("gen-ours")), Splitter()
    try:
        said = stream.take(splitter.feed(raw))
        said += stream.take(splitter.rest.rstrip() + END) if splitter.rest.strip() else b""
    except ValueError:
        return
    if stream.failure is not None:
        return
    said += stream.tail(CHARGED, USED) + caller.end
    events = [data_of(event) for event in events_of(said)]
    told = [orjson.loads(data) for data in events if data != b"[DONE]"]
    assert sum("x_chuizi" in one for one in told) == 1
    assembly = caller.dialects[caller.name].assembly()
    assembly.take(said)
    assert assembly.is_complete
    assert orjson.loads(orjson.dumps(assembly.whole()))

"""Translation, each way: any bytes are a request of another protocol, or the caller's fault; and a stream of any bytes
tells its caller the same however the network cuts it. The first byte says which way, and which of the two the rest is.
"""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson

from fuzz.choices import Choices
from fuzz.targets import messages
from proxy.gateway.routes import CHAT, MESSAGES, RESPONSES
from proxy.prices.catalog import Destination
from proxy.prices.usage import Usage
from proxy.protocols.base import BadRequest, Charged, Habits, Manner, Translation
from proxy.protocols.endpoint import Asked, Endpoint
from proxy.protocols.sse import END, Splitter

ENDPOINTS: tuple[Endpoint[Any], ...] = (CHAT, MESSAGES, RESPONSES)
WAYS = [(caller, upstream) for caller in ENDPOINTS for upstream in ENDPOINTS if caller is not upstream]
LIMITS = {CHAT.path: "max_tokens", MESSAGES.path: "max_tokens", RESPONSES.path: "max_output_tokens"}
TURN = b'{"type":"message","role":"user","content":[{"type":"input_text","text":"Hi"}]}'
REQUESTS = {
    CHAT.path: [
        b'{"model":"m","messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":null,"tool_calls":'
        b'[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},'
        b'{"role":"tool","tool_call_id":"c","content":"a"}],"tools":[{"type":"custom","custom":{"name":"f"}}]}',
    ],
    MESSAGES.path: messages.REQUESTS,
    RESPONSES.path: [
        b'{"model":"m","input":[%b,{"type":"custom_tool_call","call_id":"c","name":"f","input":"a"},'
        b'{"type":"custom_tool_call_output","call_id":"c","output":[{"type":"input_text","text":"b"}]}],'
        b'"tools":[{"type":"namespace","name":"n","tools":[{"type":"custom","name":"f"}]}]}' % TURN,
        b'{"model":"m","input":[{"type":"reasoning","summary":[{"type":"summary_text","text":"a"}],'
        b'"encrypted_content":"chuizi1.open.anthropic.s"},{"type":"function_call","call_id":"c","name":"f",'
        b'"arguments":"{"},{"type":"function_call_output","call_id":"c","output":""}],"text":{"format":{"type":"text"}},'
        b'"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[]},"reasoning":{"effort":"low"}}',
    ],
}
CHUNK = b'data: {"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":%b}]}\n\n'
ITEM = b'"output_index":0,"item":{"id":"i","type":"custom_tool_call","call_id":"c","name":"f","input":%b}'
STREAMS = {
    CHAT.path: CHUNK % b'{"role":"assistant","reasoning_content":"a"}'
    + CHUNK % b'{"content":"one"}'
    + CHUNK % b'{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{"}}]}'
    + CHUNK.replace(b'"index":0,', b'"index":0,"finish_reason":"stop",') % b"{}"
    + b"data: [DONE]\n\n",
    MESSAGES.path: messages.STREAM,
    RESPONSES.path: b"".join(
        b"event: response.%b\ndata: {\"type\":\"response.%b\",%b}\n\n" % (kind, kind, said)
        for kind, said in (
            (b"created", b'"response":{"id":"r","model":"m"}'),
            (b"output_item.added", ITEM % b'""'),
            (b"custom_tool_call_input.delta", b'"output_index":0,"delta":"a"'),
            (b"output_item.done", ITEM % b'"a"'),
            (b"output_text.delta", b'"output_index":1,"delta":"one"'),
            (b"completed", b'"response":{"id":"r","status":"completed","output":[],"usage":{"input_tokens":1}}'),
        )
    ),
}  # fmt: skip
SEEDS = [
    *(bytes([2 * at]) + body for at, (caller, _) in enumerate(WAYS) for body in REQUESTS[caller.path]),
    *(bytes([2 * at + 1]).ljust(17, b"\x05") + STREAMS[upstream.path] for at, (_, upstream) in enumerate(WAYS)),
]
WORDS = [
    *(b'"messages":', b'"input":', b'"content":', b'"type":', b'"tools":', b'"tool_choice":', b'"call_id":'),
    *(b'"delta":', b'"item":', b'"output_index":', b'"index":', b'"finish_reason":', b'"tool_calls":', b'"error":'),
]
CHARGED = Charged(Manner("gen-ours"), 12, Decimal("0.00042000"))
USED = Usage(input_tokens=7, output_tokens=5)


def check(data: bytes) -> None:
    at, kind = divmod(data[0] if data else 0, 2)
    caller, upstream = WAYS[at % len(WAYS)]
    if kind == 0:
        check_request(caller, upstream, data[1:])
    else:
        pieces = Choices(data[1:17]).cut(data[17:])
        assert said(caller, upstream, pieces) == said(caller, upstream, [data[17:]])


def there(upstream: Endpoint[Any]) -> Destination:
    path = upstream.dialects[upstream.name].asks
    where = ("u", upstream.name, "http://127.0.0.1/v1", "k", "theirs")
    return Destination("a/m", 1, *where, 1, 1, kind="vllm", paths=frozenset({path}))


def check_request(caller: Endpoint[Any], upstream: Endpoint[Any], raw: bytes) -> None:
    destination = there(upstream)
    dialect = caller.dialect(destination)
    assert dialect is not None
    try:
        call = replace(caller.read(Asked(raw, {}, {})), translation=Translation())
        sending = dialect.request(call, destination, output_limit=7, habits=Habits())
    except BadRequest:
        return
    theirs = orjson.loads(b"".join(sending.body))
    assert (theirs["model"], theirs[LIMITS[upstream.path]]) == ("theirs", 7)
    assert bool(theirs.get("stream")) == call.stream


def said(caller: Endpoint[Any], upstream: Endpoint[Any], pieces: Iterable[bytes]) -> object:
    """What the caller makes of it."""
    call = replace(caller.read(Asked(REQUESTS[caller.path][0], {}, {})), translation=Translation())
    dialect = caller.dialect(there(upstream))
    assert dialect is not None
    stream, splitter = dialect.events(call, CHARGED.manner), Splitter()
    try:
        told = b"".join([stream.take(splitter.feed(piece)) for piece in pieces])
        told += stream.take(splitter.rest.rstrip() + END) if splitter.rest.strip() else b""
    except ValueError:  # too many events behind the last: the answer is cut
        return None
    if stream.failure is not None or not stream.is_complete or not stream.is_answer:
        return stream.failure is not None
    told += stream.tail(CHARGED, USED) + caller.end
    assembly = caller.dialects[caller.name].assembly()
    for event in told.split(END)[:-1]:
        assembly.take(event + END)
    whole: dict[str, Any] = assembly.whole()
    return {name: value for name, value in whole.items() if name not in ("created", "created_at", "completed_at")}

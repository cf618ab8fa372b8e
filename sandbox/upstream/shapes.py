"""The shapes in which upstreams that call themselves compatible answer: asked for as faults are, by `"fault": NAME`.

Each is made of the words and the usage of the plain answer, so that what a gateway makes of it can be compared.
"""

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import orjson

Chunk = dict[str, Any]
KEY, HOST = "sk-upstream-sandbox", "gpu-7.internal"
SECRET = f"quota of org-abcdef123456 is used up at {HOST}:8000 ({KEY})"
ERROR = {"message": SECRET, "type": "server_error", "code": 500}
DONE = b"data: [DONE]\n\n"
JSON, EVENTS = "application/json", "text/event-stream; charset=utf-8"
WAIT = 17
TOKENS = ("prompt_tokens", "completion_tokens", "total_tokens")


@dataclass(frozen=True)
class Sent:
    """What goes out: a body, its content type, status and headers."""

    body: bytes
    label: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Said:
    """The plain answer: whole, and as chunks of which the last one has the usage and no choices."""

    whole: Chunk
    chunks: list[Chunk]
    is_stream: bool

    def plain(self) -> Sent:
        return self.framed(self.whole, self.chunks)

    def framed(self, whole: Chunk, chunks: list[Chunk], **headers: str) -> Sent:
        """Under the honest label of what was asked."""
        if self.is_stream:
            return Sent(events(chunks) + DONE, EVENTS, headers=headers)
        return Sent(orjson.dumps(whole), JSON, headers=headers)

    def with_usage(self, change: Callable[[Chunk], Chunk]) -> Sent:
        """`change` takes a chunk, or the whole, that has `usage`."""
        last = change(dict(self.chunks[-1]))
        return self.framed(change(dict(self.whole)), [*self.chunks[:-1], last])

    def each(self, change: Callable[[Chunk], Chunk]) -> Sent:
        return self.framed(change(dict(self.whole)), [change(dict(chunk)) for chunk in self.chunks])


def events(chunks: list[Chunk]) -> bytes:
    return b"".join(b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks)


def _failed(body: Any) -> Callable[[Said], Sent]:
    """A success that says that it failed, alone or as the only event."""

    def make(said: Said) -> Sent:
        data = orjson.dumps(body)
        return Sent(b"data: " + data + b"\n\n" + DONE, EVENTS) if said.is_stream else Sent(data, JSON)

    return make


def _refused(status: int, body: bytes, label: str = JSON, **headers: str) -> Callable[[Said], Sent]:
    return lambda said: Sent(body, label, status, {name.replace("_", "-"): value for name, value in headers.items()})


def _error_beside_choices(said: Said) -> Sent:
    ending = {**said.chunks[-2], "error": ERROR, "choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]}
    return said.framed({**said.whole, "error": ERROR}, [*said.chunks[:-2], ending])


def _error_in_choice(said: Said) -> Sent:
    choice = {**said.whole["choices"][0], "error": ERROR}
    ending = {**said.chunks[-2], "choices": [{"index": 0, "delta": {}, "error": ERROR, "finish_reason": None}]}
    return said.framed({**said.whole, "choices": [choice]}, [*said.chunks[:-2], ending])


def _labelled(label: str) -> Callable[[Said], Sent]:
    return lambda said: Sent(said.plain().body, label)


def _labelled_wrong(said: Said) -> Sent:
    return Sent(said.plain().body, JSON if said.is_stream else EVENTS)


def _other_framing(said: Said) -> Sent:
    """Events where JSON was asked, and the other way round."""
    if said.is_stream:
        return Sent(orjson.dumps(said.whole), JSON)
    return Sent(events(said.chunks) + DONE, EVENTS)


def _gzipped(said: Said) -> Sent:
    sent = said.plain()
    return Sent(gzip.compress(sent.body), sent.label, headers={"Content-Encoding": "gzip"})


def _id(change: Callable[[Chunk], Chunk]) -> Callable[[Said], Sent]:
    return lambda said: said.each(change)


def _last(chunk: Chunk) -> Chunk:
    return {**{name: value for name, value in chunk.items() if name != "id"}, "id": chunk["id"]}


def _without_usage(said: Said, message: Chunk) -> Sent:
    """Only `message` was produced, and no usage is told of it."""
    choice = {**said.whole["choices"][0], "message": {"role": "assistant", "content": None, **message}}
    whole = {name: value for name, value in said.whole.items() if name != "usage"} | {"choices": [choice]}
    first = {
        **said.chunks[0],
        "choices": [{"index": 0, "delta": {"role": "assistant", **message}, "finish_reason": None}],
    }
    return said.framed(whole, [first, said.chunks[-2]])


LOOK = {"name": "look", "arguments": '{"at":"the sky"}'}
CALLS = [{"index": 0, "id": "call_1", "type": "function", "function": LOOK}]
REASONING = "Let me see. " * 4
MINIMAX = {"base_resp": {"status_code": 1004, "status_msg": SECRET}, "choices": None}
BIG = b"340282366920938463463374607431768211455"


def _usage(change: Callable[[Chunk], Any]) -> Callable[[Said], Sent]:
    return lambda said: said.with_usage(lambda chunk: {**chunk, "usage": change(chunk["usage"])})


def _usage_in_choice(said: Said) -> Sent:
    choice = {**said.whole["choices"][0], "usage": said.whole["usage"]}
    whole = {name: value for name, value in said.whole.items() if name != "usage"} | {"choices": [choice]}
    ending = said.chunks[-2]
    closing = {**ending, "choices": [{**ending["choices"][0], "usage": said.whole["usage"]}]}
    return said.framed(whole, [*said.chunks[:-2], closing])


def _x_groq(chunk: Chunk) -> Chunk:
    return {**{n: v for n, v in chunk.items() if n != "usage"}, "x_groq": {"id": "req_1", "usage": chunk["usage"]}}


def _spelt(old: bytes, new: bytes, **fields: Any) -> Callable[[Said], Sent]:
    """Fields whose value orjson would not write: `old` stands for it."""

    def make(said: Said) -> Sent:
        sent = said.each(lambda chunk: {**chunk, **fields})
        return Sent(sent.body.replace(old, new), sent.label)

    return make


def _with_bom(said: Said) -> Sent:
    sent = said.plain()
    return Sent(b"\xef\xbb\xbf" + sent.body, sent.label)


def _comments(said: Said) -> Sent:
    sent = said.plain()
    return Sent(b": OPENROUTER PROCESSING\n\n" * 3 + sent.body, sent.label) if said.is_stream else sent


def _soon() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=WAIT), usegmt=True)


SHAPES: dict[str, tuple[str, Callable[[Said], Sent]]] = {
    "error-beside-choices": ("OpenRouter: words, then an error beside choices", _error_beside_choices),
    "error-in-choice": ("words, then an error inside of the choice", _error_in_choice),
    "vllm-400": ("vLLM's flat error", _refused(400, orjson.dumps({"object": "error", "message": SECRET, "code": 400}))),
    "google-400": ("Google's list", _refused(400, orjson.dumps([{"error": {"code": 400, "message": SECRET}}]))),
    "fastapi-422": ("a detail", _refused(422, orjson.dumps({"detail": [{"loc": ["body"], "msg": SECRET}]}))),
    "events-400": ("a 400 framed as events", _refused(400, b'data: {"error":{"message":"bad"}}\n\n', EVENTS)),
    "too-long-400": (
        "a code that agents act upon",
        _refused(400, orjson.dumps({"error": {"message": SECRET, "code": "context_length_exceeded"}})),
    ),
    "html-400": ("a page", _refused(400, b"<html><body>gpu-7.internal</body></html>", "text/html")),
    "busy-503": ("503 with a time to wait", _refused(503, b"{}", Retry_After=str(WAIT))),
    "overloaded-529": ("529 with a time to wait", _refused(529, b"{}", Retry_After=str(WAIT))),
    "busy-date": ("503 with a date to wait for", lambda said: Sent(b"{}", JSON, 503, {"Retry-After": _soon()})),
    "minimax": (
        "MiniMax's status",
        _failed(MINIMAX),
    ),
    "code-message": ("a code and a message", _failed({"code": "Throttling", "message": SECRET})),
    "only-done": ("nothing but the end", lambda said: Sent(DONE if said.is_stream else b"{}", EVENTS)),
    "empty-choices": ("no choice", _failed({"id": "1", "object": "chat.completion", "choices": []})),
    "labelled-plain": ("any framing as text/plain", _labelled("text/plain")),
    "labelled-other": (
        "events as JSON and JSON as events",
        lambda said: _labelled(JSON if said.is_stream else EVENTS)(said),
    ),
    "other-framing": ("JSON for events, events for JSON", _other_framing),
    "gzipped": ("gzip that nobody asked for", _gzipped),
    "id-last": ("DashScope: choices before the id", _id(_last)),
    "id-missing": ("no id", _id(lambda chunk: {n: v for n, v in chunk.items() if n != "id"})),
    "id-empty": ("an empty id", _id(lambda chunk: {**chunk, "id": ""})),
    "id-of-another-first": ("a provider's id first", _id(lambda chunk: {"provider": {"id": "p-1"}, **_last(chunk)})),
    "no-usage-calls": ("tool calls without usage", lambda said: _without_usage(said, {"tool_calls": CALLS})),
    "no-usage-reasoning": (
        "reasoning without usage",
        lambda said: _without_usage(said, {"reasoning": REASONING}),
    ),
    "usage-in-choice": ("usage in the choice", _usage_in_choice),
    "usage-in-x-groq": ("usage in x_groq", lambda said: said.with_usage(_x_groq)),
    "usage-floats": ("whole numbers as floats", _usage(lambda told: {n: float(told[n]) for n in TOKENS})),
    "usage-other-names": (
        "input_tokens and output_tokens",
        _usage(lambda told: {"input_tokens": told["prompt_tokens"], "output_tokens": told["completion_tokens"]}),
    ),
    "usage-zeros": ("zeros beside an answer", _usage(lambda told: dict.fromkeys(TOKENS, 0))),
    "usage-no-completion": ("no completion_tokens", _usage(lambda told: {"prompt_tokens": told["prompt_tokens"]})),
    "usage-anthropic-way": (
        "cached tokens beside the prompt's",
        _usage(lambda told: {**told, "prompt_tokens_details": {"cached_tokens": told["prompt_tokens"] + 900}}),
    ),
    "comments-first": ("comments that keep the connection", _comments),
    "nan-logprobs": ("-Infinity in logprobs", _spelt(b'"NAN"', b"-Infinity", service_logprob="NAN")),
    "half-emoji": ("half an emoji as an escape", _spelt(b'"HALF"', b'"\\ud83d"', emoji="HALF")),
    "big-integer": (
        "an integer beyond 64 bits",
        _spelt(b'"BIG"', BIG, big="BIG"),
    ),
    "bom": ("a byte order mark", _with_bom),
    "stated-cost": ("a cost of its own", _usage(lambda told: {**told, "cost": 0.0000001, "cost_details": {"a": 1}})),
    "dear-cost": ("a cost beyond any price", _usage(lambda told: {**told, "cost": 9.5})),
    "dear-tier": ("served at a dearer tier", _id(lambda chunk: {**chunk, "service_tier": "priority"})),
}

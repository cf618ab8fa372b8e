"""The shapes in which upstreams that call themselves compatible answer Messages: asked for by `"fault": NAME`.

As in `shapes`, each is made of the words and the usage of the plain answer.
"""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from sandbox.upstream.shapes import BIG, EVENTS, HOST, JSON, KEY, SECRET, WAIT, Sent

Event = dict[str, Any]
ERROR = {"type": "api_error", "message": SECRET}


def framed(event: Event) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event))


@dataclass(frozen=True)
class Said:
    """The plain answer: whole, and as events."""

    whole: Event
    events: list[Event]
    is_stream: bool

    def plain(self) -> Sent:
        return self.framed(self.whole, self.events)

    def framed(self, whole: Event, events: list[Event], **headers: str) -> Sent:
        """Under the honest label of what was asked."""
        if self.is_stream:
            return Sent(b"".join(map(framed, events)), EVENTS, headers=headers)
        return Sent(orjson.dumps(whole), JSON, headers=headers)

    def with_usage(self, change: Callable[[Event], Event | None]) -> Sent:
        """`change` takes the usage of the end, or of the whole; None takes it away."""

        def changed(holder: Event) -> Event:
            kept = {name: value for name, value in holder.items() if name != "usage"}
            usage = change(dict(holder["usage"]))
            return kept if usage is None else {**kept, "usage": usage}

        events = [changed(event) if event["type"] == "message_delta" else event for event in self.events]
        return self.framed(changed(self.whole), events)

    def without_usage(self, *blocks: Event) -> Sent:
        """Only these blocks were produced, and no usage is told."""
        whole = {name: value for name, value in self.whole.items() if name != "usage"}
        head = {**whole, "content": [], "stop_reason": None}
        events: list[Event] = [{"type": "message_start", "message": head}]
        for index, block in enumerate(blocks):
            events.append({"type": "content_block_start", "index": index, "content_block": block})
            events.append({"type": "content_block_stop", "index": index})
        end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
        return self.framed({**whole, "content": list(blocks)}, [*events, end, {"type": "message_stop"}])


Shape = Callable[[Said], Sent]


def _failed(error: Event, *, after: int = 0) -> Shape:
    """A success that says that it failed, as the only event or behind so many."""

    def make(said: Said) -> Sent:
        told = {"type": "error", "error": error}
        if said.is_stream:
            return said.framed({}, [*said.events[:after], told])
        return Sent(orjson.dumps(told), JSON)

    return make


def _refused(status: int, error: Event, label: str = JSON, **headers: str) -> Shape:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = orjson.dumps({"type": "error", "error": error, "request_id": "req_theirs"})
    return lambda said: Sent(body, label, status, named)


def _words_then_error(said: Said) -> Sent:
    events = [event for event in said.events if not event["type"].startswith("message_") or event["type"].endswith("t")]
    return said.framed({**said.whole, "error": ERROR}, [*events[:-1], {"type": "error", "error": ERROR}])


def _spelt(old: bytes, new: bytes, value: str) -> Shape:
    """A member whose value orjson would not write: `value` stands for it."""

    def make(said: Said) -> Sent:
        sent = said.framed({**said.whole, "odd": value}, [{**event, "odd": value} for event in said.events])
        return Sent(sent.body.replace(old, new), sent.label)

    return make


def _unnamed(said: Said) -> Sent:
    sent = said.plain()
    lines = [line for line in sent.body.split(b"\n") if not line.startswith(b"event:")]
    return Sent(b"\n".join(lines), sent.label) if said.is_stream else sent


def _with(before: bytes) -> Shape:
    return lambda said: Sent(before + said.plain().body, said.plain().label)


def _other_framing(said: Said) -> Sent:
    """Events where JSON was asked, and the other way round."""
    if said.is_stream:
        return Sent(orjson.dumps(said.whole), JSON)
    return Sent(b"".join(map(framed, said.events)), EVENTS)


def _crlf(said: Said) -> Sent:
    sent = said.plain()
    return Sent(sent.body.replace(b"\n", b"\r\n"), sent.label)


def _gzipped(said: Said) -> Sent:
    sent = said.plain()
    return Sent(gzip.compress(sent.body), sent.label, headers={"Content-Encoding": "gzip"})


def _labelled(said: Said) -> Sent:
    return Sent(said.plain().body, JSON if said.is_stream else EVENTS)


def _newer(said: Said) -> Sent:
    """Events and members that nobody knows yet."""
    new = {"type": "newer_thing", "value": {"a": 1}}
    whole = {**said.whole, "newer": new}
    return said.framed(whole, [*said.events[:3], new, *said.events[3:-1], new, said.events[-1]])


def _only_stop(said: Said) -> Sent:
    return said.framed({}, [{"type": "message_stop"}])


def _spaced(said: Said) -> Sent:
    sent = said.plain()
    return Sent(sent.body.replace(b'"type":"content_block_delta"', b'"type": "content_block_delta"'), sent.label)


def _turns(told: Event) -> Event:
    kept = {name: told[name] for name in ("input_tokens", "output_tokens")}
    return {**told, "iterations": [{"type": "message", **kept}]}


def _beside(told: Event) -> Event:
    return {**told, "cache_read_input_tokens": 900, "cache_creation_input_tokens": 100}


TOOL = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "the sky"}}
THOUGHT = {"type": "thinking", "thinking": "Let me see. " * 4, "signature": "abc"}
SHAPES: dict[str, tuple[str, Shape]] = {
    "words-then-error": ("words, then an error", _words_then_error),
    "refused-400": ("Anthropic's error", _refused(400, {"type": "invalid_request_error", "message": SECRET})),
    "poor-400": (
        "the operator's account has run dry",
        _refused(400, {"type": "invalid_request_error", "message": f"Your credit balance is too low. {SECRET}"}),
    ),
    "too-long-400": (
        "a context that is too long",
        _refused(400, {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8 maximum"}),
    ),
    "refused-413": ("a body that is too large", _refused(413, {"type": "request_too_large", "message": SECRET})),
    "refused-404": ("a model that the key may not use", _refused(404, {"type": "not_found_error", "message": SECRET})),
    "busy-429": ("429 with a time to wait", _refused(429, {"type": "rate_limit_error"}, Retry_After=str(WAIT))),
    "overloaded-529": ("529 with a time to wait", _refused(529, {"type": "overloaded_error"}, Retry_After=str(WAIT))),
    "overloaded-event": ("overload behind the head", _failed({"type": "overloaded_error", "message": HOST}, after=2)),
    "operators-event": ("the key is refused with success", _failed({"type": "authentication_error", "message": KEY})),
    "failed-event": ("an error alone", _failed(ERROR)),
    "only-stop": ("nothing but the end", _only_stop),
    "labelled-other": ("events as JSON and JSON as events", _labelled),
    "other-framing": ("JSON for events, events for JSON", _other_framing),
    "gzipped": ("gzip that nobody asked for", _gzipped),
    "crlf": ("lines that end with two bytes", _crlf),
    "bom": ("a byte order mark", _with(b"\xef\xbb\xbf")),
    "spaced": ("blanks between members", _spaced),
    "unnamed-events": ("events without their names", _unnamed),
    "newer": ("events and members that are newer", _newer),
    "half-emoji": ("half an emoji as an escape", _spelt(b'"HALF"', b'"\\ud83d"', "HALF")),
    "big-integer": ("an integer beyond 64 bits", _spelt(b'"BIG"', BIG, "BIG")),
    "no-usage-tool": ("a call of a tool without usage", lambda said: said.without_usage(TOOL)),
    "no-usage-thinking": ("thinking without usage", lambda said: said.without_usage(THOUGHT)),
    "usage-floats": (
        "whole numbers as floats",
        lambda said: said.with_usage(lambda told: {**told, "output_tokens": float(told["output_tokens"])}),
    ),
    "usage-zeros": (
        "zeros beside an answer",
        lambda said: said.with_usage(lambda told: {**told, "input_tokens": 0, "output_tokens": 0}),
    ),
    "usage-no-output": (
        "no output_tokens at the end",
        lambda said: said.with_usage(lambda told: {"input_tokens": told["input_tokens"]}),
    ),
    "usage-beside": ("what a cache did beside fresh input", lambda said: said.with_usage(_beside)),
    "usage-turns": ("the turns of the request", lambda said: said.with_usage(_turns)),
    "stated-cost": (
        "a cost of its own",
        lambda said: said.with_usage(lambda told: {**told, "cost": 0.0000001, "cost_details": {"a": 1}}),
    ),
    "dear-cost": ("a cost beyond any price", lambda said: said.with_usage(lambda told: {**told, "cost": 9.5})),
    "dear-tier": (
        "served at a dearer tier",
        lambda said: said.with_usage(lambda told: {**told, "service_tier": "priority"}),
    ),
}

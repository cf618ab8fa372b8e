"""The shapes in which upstreams that call themselves compatible answer Responses: asked for by `"fault": NAME`.

As in `shapes`, each is made of the words and the usage of the plain answer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from sandbox.upstream import message_shapes
from sandbox.upstream.message_shapes import framed
from sandbox.upstream.shapes import ERROR, EVENTS, HOST, JSON, SECRET, WAIT, Sent

__all__ = ["SHAPES", "Said", "framed"]

Event = dict[str, Any]
LAST = "response"
FAILED = {"code": "server_error", "message": SECRET}


@dataclass(frozen=True)
class Said(message_shapes.Said):
    """The plain answer: whole, and as events of which the last one has it whole too."""

    def with_usage(self, change: Callable[[Event], Event | None]) -> Sent:
        """`change` takes the usage; None takes it away."""
        kept = {name: value for name, value in self.whole.items() if name != "usage"}
        usage = change(dict(self.whole["usage"]))
        return self.ending(kept if usage is None else {**kept, "usage": usage})

    def ending(self, whole: Event, kind: str = "response.completed") -> Sent:
        return self.framed(whole, [*self.events[:-1], {**self.events[-1], "type": kind, LAST: whole}])

    def without_usage(self, *items: Event) -> Sent:
        """Only these items were produced, and no usage is told."""
        whole = {**self.whole, "output": list(items), "usage": None}
        done = [{"type": "response.output_item.done", "output_index": at, "item": one} for at, one in enumerate(items)]
        return self.framed(whole, [*self.events[:2], *done, {**self.events[-1], LAST: whole}])


Shape = Callable[[Any], Sent]


def _refused(status: int, error: Event, **headers: str) -> Shape:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda said: Sent(orjson.dumps({"error": error}), JSON, status, named)


def _failed(error: Event, *, with_words: bool) -> Shape:
    def make(said: Said) -> Sent:
        whole = {**said.whole, "status": "failed", "error": error, **({} if with_words else {"output": []})}
        events = said.events[:-1] if with_words else said.events[:2]
        return said.framed(whole, [*events, {"type": "response.failed", "sequence_number": 9, LAST: whole}])

    return make


def _error(error: Event, *, with_words: bool, is_flat: bool = True) -> Shape:
    def make(said: Said) -> Sent:
        told = {"type": "error", "sequence_number": 9, **(error if is_flat else {"error": error})}
        whole = said.whole if with_words else {}
        return said.framed({**whole, "error": error}, [*said.events[: -1 if with_words else 2], told])

    return make


def _unended(said: Said) -> Sent:
    """Nothing but the head."""
    return Sent(b"".join(map(framed, said.events[:2])), EVENTS)


def _cancelled(said: Said) -> Sent:
    return said.ending({**said.whole, "status": "cancelled"}, "response.cancelled")


def _newer(said: Said) -> Sent:
    """Events, items and members that nobody knows yet."""
    new = {"type": "response.newer_thing.delta", "value": {"a": 1}}
    alive = {"type": "keepalive", "sequence_number": 1}
    whole = {**said.whole, "newer": {"a": 1}, "output": [*said.whole["output"], {"type": "newer_item", "a": 1}]}
    last = {**said.events[-1], LAST: whole}
    return said.framed(whole, [said.events[0], alive, *said.events[1:-1], new, last])


def _spaced(said: Said) -> Sent:
    sent = said.plain()
    return Sent(sent.body.replace(b'{"type":"response.', b'{"type": "response.'), sent.label)


def _empty_output(said: Said) -> Sent:
    """The last event does not tell the items again."""
    return said.framed(said.whole, [*said.events[:-1], {**said.events[-1], LAST: {**said.whole, "output": []}}])


def _chat_names(told: Event) -> Event:
    return {"prompt_tokens": told["input_tokens"], "completion_tokens": told["output_tokens"],
            "total_tokens": told["total_tokens"]}  # fmt: skip


CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": '{"at":"the sky"}'}
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAAsealed"}
TOO_LONG = {"message": "Your input exceeds the context window of this model.", "code": "context_length_exceeded"}
SHARED = ("other-framing", "unnamed-events", "half-emoji")
SHAPES: dict[str, tuple[str, Shape]] = {
    **{name: message_shapes.SHAPES[name] for name in SHARED},
    "spaced": ("blanks between members", _spaced),
    "newer": ("events, items and members that are newer", _newer),
    "empty-output": ("a last event without the items", _empty_output),
    "refused-400": ("OpenAI's error", _refused(400, {"type": "invalid_request_error", "message": SECRET})),
    "too-long-400": ("a context that is too long", _refused(400, TOO_LONG)),
    "busy-429": ("429 with a time to wait", _refused(429, ERROR, Retry_After=str(WAIT))),
    "words-then-failed": ("words, then response.failed", _failed(FAILED, with_words=True)),
    "words-then-error": ("words, then an event that is an error", _error(FAILED, with_words=True)),
    "failed": ("response.failed alone", _failed(FAILED, with_words=False)),
    "failed-limit": (
        "a limit of the operator's",
        _failed({"code": "rate_limit_exceeded", "message": HOST}, with_words=False),
    ),
    "failed-input": (
        "a picture that cannot be read",
        _failed({"code": "image_parse_error", "message": "Bad."}, with_words=False),
    ),
    "error-event": ("an error behind the head", _error(FAILED, with_words=False)),
    "nested-error": ("the same, within a member", _error(FAILED, with_words=False, is_flat=False)),
    "unended": ("nothing but the head", _unended),
    "cancelled": ("cancelled at the provider", _cancelled),
    "no-usage-call": ("a call of a tool without usage", lambda said: said.without_usage(CALL)),
    "no-usage-reasoning": ("sealed reasoning without usage", lambda said: said.without_usage(THOUGHT)),
    "usage-zeros": (
        "zeros beside an answer",
        lambda said: said.with_usage(lambda told: {**told, "input_tokens": 0, "output_tokens": 0, "total_tokens": 0}),
    ),
    "usage-no-output": (
        "no output_tokens",
        lambda said: said.with_usage(lambda told: {"input_tokens": told["input_tokens"]}),
    ),
    "usage-chat-names": ("usage as chat has it", lambda said: said.with_usage(_chat_names)),
    "stated-cost": (
        "a cost of its own",
        lambda said: said.with_usage(lambda told: {**told, "cost": 0.0000001, "cost_details": {"a": 1}}),
    ),
    "dear-cost": ("a cost beyond any price", lambda said: said.with_usage(lambda told: {**told, "cost": 9.5})),
    "dear-tier": ("served at a dearer tier", lambda said: said.ending({**said.whole, "service_tier": "priority"})),
}

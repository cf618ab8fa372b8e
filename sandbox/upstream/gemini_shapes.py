"""The shapes in which upstreams that call themselves compatible answer generate: asked for by `"fault": NAME`.

As in `shapes`, each is made of the words and the usage of the plain answer.
"""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from sandbox.upstream.shapes import BIG, EVENTS, HOST, JSON, KEY, SECRET, WAIT, Sent

Piece = dict[str, Any]
USAGE = "usageMetadata"


@dataclass(frozen=True)
class Said:
    """The plain answer: whole, and in pieces."""

    whole: Piece
    pieces: list[Piece]
    is_stream: bool

    def plain(self) -> Sent:
        return self.framed(self.whole, self.pieces)

    def framed(self, whole: Any, pieces: list[Piece], **headers: str) -> Sent:
        """Under the honest label of what was asked."""
        if self.is_stream:
            return Sent(b"".join(map(framed, pieces)), EVENTS, headers=headers)
        return Sent(orjson.dumps(whole), JSON, headers=headers)

    def each(self, change: Callable[[Piece], Piece]) -> Sent:
        return self.framed(change(self.whole), [change(piece) for piece in self.pieces])

    def with_usage(self, change: Callable[[Piece], Piece | None]) -> Sent:
        """`change` takes the usage of each piece, and of the whole; None takes it away."""

        def changed(holder: Piece) -> Piece:
            kept = {name: value for name, value in holder.items() if name != USAGE}
            usage = change(dict(holder[USAGE]))
            return kept if usage is None else {**kept, USAGE: usage}

        return self.each(changed)

    def without_usage(self, part: Piece) -> Sent:
        """Only this part was produced, and no usage is told."""
        candidate = {"content": {"role": "model", "parts": [part]}, "index": 0, "finishReason": "STOP"}
        return self.framed({"candidates": [candidate]}, [{"candidates": [candidate]}])


Shape = Callable[[Said], Sent]


def framed(piece: Piece) -> bytes:
    return b"data: " + orjson.dumps(piece) + b"\r\n\r\n"


def error(status: str, words: str, *, code: int = 400, reason: str = "") -> Piece:
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}] if reason else []
    return {"error": {"code": code, "message": words, "status": status, **({"details": details} if details else {})}}


def _failed(told: Piece) -> Shape:
    """A success that says that it failed."""
    return lambda said: said.framed(told, [told])


def _refused(status: int, told: Any, label: str = JSON, **headers: str) -> Shape:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda said: Sent(orjson.dumps(told), label, status, named)


def _words_then_error(said: Said) -> Sent:
    told = error("INTERNAL", SECRET, code=500)
    last = {**said.pieces[-1], "candidates": [{**said.pieces[-1]["candidates"][0], "finishReason": None}]}
    return said.framed({**said.whole, **told}, [*said.pieces[:-1], last, told])


def _as_array(said: Said) -> Sent:
    """What is sent without `alt=sse`."""
    return Sent(orjson.dumps(said.pieces), JSON) if said.is_stream else said.plain()


def _other_framing(said: Said) -> Sent:
    """Events where JSON was asked, and the other way round."""
    return Sent(orjson.dumps(said.whole), JSON) if said.is_stream else Sent(b"".join(map(framed, said.pieces)), EVENTS)


def _spelt(old: bytes, new: bytes, value: str) -> Shape:
    """A member whose value orjson would not write: `value` stands for it."""

    def make(said: Said) -> Sent:
        sent = said.each(lambda piece: {**piece, "odd": value})
        return Sent(sent.body.replace(old, new), sent.label)

    return make


def _gzipped(said: Said) -> Sent:
    sent = said.plain()
    return Sent(gzip.compress(sent.body), sent.label, headers={"Content-Encoding": "gzip"})


def _labelled(said: Said) -> Sent:
    return Sent(said.plain().body, JSON if said.is_stream else EVENTS)


def _lines(said: Said) -> Sent:
    """Indented, as Google writes it; in events a line each."""
    if said.is_stream:
        return Sent(said.plain().body.replace(b"\r\n", b"\n"), EVENTS)
    return Sent(orjson.dumps(said.whole, option=orjson.OPT_INDENT_2), JSON)


def _usage_last(said: Said) -> Sent:
    """The usage in a piece of its own, behind the reason to end."""
    bare = [{name: value for name, value in piece.items() if name != USAGE} for piece in said.pieces]
    return said.framed(said.whole, [*bare, {USAGE: said.whole[USAGE]}])


def _within(told: Piece) -> Piece:
    """Thoughts that are among the candidates already."""
    return {**told, "thoughtsTokenCount": 3} if "candidatesTokenCount" in told else told


CALL = {"functionCall": {"name": "look", "args": {"at": "the sky"}}}
THOUGHT = {"text": "Let me see. " * 4, "thought": True, "thoughtSignature": "abc"}
SHAPES: dict[str, tuple[str, Shape]] = {
    "words-then-error": ("words, then an error", _words_then_error),
    "refused-400": ("Google's error", _refused(400, error("INVALID_ARGUMENT", SECRET))),
    "listed-400": ("Google's error as a list", _refused(400, [error("INVALID_ARGUMENT", SECRET)])),
    "key-400": ("the key is refused", _refused(400, error("INVALID_ARGUMENT", KEY, reason="API_KEY_INVALID"))),
    "too-long-400": (
        "a context that is too long",
        _refused(400, error("INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens (8).")),
    ),
    "unknown-404": ("a model that is not there", _refused(404, error("NOT_FOUND", SECRET, code=404))),
    "busy-429": ("429 with a time to wait", _refused(429, error("RESOURCE_EXHAUSTED", HOST), Retry_After=str(WAIT))),
    "overloaded-503": ("503 with a time to wait", _refused(503, error("UNAVAILABLE", HOST), Retry_After=str(WAIT))),
    "operators-event": ("the account is refused with success", _failed(error("PERMISSION_DENIED", SECRET, code=403))),
    "failed-event": ("an error alone", _failed(error("INTERNAL", SECRET, code=500))),
    "empty": ("an object without anything", _failed({})),
    "no-candidates": ("a list of no candidates", _failed({"candidates": []})),
    "array": ("an array of pieces", _as_array),
    "other-framing": ("JSON for events, events for JSON", _other_framing),
    "labelled-other": ("events as JSON and JSON as events", _labelled),
    "gzipped": ("gzip that nobody asked for", _gzipped),
    "lines": ("other ends of lines", _lines),
    "bom": ("a byte order mark", lambda said: Sent(b"\xef\xbb\xbf" + said.plain().body, said.plain().label)),
    "newer": ("members that are newer", lambda said: said.each(lambda piece: {**piece, "newer": {"error": [1]}})),
    "half-emoji": ("half an emoji as an escape", _spelt(b'"HALF"', b'"\\ud83d"', "HALF")),
    "big-integer": ("an integer beyond 64 bits", _spelt(b'"BIG"', BIG, "BIG")),
    "no-usage-call": ("a call of a function without usage", lambda said: said.without_usage(CALL)),
    "no-usage-thought": ("a thought without usage", lambda said: said.without_usage(THOUGHT)),
    "usage-last": ("usage behind the reason to end", _usage_last),
    "usage-floats": (
        "whole numbers as floats",
        lambda said: said.with_usage(
            lambda told: {name: float(value) if isinstance(value, int) else value for name, value in told.items()}
        ),
    ),
    "usage-zeros": (
        "zeros beside an answer",
        lambda said: said.with_usage(lambda told: {"promptTokenCount": 0, "candidatesTokenCount": 0}),
    ),
    "usage-no-output": (
        "no candidatesTokenCount",
        lambda said: said.with_usage(lambda told: {"promptTokenCount": told["promptTokenCount"]}),
    ),
    "usage-more": (
        "a total beyond its parts",
        lambda said: said.with_usage(
            lambda told: {**told, "totalTokenCount": told["totalTokenCount"] + 9} if "totalTokenCount" in told else told
        ),
    ),
    "usage-within": ("thoughts among the candidates", lambda said: said.with_usage(_within)),
    "stated-cost": (
        "a cost of its own",
        lambda said: said.with_usage(lambda told: {**told, "cost": 0.0000001, "cost_details": {"a": 1}}),
    ),
    "dear-cost": ("a cost beyond any price", lambda said: said.with_usage(lambda told: {**told, "cost": 9.5})),
    "dear-tier": (
        "served at a dearer tier",
        lambda said: said.with_usage(lambda told: {**told, "serviceTier": "SERVICE_TIER_PRIORITY"}),
    ),
}

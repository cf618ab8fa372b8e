"""What an upstream's answer of Messages tells, as a stream or in one piece, as events that no protocol owns."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from proxy.protocols import lossless
from proxy.protocols.anthropic.messages.neutral.asked import MAKER
from proxy.protocols.base import text_of
from proxy.protocols.sse import END, data_of, events_of
from proxy.protocols.translate.told import (
    Begun,
    CallBegun,
    CallEnded,
    CallPiece,
    Event,
    Finished,
    Reason,
    Said,
    Thought,
    ThoughtEnded,
)

REASONS = {
    "end_turn": Reason.DONE,
    "stop_sequence": Reason.STOP,
    "max_tokens": Reason.LENGTH,
    "model_context_window_exceeded": Reason.LENGTH,
    "tool_use": Reason.TOOLS,
    "refusal": Reason.REFUSED,
    "pause_turn": Reason.PAUSED,
}
"""For any other word the answer is done."""
CALL = b'"tool_use"'


PIECE = b"event: content_block_delta\ndata: "


class Delta(msgspec.Struct, gc=False):
    type: str = ""
    text: str = ""


class Piece(msgspec.Struct, gc=False):
    delta: Delta


_piece = msgspec.json.Decoder(Piece)


def word_of(event: bytes) -> str:
    """The piece of a text that an event is, as most are; "" of any other."""
    if not event.startswith(PIECE):
        return ""
    try:
        delta = _piece.decode(event[len(PIECE) : -len(END)]).delta
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return delta.text if delta.type == "text_delta" else ""


class Reader:
    """Reads the events of one stream, as `MessageStream` lets them pass."""

    def __init__(self) -> None:
        self._calls = 0
        self._kind = ""
        """Of the block that is open."""
        self._signature = ""
        self._input: Any = None
        """Arguments that came with the beginning of a call, where none follow."""

    def read(self, events: bytes) -> list[Event]:
        found: list[Event] = []
        words: list[str] = []
        for event in events_of(events):
            if word := word_of(event):
                words.append(word)
                continue
            if words:
                found.append(Said("".join(words)))
                words = []
            found += self._event(event)
        if words:
            found.append(Said("".join(words)))
        return found

    def _event(self, event: bytes) -> Iterator[Event]:
        data = data_of(event)
        try:
            said = lossless.load_exact(data) if CALL in data else lossless.load(data)
        except ValueError:
            return
        if isinstance(said, dict):
            yield from self._one(said)

    def block(self, block: Mapping[str, Any]) -> Iterator[Event]:
        """A whole one: as it begins it says all."""
        yield from self._begun(block)
        yield from self._ended()

    def _one(self, said: Mapping[str, Any]) -> Iterator[Event]:
        match said.get("type"):
            case "content_block_delta":
                delta = said.get("delta")
                if isinstance(delta, dict):
                    yield from self._piece(delta)
            case "content_block_start":
                block = said.get("content_block")
                if isinstance(block, dict):
                    yield from self._begun(block)
            case "content_block_stop":
                yield from self._ended()
            case "message_start":
                message = said.get("message")
                if isinstance(message, dict):
                    yield Begun(text_of(message, "model"), text_of(message, "id"))
            case "message_delta":
                delta = said.get("delta")
                if isinstance(delta, dict) and delta.get("stop_reason"):
                    yield finished(delta)

    def _piece(self, delta: Mapping[str, Any]) -> Iterator[Event]:
        match delta.get("type"):
            case "text_delta":
                if isinstance(text := delta.get("text"), str) and text:
                    yield Said(text)
            case "thinking_delta":
                if isinstance(text := delta.get("thinking"), str) and text:
                    yield Thought(text)
            case "input_json_delta":
                if isinstance(text := delta.get("partial_json"), str) and text:
                    self._input = None
                    yield CallPiece(self._calls - 1, text)
            case "signature_delta":
                self._signature += text if isinstance(text := delta.get("signature"), str) else ""

    def _begun(self, block: Mapping[str, Any]) -> Iterator[Event]:
        kind = block.get("type")
        self._kind = kind if isinstance(kind, str) else ""
        if kind == "text":
            if isinstance(text := block.get("text"), str) and text:
                yield Said(text)
        elif kind == "thinking":
            self._signature = signature if isinstance(signature := block.get("signature"), str) else ""
            if isinstance(text := block.get("thinking"), str) and text:
                yield Thought(text)
        elif kind == "redacted_thinking":
            if isinstance(data := block.get("data"), str) and data:
                yield ThoughtEnded(data, MAKER, is_hidden=True)
        elif kind == "tool_use":
            number, self._calls = self._calls, self._calls + 1
            self._input = block.get("input")
            yield CallBegun(number, text_of(block, "id"), text_of(block, "name"))

    def _ended(self) -> Iterator[Event]:
        kind, self._kind = self._kind, ""
        if kind == "thinking":
            signature, self._signature = self._signature, ""
            yield ThoughtEnded(signature, MAKER if signature else "")
        elif kind == "tool_use":
            if self._input:
                yield CallPiece(self._calls - 1, lossless.dump(self._input).decode())
            yield CallEnded(self._calls - 1)


def told(answer: Mapping[str, Any], raw: bytes) -> Iterator[Event]:
    """An answer in one piece."""
    if CALL in raw:
        exact = lossless.load_exact(raw)
        answer = exact if isinstance(exact, dict) else answer
    yield Begun(text_of(answer, "model"), text_of(answer, "id"))
    blocks, reader = answer.get("content"), Reader()
    for block in blocks if isinstance(blocks, list) else ():
        if isinstance(block, dict):
            yield from reader.block(block)
    if answer.get("stop_reason"):
        yield finished(answer)


def finished(holder: Mapping[str, Any]) -> Finished:
    stop = holder.get("stop_sequence")
    return Finished(REASONS.get(text_of(holder, "stop_reason"), Reason.DONE), stop if isinstance(stop, str) else "")

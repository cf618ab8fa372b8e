"""What an upstream's answer of Responses tells, as a stream or in one piece, as events that no protocol owns."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from proxy.protocols import lossless
from proxy.protocols.base import text_of
from proxy.protocols.openai.responses.neutral.turns import MAKER
from proxy.protocols.sse import END, data_of, events_of
from proxy.protocols.translate.told import (
    Begun,
    CallBegun,
    CallEnded,
    CallPiece,
    Event,
    Finished,
    Reason,
    RefusalSaid,
    Said,
    Thought,
    ThoughtEnded,
)

WORD = b"event: response.output_text.delta\ndata: "
CREATED, QUEUED, IN_PROGRESS = "response.created", "response.queued", "response.in_progress"
HEADS = tuple(f"event: {kind}\n".encode() for kind in (CREATED, QUEUED, IN_PROGRESS))
ENDS = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
"""The kinds of items that call a tool of the caller's, and under which name each has its argument."""
PIECES = {
    "response.function_call_arguments.delta": "function_call",
    "response.custom_tool_call_input.delta": "custom_tool_call",
}
THOUGHTS = frozenset({"response.reasoning_summary_text.delta", "response.reasoning_text.delta"})
REASONS = {"max_output_tokens": Reason.LENGTH, "content_filter": Reason.REFUSED}
"""Why an answer is incomplete; for any other word it is cut."""
APART = "\n\n"
"""Between the parts of what was thought."""


class Word(msgspec.Struct, gc=False):
    delta: str
    output_index: int = 0


class Head(msgspec.Struct, gc=False):
    id: str = ""
    model: str = ""


class Created(msgspec.Struct, gc=False):
    """An event that repeats the request: 60 kB, of which two members count."""

    response: Head


_word = msgspec.json.Decoder(Word)
_created = msgspec.json.Decoder(Created)


def word_of(event: bytes) -> Word | None:
    """The piece of a text that an event is, as most are."""
    if not event.startswith(WORD):
        return None
    try:
        return _word.decode(event[len(WORD) : -len(END)])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


@dataclass(slots=True)
class Item:
    """An item that has begun; `number` is that of a call."""

    number: int = -1
    has_told: bool = False
    is_ended: bool = False


class Reader:
    """Reads the events of one stream, as it is let pass for callers of this protocol."""

    def __init__(self) -> None:
        self._has_begun = False
        self._calls = 0
        self._items: dict[Any, Item] = {}
        """By their places in the answer."""
        self._speaks: Any = None
        """The place of the message that was told last, while nothing else was."""

    def read(self, events: bytes) -> list[Event]:
        found: list[Event] = []
        words: list[str] = []
        for event in events_of(events):
            word = word_of(event)
            if word is not None and word.output_index == self._speaks:
                words.append(word.delta)
                continue
            found += _said(words)
            found += self._one(event)
        return found + _said(words)

    def _one(self, event: bytes) -> Iterator[Event]:
        if event.startswith(HEADS):
            yield from self._head(event)
            return
        try:
            said = lossless.load(data_of(event))
        except ValueError:
            return
        if isinstance(said, dict):
            yield from self._event(said)

    def _head(self, event: bytes) -> Iterator[Event]:
        if self._has_begun:
            return
        try:
            head = _created.decode(data_of(event)).response
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        yield from self._begin({"id": head.id, "model": head.model})

    def _begin(self, response: Mapping[str, Any]) -> Iterator[Event]:
        if not self._has_begun:
            self._has_begun = True
            yield Begun(text_of(response, "model"), text_of(response, "id"))

    def _event(self, said: Mapping[str, Any]) -> Iterator[Event]:
        kind, place = said.get("type"), said.get("output_index")
        place = place if isinstance(place, int) else None
        if kind in ENDS or kind in (CREATED, QUEUED, IN_PROGRESS):
            response = said.get("response")
            response = response if isinstance(response, dict) else {}
            yield from self._begin(response)
            if kind in ENDS:
                yield from self._end(response)
        elif kind == "response.output_item.added":
            if isinstance(item := said.get("item"), dict):
                yield from self._added(place, item)
        elif kind == "response.output_item.done":
            if isinstance(item := said.get("item"), dict):
                yield from self.done(place, item)
        elif kind == "response.reasoning_summary_part.added":
            if self._item(place).has_told:
                yield Thought(APART)
        elif isinstance(piece := said.get("delta"), str) and piece:
            yield from self._piece(str(kind), place, piece)

    def _piece(self, kind: str, place: Any, piece: str) -> Iterator[Event]:
        item = self._item(place)
        if kind == "response.output_text.delta":
            yield from self._say(place, Said(piece))
        elif kind == "response.refusal.delta":
            yield from self._say(place, RefusalSaid(piece))
        elif kind in THOUGHTS:
            self._speaks, item.has_told = None, True
            yield Thought(piece)
        elif kind in PIECES and item.number >= 0:
            item.has_told = True
            yield CallPiece(item.number, piece)

    def _say(self, place: Any, event: Said | RefusalSaid) -> Iterator[Event]:
        """Two messages that follow one another stand apart."""
        item = self._item(place)
        if self._speaks is not None and not item.has_told:
            yield Said(APART)
        self._speaks, item.has_told = place, True
        yield event

    def _item(self, place: Any) -> Item:
        return self._items.setdefault(place, Item())

    def _added(self, place: Any, said: Mapping[str, Any]) -> Iterator[Event]:
        item = self._item(place)
        kind = text_of(said, "type")
        if kind in CALLS and item.number < 0:
            item.number, self._calls = self._calls, self._calls + 1
            self._speaks, takes_text = None, kind == "custom_tool_call"
            yield CallBegun(item.number, text_of(said, "call_id"), text_of(said, "name"), takes_text)

    def done(self, place: Any, said: Mapping[str, Any]) -> Iterator[Event]:
        """A whole item: what was told of it in pieces is not told again."""
        item, kind = self._item(place), text_of(said, "type")
        if item.is_ended:
            return
        item.is_ended = True
        if kind in CALLS:
            yield from self._added(place, said)
            argument = said.get(CALLS[kind])
            if not item.has_told and isinstance(argument, str) and argument:
                yield CallPiece(item.number, argument)
            yield CallEnded(item.number)
        elif kind == "reasoning":
            self._speaks, text = None, APART.join(_thoughts(said))
            if text and not item.has_told:
                yield Thought(text)
            seal = said.get("encrypted_content")
            seal = seal if isinstance(seal, str) else ""
            if text or seal or item.has_told:
                is_hidden = not text and not item.has_told
                yield ThoughtEnded(seal, MAKER if seal else "", is_hidden=is_hidden)
        elif kind == "message" and not item.has_told:
            for part in _parts(said):
                yield from self._say(place, part)

    def whole(self, response: Mapping[str, Any]) -> Iterator[Event]:
        yield from self._begin(response)
        yield from self._end(response)

    def _end(self, response: Mapping[str, Any]) -> Iterator[Event]:
        """What was not told yet, where nothing was told at all or an item was not told to its end."""
        output, is_all = response.get("output"), not self._items
        for place, item in enumerate(output if isinstance(output, list) else ()):
            if isinstance(item, dict) and (is_all or place in self._items):
                yield from self.done(place, item)
        yield finished(response, has_calls=self._calls > 0)


def _said(words: list[str]) -> list[Event]:
    found: list[Event] = [Said("".join(words))] if words else []
    words.clear()
    return found


def _thoughts(said: Mapping[str, Any]) -> list[str]:
    """The summary's parts, or those of what was thought itself where a server shows that."""
    for name in ("summary", "content"):
        parts = said.get(name)
        found = [part.get("text") for part in (parts if isinstance(parts, list) else ()) if isinstance(part, dict)]
        if texts := [text for text in found if isinstance(text, str) and text]:
            return texts
    return []


def _parts(said: Mapping[str, Any]) -> Iterator[Said | RefusalSaid]:
    parts = said.get("content")
    for part in parts if isinstance(parts, list) else ():
        if not isinstance(part, dict):
            continue
        if isinstance(text := part.get("text"), str) and text:
            yield Said(text)
        elif isinstance(refusal := part.get("refusal"), str) and refusal:
            yield RefusalSaid(refusal)


def told(answer: Mapping[str, Any]) -> Iterator[Event]:
    """An answer in one piece."""
    return Reader().whole(answer)


def finished(response: Mapping[str, Any], *, has_calls: bool) -> Finished:
    if response.get("status") == "incomplete" or response.get("incomplete_details"):
        details = response.get("incomplete_details")
        word = text_of(details, "reason") if isinstance(details, dict) else ""
        return Finished(REASONS.get(word, Reason.LENGTH))
    return Finished(Reason.TOOLS if has_calls else Reason.DONE)

"""The items of an answer, out of what is told piece by piece."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from core.records import value
from proxy.protocols.openai.responses.neutral.names import Named, Names
from proxy.protocols.openai.responses.neutral.shapes import SAID_TEXT
from proxy.protocols.openai.responses.neutral.turns import MAKER
from proxy.protocols.translate import seals
from proxy.protocols.translate.told import (
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

TEXT, REFUSAL, SUMMARY = SAID_TEXT, "refusal", "summary_text"
Kind = Literal["message", "reasoning", "function_call", "custom_tool_call"]
PREFIXES: dict[str, str] = {"message": "msg", "reasoning": "rs", "function_call": "fc", "custom_tool_call": "ctc"}
CUT = frozenset({Reason.LENGTH, Reason.PAUSED})
BEGUN, DONE, INCOMPLETE = "in_progress", "completed", "incomplete"


@dataclass(slots=True)
class Part:
    kind: str
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def said(self) -> dict[str, Any]:
        if self.kind == TEXT:
            return {"type": TEXT, "annotations": [], "logprobs": [], "text": self.text}
        return {"type": self.kind, "refusal" if self.kind == REFUSAL else "text": self.text}


@dataclass(slots=True)
class Item:
    """`place` is its index in the answer. A call has one part, its argument."""

    place: int
    id: str
    kind: Kind
    parts: list[Part] = field(default_factory=list)
    call_id: str = ""
    named: Named = field(default_factory=lambda: Named(""))
    seal: str = ""
    status: str = BEGUN

    @property
    def is_ended(self) -> bool:
        return self.status != BEGUN

    @property
    def argument(self) -> str:
        text = self.parts[0].text if self.parts else ""
        return text if self.kind == "custom_tool_call" else text or "{}"

    @property
    def said(self) -> dict[str, Any]:
        """As it stands in the answer; until it has ended without what it holds."""
        is_begun = not self.is_ended
        item: dict[str, Any] = {"id": self.id, "type": self.kind, "status": self.status}
        parts = [] if is_begun else [part.said for part in self.parts]
        match self.kind:
            case "message":
                return {**item, "role": "assistant", "content": parts}
            case "reasoning":
                return {**item, "summary": parts, "encrypted_content": None if is_begun else self.seal or None}
        named = {"namespace": self.named.namespace} if self.named.namespace else {}
        item |= {"call_id": self.call_id, "name": self.named.name, **named}
        held = "input" if self.kind == "custom_tool_call" else "arguments"
        return {**item, held: "" if is_begun else self.argument}


@value
class Change:
    """What is new: an item or a part has begun, a piece came, or an item has ended. `part` counts those of its item."""

    what: Literal["item", "part", "piece", "end"]
    item: Item
    part: int = 0
    piece: str = ""


class Output:
    """Messages and thoughts follow one another; calls may be open at once."""

    def __init__(self, names: Names, id: str) -> None:
        """`id` is what the ids of the items end with."""
        self.items: list[Item] = []
        self.finished: Finished | None = None
        self.open: Item | None = None
        """The message or the thought that is not ended."""
        self._names = names
        self._id = id
        self._calls: dict[int, Item] = {}

    def add(self, event: Event) -> Iterator[Change]:
        match event:
            case Said(text=text) if text:
                yield from self._piece("message", TEXT, text)
            case RefusalSaid(text=text) if text:
                yield from self._piece("message", REFUSAL, text)
            case Thought(text=text) if text:
                yield from self._piece("reasoning", SUMMARY, text)
            case ThoughtEnded():
                yield from self._sealed(event)
            case CallBegun():
                yield from self.end_open()
                yield from self._call(event)
            case CallPiece(number=number, text=text) if text:
                if not (item := self._calls[number]).is_ended:
                    item.parts[0].pieces.append(text)
                    yield Change("piece", item, 0, text)
            case CallEnded(number=number):
                if not (item := self._calls[number]).is_ended:
                    yield self._ended(item)
            case Finished():
                self.finished = event
                yield from self.end_all()

    def end_open(self) -> Iterator[Change]:
        if (item := self.open) is not None:
            self.open = None
            if item.kind == "reasoning" and not item.seal:
                item.seal = seals.seal_of("".join(part.text for part in item.parts))
            yield self._ended(item)

    def end_all(self) -> Iterator[Change]:
        yield from self.end_open()
        for item in self._calls.values():
            if not item.is_ended:
                yield self._ended(item)

    @property
    def status(self) -> str:
        """Of the answer."""
        return INCOMPLETE if self.why else DONE

    @property
    def why(self) -> str:
        """Why it is incomplete, "" where it is not: words of refusal are an answer here."""
        reason = Reason.DONE if self.finished is None else self.finished.reason
        if reason in CUT:
            return "max_output_tokens"
        refuses = any(part.kind == REFUSAL for item in self.items for part in item.parts)
        return "content_filter" if reason is Reason.REFUSED and not refuses else ""

    def _ended(self, item: Item) -> Change:
        """The last is cut where the answer is."""
        item.status = INCOMPLETE if self.why and item is self.items[-1] else DONE
        return Change("end", item)

    def _piece(self, kind: Kind, part: str, text: str) -> Iterator[Change]:
        item = self.open
        if item is None or item.kind != kind:
            yield from self.end_open()
            item = self.open = self._new(kind)
            yield Change("item", item)
        if not item.parts or item.parts[-1].kind != part:
            item.parts.append(Part(part))
            yield Change("part", item, len(item.parts) - 1)
        item.parts[-1].pieces.append(text)
        yield Change("piece", item, len(item.parts) - 1, text)

    def _sealed(self, ended: ThoughtEnded) -> Iterator[Change]:
        """A seal of these upstreams goes on as it is, any other in our wrapping."""
        seal = ended.seal
        if seal and ended.maker != MAKER:
            seal = seals.wrapped(seal, ended.maker, is_hidden=ended.is_hidden)
        item = self.open
        if item is None or item.kind != "reasoning" or ended.is_hidden:
            if not seal:
                return
            yield from self.end_open()
            item = self.open = self._new("reasoning")
            yield Change("item", item)
        item.seal = seal
        yield from self.end_open()

    def _call(self, begun: CallBegun) -> Iterator[Change]:
        item = self._new("custom_tool_call" if begun.takes_text else "function_call")
        item.call_id = begun.id or f"call_{self._id}_{begun.number}"
        item.named = self._names.back(begun.name)
        item.parts.append(Part("argument"))
        self._calls[begun.number] = item
        yield Change("item", item)

    def _new(self, kind: Kind) -> Item:
        place = len(self.items)
        item = Item(place, f"{PREFIXES[kind]}_{self._id}{place:02d}", kind)
        self.items.append(item)
        return item

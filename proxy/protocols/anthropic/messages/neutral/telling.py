"""An answer as one of Messages, for a caller who speaks it: as a stream, or in one piece.

One block is open at a time. Of calls that an upstream makes at once the others are kept back until the open one ends.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from proxy.errors import Refusal
from proxy.prices.usage import Usage
from proxy.protocols import lossless
from proxy.protocols.anthropic import errors
from proxy.protocols.anthropic.messages.neutral.asked import MAKER
from proxy.protocols.anthropic.messages.neutral.asking import ID
from proxy.protocols.base import Charged
from proxy.protocols.counts import told as told_of
from proxy.protocols.sse import END
from proxy.protocols.translate import seals
from proxy.protocols.translate.ids import DIGEST_CHARACTERS, digest
from proxy.protocols.translate.raw import as_object
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

WORDS = {
    Reason.DONE: "end_turn",
    Reason.STOP: "stop_sequence",
    Reason.LENGTH: "max_tokens",
    Reason.TOOLS: "tool_use",
    Reason.REFUSED: "refusal",
    Reason.PAUSED: "pause_turn",
}
TEXT, THINKING = "text", "thinking"
DELTAS = {
    TEXT: ("text_delta", "text"),
    THINKING: ("thinking_delta", "thinking"),
    "tool_use": ("input_json_delta", "partial_json"),
}
EMPTY: dict[str, dict[str, Any]] = {
    TEXT: {"type": "text", "text": ""},
    THINKING: {"type": "thinking", "thinking": "", "signature": ""},
}


@dataclass(slots=True)
class Block:
    """A block that waits, or is open; `number` is that of a call."""

    kind: str
    number: int = -1
    call: CallBegun | None = None
    pieces: list[str] = field(default_factory=list)
    seal: str = ""
    hidden: str = ""
    is_ended: bool = False


class Blocks:
    """The blocks of an answer in their order, out of what is told piece by piece."""

    def __init__(self) -> None:
        self.waiting: list[Block] = []
        self.finished: Finished | None = None
        self.has_calls = False
        self.has_refused = False

    def add(self, event: Event) -> tuple[Block, str] | None:
        """The block that this belongs to, and the piece of it that is new."""
        match event:
            case Said(text=text):
                return self._last(TEXT), text
            case Thought(text=text):
                return self._last(THINKING), text
            case CallPiece(number=number, text=text):
                for block in self.waiting:
                    if block.number == number:
                        return block, text
                raise ValueError("a piece of a call that has ended")
            case CallBegun():
                self.has_calls = True
                return self._new(Block("tool_use", event.number, event)), ""
            case CallEnded(number=number):
                for block in self.waiting:
                    if block.number == number:
                        block.is_ended = True
            case ThoughtEnded():
                return self._sealed(event)
            case RefusalSaid(text=text):
                self.has_refused = True
                return self._last(TEXT), text
            case Finished():
                self.finished = event
                for block in self.waiting:
                    block.is_ended = True
        return None

    @property
    def ending(self) -> dict[str, Any]:
        """Why it ended; an answer that does not say so is done, or calls."""
        finished = self.finished or Finished(Reason.TOOLS if self.has_calls else Reason.DONE)
        reason = Reason.REFUSED if self.has_refused and finished.reason is Reason.DONE else finished.reason
        return {"stop_reason": WORDS[reason], "stop_sequence": finished.stop or None}

    def _last(self, kind: str) -> Block:
        last = self.waiting[-1] if self.waiting else None
        return last if last is not None and last.kind == kind and not last.is_ended else self._new(Block(kind))

    def _new(self, block: Block) -> Block:
        if self.waiting and self.waiting[-1].kind != "tool_use":
            self.waiting[-1].is_ended = True
        self.waiting.append(block)
        return block

    def _sealed(self, ended: ThoughtEnded) -> tuple[Block, str] | None:
        """Another maker's seal stands in one of ours, by which it comes back."""
        seal = ended.seal
        if seal and ended.maker != MAKER:
            seal = seals.wrapped(seal, ended.maker, is_hidden=ended.is_hidden)
        if ended.is_hidden:
            return self._new(Block("redacted_thinking", hidden=seal, is_ended=True)), ""
        last = self.waiting[-1] if self.waiting else None
        if last is not None and last.kind == THINKING:
            last.seal, last.is_ended = seal, True
        return None


class Writer:
    """Writes a stream. Its end begins with `message_delta`."""

    def __init__(self, generation_id: str, *, likely_input: int) -> None:
        """`likely_input` is what the head says of input, in tokens; the end says what it was."""
        self._generation_id = generation_id
        self._likely_input = likely_input
        self._blocks = Blocks()
        self._model = ""
        self._has_begun = False
        self._index = 0
        self._is_open = False
        """Whether the first of the blocks is."""

    def write(self, told: Iterable[Event]) -> bytes:
        out: list[bytes] = []
        for event in told:
            if type(event) is Said and self._is_open and self._says:
                out.append(self._delta(TEXT, event.text))
                continue
            if isinstance(event, Begun):
                self._model = event.model
                continue
            found = self._blocks.add(event)
            if found is not None:
                block, piece = found
                if piece:
                    block.pieces.append(piece)
                if self._is_open and block is self._blocks.waiting[0]:
                    if piece:
                        out.append(self._delta(block.kind, piece))
                    continue
            self._go_on(out)
        return b"".join(out)

    def last(self, charged: Charged, used: Usage) -> bytes:
        for block in self._blocks.waiting:
            block.is_ended = True
        out: list[bytes] = []
        self._go_on(out)
        self._begin(out)
        ours = told_of(counts_of(used), charged)
        event = lossless.write({"type": "message_delta", "delta": self._blocks.ending})
        out.append(b"event: message_delta\ndata: " + lossless.splice(event, ours) + END)
        return b"".join(out)

    @property
    def _says(self) -> bool:
        """Whether the block that is open is a text, and nothing waits."""
        waiting = self._blocks.waiting
        return len(waiting) == 1 and waiting[0].kind == TEXT and not waiting[0].is_ended

    def _go_on(self, out: list[bytes]) -> None:
        """End what has ended, begin what waits next, until a block is open or nothing waits."""
        waiting = self._blocks.waiting
        while waiting:
            block = waiting[0]
            if not self._is_open:
                self._begin(out)
                out.append(_event("content_block_start", index=self._index, content_block=self._empty(block)))
                self._is_open = True
                if block.pieces:
                    out.append(self._delta(block.kind, "".join(block.pieces)))
            if not block.is_ended:
                return
            if block.kind == THINKING:
                seal = block.seal or seals.seal_of("".join(block.pieces))
                out.append(_event("content_block_delta", index=self._index, delta=_signed(seal)))
            elif block.kind == "tool_use" and not block.pieces:
                out.append(self._delta(block.kind, "{}"))
            out.append(_event("content_block_stop", index=self._index))
            self._index, self._is_open = self._index + 1, False
            del waiting[0]

    def _begin(self, out: list[bytes]) -> None:
        if self._has_begun:
            return
        self._has_begun = True
        usage = {"input_tokens": self._likely_input, "output_tokens": 1}
        head = {**frame(self._generation_id, self._model), "content": []}
        head |= {"stop_reason": None, "stop_sequence": None, "usage": usage}
        out.append(_event("message_start", message=head))

    def _empty(self, block: Block) -> dict[str, Any]:
        if block.call is not None:
            return {**use_of(block.call, self._generation_id), "input": {}}
        return {"type": "redacted_thinking", "data": block.hidden} if block.hidden else EMPTY[block.kind]

    def _delta(self, kind: str, piece: str) -> bytes:
        delta, name = DELTAS[kind]
        return (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":%b}}'
            % (self._index, delta.encode(), name.encode(), lossless.write(piece))
            + END
        )


def whole(told: Iterable[Event], charged: Charged, used: Usage, refusal: Refusal | None) -> bytes:
    """The answer in one piece; where words came with an error it stands beside them."""
    blocks, model = Blocks(), ""
    for event in told:
        if isinstance(event, Begun):
            model = charged.manner.model or event.model
        elif (found := blocks.add(event)) is not None and found[1]:
            found[0].pieces.append(found[1])
    content = [_whole(block, charged.generation_id) for block in blocks.waiting]
    answer = {**frame(charged.generation_id, model), "content": content, **blocks.ending}
    if refusal is not None:
        answer["error"] = {"type": errors.type_of(refusal), "message": refusal.message}
    return lossless.splice(_written(answer), told_of(counts_of(used), charged))


def _whole(block: Block, generation_id: str) -> dict[str, Any]:
    text = "".join(block.pieces)
    if block.call is not None:
        return {**use_of(block.call, generation_id), "input": as_object(text)}
    if block.hidden:
        return {"type": "redacted_thinking", "data": block.hidden}
    if block.kind == THINKING:
        return {"type": "thinking", "thinking": text, "signature": block.seal or seals.seal_of(text)}
    return {"type": "text", "text": text}


def _written(answer: dict[str, Any]) -> bytes:
    """Half a character in a text is written as an escape, which the fast writer does not know."""
    try:
        return orjson.dumps(answer)
    except TypeError:
        for block in answer["content"]:
            if isinstance(block.get("input"), orjson.Fragment):
                block["input"] = lossless.load_exact(orjson.dumps(block["input"]))
        return lossless.dump(answer)


def frame(generation_id: str, model: str) -> dict[str, Any]:
    id = f"msg_{generation_id.removeprefix('gen-')}"
    return {"id": id, "type": "message", "role": "assistant", "model": model}


def use_of(call: CallBegun, generation_id: str) -> dict[str, Any]:
    """An id that this protocol does not take becomes one by itself; a call without one gets it by ours."""
    id = call.id
    if not id:
        id = f"call_{generation_id.removeprefix('gen-')}_{call.number}"
    elif not ID.fullmatch(id):
        id = f"call_{digest(id, most=DIGEST_CHARACTERS)}"
    return {"type": "tool_use", "id": id, "name": call.name}


def counts_of(used: Usage) -> dict[str, Any]:
    """What was used in this protocol's words: input that a cache wrote or read stands beside the rest."""
    counts: dict[str, Any] = {
        "input_tokens": max(0, used.input_tokens - used.cached_tokens - used.cache_write_tokens),
        "cache_creation_input_tokens": used.cache_write_tokens,
        "cache_read_input_tokens": used.cached_tokens,
        "output_tokens": used.output_tokens,
    }
    if used.reasoning_tokens:
        counts["output_tokens_details"] = {"thinking_tokens": used.reasoning_tokens}
    return counts


def _signed(seal: str) -> dict[str, Any]:
    return {"type": "signature_delta", "signature": seal}


def _event(kind: str, **said: Any) -> bytes:
    return b"event: %b\ndata: %b" % (kind.encode(), lossless.write({"type": kind, **said})) + END

"""An answer as a chat completion, for a caller who speaks it: as a stream, or in one piece."""

from collections.abc import Iterable, Mapping
from time import time
from typing import Any

import orjson

from proxy.errors import Refusal
from proxy.prices.usage import Usage
from proxy.protocols import lossless
from proxy.protocols.base import Charged
from proxy.protocols.counts import told as told_of
from proxy.protocols.openai.chat.answer import error_of
from proxy.protocols.openai.chat.neutral.asked import SEALED, SIGNED
from proxy.protocols.sse import END
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
    Reason.DONE: "stop",
    Reason.STOP: "stop",
    Reason.LENGTH: "length",
    Reason.TOOLS: "tool_calls",
    Reason.REFUSED: "content_filter",
    Reason.PAUSED: "length",
}


class Folded:
    """What an answer has told so far that only its end needs."""

    def __init__(self) -> None:
        self.reason: Reason | None = None
        self.has_calls = False
        self._thought: list[str] = []
        self._details = 0

    @property
    def word(self) -> str:
        """Why it ended; an answer that does not say so is done, or calls."""
        return WORDS[self.reason or (Reason.TOOLS if self.has_calls else Reason.DONE)]

    def think(self, text: str) -> None:
        self._thought.append(text)

    def seal(self, ended: ThoughtEnded) -> dict[str, Any] | None:
        """The thought with its seal, whole, as callers send it back; None where it has none."""
        text, self._thought = "".join(self._thought), []
        if not ended.seal:
            return None
        number, self._details = self._details, self._details + 1
        if ended.is_hidden:
            return {"type": SEALED, "data": ended.seal, "format": ended.maker, "index": number}
        return {"type": SIGNED, "text": text, "signature": ended.seal, "format": ended.maker, "index": number}


class Writer:
    """Writes a stream. Its end begins with the finish reason."""

    def __init__(self, generation_id: str, *, include_usage: bool) -> None:
        self._id = generation_id
        self._include_usage = include_usage
        self._folded = Folded()
        self._model = ""
        self._created = int(time())
        self._before = self._after = b""
        self._has_said = False
        self._free: set[int] = set()
        """The calls whose argument is free text."""
        self._empty: dict[int, None] = {}
        """The calls of which no argument was told yet."""

    def write(self, told: Iterable[Event]) -> bytes:
        return b"".join([self._one(event) for event in told])

    def last(self, charged: Charged, used: Usage) -> bytes:
        """The finish reason, usage and cost; on one chunk unless the caller asked for a chunk of their own."""
        end = b"".join([self._arguments(number, "{}") for number in self._empty])
        told = b"".join([b',"%b":%b' % (name.encode(), raw) for name, raw in told_of(counts_of(used), charged).items()])
        if charged.is_plain and not self._include_usage:
            told = b""
        finish = b'"finish_reason":%b' % orjson.dumps(self._folded.word)
        head = self._head
        delta = b"{}" if self._has_said else b'{"role":"assistant","content":""}'
        choice = b'{"index":0,"delta":%b,%b}' % (delta, finish)
        if not self._include_usage:
            return end + b"data: %b[%b]%b}" % (head, choice, told) + END
        return end + b"data: %b[%b]}" % (head, choice) + END + b"data: %b[]%b}" % (head, told) + END

    def _one(self, event: Event) -> bytes:
        match event:
            case Said(text=text):
                return self._delta(b'"content":' + lossless.write(text)) if text else b""
            case Thought(text=text):
                self._folded.think(text)
                return self._delta(b'"reasoning_content":' + lossless.write(text)) if text else b""
            case CallPiece(number=number, text=text):
                if not text:
                    return b""
                self._empty.pop(number, None)
                return self._arguments(number, text)
            case CallBegun():
                self._folded.has_calls = True
                if event.takes_text:
                    self._free.add(event.number)
                else:
                    self._empty[event.number] = None
                return self._calls({"index": event.number, **call_of(event, self._id, "")})
            case CallEnded(number=number):
                if number not in self._empty:
                    return b""
                del self._empty[number]
                return self._arguments(number, "{}")
            case ThoughtEnded():
                detail = self._folded.seal(event)
                return b"" if detail is None else self._delta(b'"reasoning_details":[%b]' % lossless.write(detail))
            case RefusalSaid(text=text):
                return self._delta(b'"refusal":' + lossless.write(text)) if text else b""
            case Begun(model=model):
                self._model = model
            case Finished(reason=reason):
                self._folded.reason = reason
        return b""

    def _arguments(self, number: int, text: str) -> bytes:
        held = {"custom": {"input": text}} if number in self._free else {"function": {"arguments": text}}
        return self._calls({"index": number, **held})

    def _calls(self, call: Mapping[str, Any]) -> bytes:
        return self._delta(b'"tool_calls":[%b]' % lossless.write(call))

    @property
    def _head(self) -> bytes:
        return b'{"id":%b,"object":"chat.completion.chunk","created":%d,"model":%b,"choices":' % (
            orjson.dumps(self._id),
            self._created,
            lossless.write(self._model),
        )

    def _delta(self, member: bytes) -> bytes:
        if not self._has_said:
            self._has_said = True
            self._before = b'data: %b[{"index":0,"delta":{' % self._head
            self._after = b'},"finish_reason":null}]}' + END
            first = b'"role":"assistant",' if member.startswith(b'"content"') else b'"role":"assistant","content":null,'
            return self._before + first + member + self._after
        return self._before + member + self._after


def whole(told: Iterable[Event], charged: Charged, used: Usage, refusal: Refusal | None) -> bytes:
    """The answer in one piece; where words came with an error it stands beside them."""
    folded, model = Folded(), ""
    texts, thoughts, refusals = list[str](), list[str](), list[str]()
    details: list[dict[str, Any]] = []
    calls: dict[int, tuple[CallBegun, list[str]]] = {}
    for event in told:
        match event:
            case Begun():
                model = charged.manner.model or event.model
            case Said(text=text):
                texts.append(text)
            case Thought(text=text):
                thoughts.append(text)
                folded.think(text)
            case ThoughtEnded():
                if (detail := folded.seal(event)) is not None:
                    details.append(detail)
            case RefusalSaid(text=text):
                refusals.append(text)
            case CallBegun(number=number):
                folded.has_calls = True
                calls[number] = event, []
            case CallPiece(number=number, text=text):
                calls[number][1].append(text)
            case Finished(reason=reason):
                folded.reason = reason
    message: dict[str, Any] = {"role": "assistant", "content": "".join(texts) if texts else None}
    message["refusal"] = "".join(refusals) if refusals else None
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    if details:
        message["reasoning_details"] = details
    if calls:
        message["tool_calls"] = [
            call_of(call, charged.generation_id, "".join(pieces) or ("" if call.takes_text else "{}"))
            for call, pieces in calls.values()
        ]
    answer: dict[str, Any] = {
        "id": charged.generation_id,
        "object": "chat.completion",
        "created": int(time()),
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": folded.word}],
    }
    if refusal is not None:
        answer["error"] = error_of(refusal)
    return lossless.splice(lossless.write(answer), told_of(counts_of(used), charged))


def call_of(call: CallBegun, generation_id: str, arguments: str) -> dict[str, Any]:
    """`arguments` as far as they are known. An upstream that gives a call no id gets it by ours."""
    id = call.id or f"call_{generation_id.removeprefix('gen-')}_{call.number}"
    if call.takes_text:
        return {"id": id, "type": "custom", "custom": {"name": call.name, "input": arguments}}
    return {"id": id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def counts_of(used: Usage) -> dict[str, Any]:
    """What was used in this protocol's words: all input is one count, and what the cache did is part of it."""
    prompt: dict[str, Any] = {"cached_tokens": used.cached_tokens, "cache_write_tokens": used.cache_write_tokens}
    counts: dict[str, Any] = {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.input_tokens + used.output_tokens,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {"reasoning_tokens": used.reasoning_tokens},
    }
    return counts

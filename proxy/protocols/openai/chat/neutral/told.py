"""What an upstream's chat completion tells, as a stream or in one piece, as events that no protocol owns."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from proxy.protocols import lossless
from proxy.protocols.base import text_of
from proxy.protocols.openai.choices import choices_of
from proxy.protocols.sse import END, data_of, events_of
from proxy.protocols.translate.told import (
    Begun,
    CallBegun,
    CallPiece,
    Event,
    Finished,
    Reason,
    RefusalSaid,
    Said,
    Thought,
    ThoughtEnded,
)

ABSENT = msgspec.Raw(b"")
DATA = b"data: "
REASONS = {
    "stop": Reason.DONE,
    "length": Reason.LENGTH,
    "tool_calls": Reason.TOOLS,
    "function_call": Reason.TOOLS,
    "content_filter": Reason.REFUSED,
}
"""For any other word the answer is done: the words of many servers for it differ."""


class Delta(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: msgspec.Raw = ABSENT


class Choice(msgspec.Struct, gc=False):
    delta: Delta
    index: int = 0
    finish_reason: str | None = None


class Chunk(msgspec.Struct, gc=False):
    choices: list[Choice]


_chunk = msgspec.json.Decoder(Chunk)


def word_of(event: bytes) -> str:
    """What a chunk says that says a text and nothing else, as most do; "" of any other."""
    try:
        choices = _chunk.decode(event[len(DATA) : -len(END)]).choices
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    if len(choices) != 1:
        return ""
    [choice] = choices
    delta = choice.delta
    is_more = delta.reasoning_content or delta.reasoning or delta.refusal or delta.tool_calls != ABSENT
    return "" if is_more or choice.finish_reason or choice.index else delta.content or ""


class Reader:
    """Reads the chunks of one stream, as `ChatStream` lets them pass."""

    def __init__(self) -> None:
        self._has_begun = self._thinks = self._refuses = False
        self._calls: list[dict[str, Any]] = []
        """Those that have begun: index, id, whether they were told, and what was written before they could be."""

    def read(self, events: bytes) -> list[Event]:
        found: list[Event] = []
        words: list[str] = []
        for event in events_of(events):
            if self._has_begun and not self._thinks and (word := word_of(event)):
                words.append(word)
                continue
            if words:
                found.append(Said("".join(words)))
                words = []
            found += self._one(event)
        if words:
            found.append(Said("".join(words)))
        return found

    def _one(self, event: bytes) -> Iterator[Event]:
        try:
            chunk = lossless.load(data_of(event))
        except ValueError:
            return
        if isinstance(chunk, dict):
            yield from self._chunk(chunk)

    def _chunk(self, chunk: Mapping[str, Any]) -> Iterator[Event]:
        if not self._has_begun:
            self._has_begun = True
            yield Begun(text_of(chunk, "model"), text_of(chunk, "id"))
        for choice in choices_of(chunk):
            if choice.get("index") in (0, None):
                delta = choice.get("delta") or choice.get("message")
                yield from self.choice(choice, delta if isinstance(delta, dict) else {})

    def choice(self, choice: Mapping[str, Any], delta: Mapping[str, Any]) -> Iterator[Event]:
        if thought := _thought_in(delta):
            self._thinks = True
            yield Thought(thought)
        for piece in _texts(delta.get("content")):
            if isinstance(piece, Thought):
                self._thinks = True
            elif self._thinks:
                yield self._thought_ended()
            yield piece
        if isinstance(refusal := delta.get("refusal"), str) and refusal:
            if self._thinks:
                yield self._thought_ended()
            self._refuses = True
            yield RefusalSaid(refusal)
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict):
                if self._thinks:
                    yield self._thought_ended()
                yield from self._call(call)
        if isinstance(reason := choice.get("finish_reason"), str) and reason:
            if self._thinks:
                yield self._thought_ended()
            yield self._finished(reason, choice.get("stop_reason"))

    def _thought_ended(self) -> ThoughtEnded:
        self._thinks = False
        return ThoughtEnded()

    def _finished(self, word: str, stop: Any) -> Finished:
        """Some servers stop where they call a tool, and vLLM tells which sequence it stopped at."""
        reason = REASONS.get(word, Reason.DONE)
        if reason is Reason.DONE and self._calls:
            reason = Reason.TOOLS
        if reason is Reason.DONE and self._refuses:
            reason = Reason.REFUSED
        if reason is Reason.DONE and isinstance(stop, str) and stop:
            return Finished(Reason.STOP, stop)
        return Finished(reason)

    def _call(self, said: Mapping[str, Any]) -> Iterator[Event]:
        """Some servers give no index, or the same to each call; some give the id with each piece."""
        takes_text = isinstance(said.get("custom"), dict)
        held = said.get("custom") if takes_text else said.get("function")
        held = held if isinstance(held, dict) else {}
        call = self._known(said)
        if call is None:
            call = {"index": said.get("index"), "id": text_of(said, "id"), "is_told": False, "early": ""}
            self._calls.append(call)
        number = self._calls.index(call)
        text = held.get("input" if takes_text else "arguments")
        text = text if isinstance(text, str) else "" if text is None else lossless.write(text).decode()
        name = held.get("name")
        if not call["is_told"] and isinstance(name, str) and name:
            call["is_told"], text = True, call["early"] + text
            yield CallBegun(number, call["id"], name, takes_text)
        if not call["is_told"]:
            call["early"] += text
        elif text:
            yield CallPiece(number, text)

    def _known(self, said: Mapping[str, Any]) -> dict[str, Any] | None:
        index, id = said.get("index"), said.get("id")
        if index is None:
            last = self._calls[-1:] if not id or (self._calls and self._calls[-1]["id"] == id) else []
        else:
            last = [call for call in self._calls if call["index"] == index][-1:]
            last = [call for call in last if not id or not call["id"] or call["id"] == id]
        return last[0] if last else None


def told(answer: Mapping[str, Any]) -> Iterator[Event]:
    """An answer in one piece: of its choices the first."""
    yield Begun(text_of(answer, "model"), text_of(answer, "id"))
    for choice in choices_of(answer)[:1]:
        message = choice.get("message") or choice.get("delta")
        message = dict(message) if isinstance(message, dict) else {}
        if isinstance(calls := message.get("tool_calls"), list):
            message["tool_calls"] = [
                {**call, "index": number} for number, call in enumerate(calls) if isinstance(call, dict)
            ]
        yield from Reader().choice({"finish_reason": "stop", **choice}, message)


def _thought_in(delta: Mapping[str, Any]) -> str:
    """Under either of the names that servers have for it; where both are there they say the same."""
    for name in ("reasoning_content", "reasoning"):
        if isinstance(text := delta.get(name), str) and text:
            return text
    return ""


def _texts(content: Any) -> Iterator[Said | Thought]:
    """A text, or the parts of which Mistral's answers are made."""
    if isinstance(content, str):
        if content:
            yield Said(content)
        return
    for part in content if isinstance(content, list) else ():
        if not isinstance(part, dict):
            continue
        if part.get("type") == "thinking":
            inner = part.get("thinking")
            for piece in _texts(inner):
                yield Thought(piece.text)
        elif isinstance(text := part.get("text"), str) and text:
            yield Said(text)

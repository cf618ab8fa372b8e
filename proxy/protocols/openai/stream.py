"""A chat completion as a stream: relay the events as bytes under our id, keep the last word for after METER."""

import re
from typing import Any

import orjson

from proxy.pricing import Usage
from proxy.protocols.base import Receipt
from proxy.protocols.openai import answer
from proxy.sse import END, data_of, events_of

ID = re.compile(rb'"id"\s*:\s*"(?:[^"\\]|\\.)*"')
USAGE = re.compile(rb'"usage"\s*:\s*\{')
ERROR = re.compile(rb'^\s*\{\s*"error"\s*:|"error"\s*:\s*\{')
FINISHED = re.compile(rb'"finish_reason"\s*:\s*"([^"\\]{1,40})"')
CONTENT = re.compile(rb'"(?:content|reasoning_content|reasoning|refusal|arguments)"\s*:\s*"((?:[^"\\]|\\.)*)"')


class ChatStream:
    """What has been seen of a stream. JSON is parsed only where an id, an error or usage stands."""

    def __init__(self, generation_id: str) -> None:
        self.usage: Usage | None = None
        self.finish_reason = ""
        self.content_bytes = 0
        self.done = False
        self.error: Any = None
        """The error object that ended the stream; nothing after it is taken."""
        self._generation_id = generation_id
        self._our_id = f'"id":"{generation_id}"'.encode()
        self._their_id: bytes | None = None
        self._their_head = b""
        self._last: dict[str, Any] = {}

    @property
    def is_complete(self) -> bool:
        """It ended as a stream should: with [DONE], or with its usage or finish reason."""
        return self.done or self.usage is not None or bool(self.finish_reason)

    def take(self, events: bytes) -> bytes:
        """What to relay of whole events now; less than came where something is kept back."""
        if not events:
            return b""
        relayed, start = [], 0
        if self._their_id is None:
            start = events.find(END) + len(END)
            relayed.append(self._take_one(events[:start]))
        end = self._plain_until(events, start)
        if end > start:
            plain = events[start:end]
            self._count(plain)
            relayed.append(plain.replace(self._their_head, b"data: {" + self._our_id))
        relayed += [self._take_one(event) for event in events_of(events[end:])]
        return b"".join(relayed)

    def _plain_until(self, events: bytes, start: int) -> int:
        """Where the events end that need no look each: words alone, every event beginning with the upstream's id."""
        if not self._their_head or self.error is not None:
            return start
        marks = [at for mark in (b"[DONE]", b'"error"') if (at := events.find(mark, start)) >= 0]
        if (usage := USAGE.search(events, start)) is not None:
            marks.append(usage.start())
        end = events.rfind(END, start, min(marks, default=len(events))) + len(END)
        if end < start + len(END):
            return start
        heads = events.startswith(self._their_head, start) + events.count(END + self._their_head, start, end)
        return end if heads == events.count(END, start, end) else start

    def _take_one(self, event: bytes) -> bytes:
        data = data_of(event)
        if not data or self.error is not None:
            return b""
        if data == b"[DONE]":
            self.done = True
            return b""
        if self._their_id is None:
            self._learn(data)
        if b'"error"' in data and ERROR.search(data) and (error := _error_in(data)):
            self.error = error
            return b""
        self._count(data)
        if USAGE.search(data):
            return self._take_usage(data)
        return self._under_our_id(event)

    def _count(self, data: bytes) -> None:
        self.content_bytes += sum(map(len, CONTENT.findall(data)))
        if finished := FINISHED.findall(data):
            self.finish_reason = finished[-1].decode("utf-8", "replace")

    def tail(self, receipt: Receipt, usage: Usage) -> bytes:
        """The last chunk before [DONE]: usage and receipt."""
        chunk = {
            "id": self._generation_id,
            "object": "chat.completion.chunk",
            **{name: value for name, value in self._last.items() if name not in ("id", "object", "choices")},
            "choices": [],
        }
        if not isinstance(chunk.get("usage"), dict) or self.usage is None:
            chunk["usage"] = answer.usage_dict(usage)
        return b"data: " + answer.decorate(chunk, receipt) + b"\n\n"

    def _learn(self, data: bytes) -> None:
        found = ID.search(data)
        self._their_id = found.group() if found else b""
        if self._their_id and data.startswith(b"{" + self._their_id):
            self._their_head = b"data: {" + self._their_id
        try:
            first = orjson.loads(data)
        except orjson.JSONDecodeError:
            return
        if isinstance(first, dict):
            self._last = {name: first[name] for name in ("created", "model", "system_fingerprint") if name in first}

    def _take_usage(self, data: bytes) -> bytes:
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError:
            return b""
        if not isinstance(chunk, dict):
            return b""
        usage = answer.usage(chunk.get("usage"))
        if usage is not None:
            self.usage = usage
            self._last = {**self._last, **{name: value for name, value in chunk.items() if name != "choices"}}
        if not chunk.get("choices"):
            return b""
        # Usage beside content, in the middle: relay the content, keep the usage for the end.
        chunk.pop("usage", None)
        chunk["id"] = self._generation_id
        return b"data: " + orjson.dumps(chunk) + b"\n\n"

    def _under_our_id(self, event: bytes) -> bytes:
        if self._their_id and self._their_id in event:
            return event.replace(self._their_id, self._our_id, 1)
        try:
            chunk = orjson.loads(data_of(event))
        except orjson.JSONDecodeError:
            return b""  # garbage is not relayed
        if not isinstance(chunk, dict):
            return b""
        chunk["id"] = self._generation_id
        return b"data: " + orjson.dumps(chunk) + b"\n\n"


def _error_in(data: bytes) -> Any:
    """The error object of an event that is nothing else; None where it is."""
    try:
        chunk = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return chunk.get("error") if isinstance(chunk, dict) and not chunk.get("choices") else None

"""A chat completion as a stream: relay the events as bytes under our id, keep the last word for after METER."""

import re
from typing import Any

import orjson

from proxy.pricing import Usage
from proxy.protocols import openai
from proxy.protocols.base import Receipt
from proxy.sse import data_of

ID = re.compile(rb'"id"\s*:\s*"(?:[^"\\]|\\.)*"')
USAGE = re.compile(rb'"usage"\s*:\s*\{')
ERROR = re.compile(rb'^\s*\{\s*"error"\s*:|"error"\s*:\s*\{')
FINISHED = re.compile(rb'"finish_reason"\s*:\s*"([^"\\]{1,40})"')
CONTENT = re.compile(rb'"(?:content|reasoning_content|reasoning|refusal|arguments)"\s*:\s*"((?:[^"\\]|\\.)*)"')


class UpstreamSaidError(Exception):
    """An error object inside a stream that began with 200."""

    def __init__(self, error: Any) -> None:
        super().__init__("error in stream")
        self.error = error


class ChatStream:
    """What has been seen of a stream. JSON is parsed only where an id, an error or usage stands."""

    def __init__(self, generation_id: str) -> None:
        self.usage: Usage | None = None
        self.finish_reason = ""
        self.content_bytes = 0
        self.done = False
        self._generation_id = generation_id
        self._our_id = f'"id":"{generation_id}"'.encode()
        self._their_id: bytes | None = None
        self._last: dict[str, Any] = {}

    @property
    def is_complete(self) -> bool:
        """It ended as a stream should: with [DONE], or with its usage or finish reason."""
        return self.done or self.usage is not None or bool(self.finish_reason)

    def take(self, event: bytes) -> bytes:
        """What to relay of an event now; b"" where it is kept back. Raises `UpstreamSaidError`."""
        data = data_of(event)
        if not data:
            return b""
        if data == b"[DONE]":
            self.done = True
            return b""
        if self._their_id is None:
            self._learn(data)
        if b'"error"' in data and ERROR.search(data):  # the first test is all that most chunks cost
            self._raise_error(data)
        self.content_bytes += sum(map(len, CONTENT.findall(data)))
        if (finished := FINISHED.search(data)) is not None:
            self.finish_reason = finished.group(1).decode("utf-8", "replace")
        if USAGE.search(data):
            return self._take_usage(data)
        return self._under_our_id(event)

    def tail(self, receipt: Receipt, usage: Usage) -> bytes:
        """The last chunk before [DONE]: usage and receipt."""
        chunk = {
            "id": self._generation_id,
            "object": "chat.completion.chunk",
            **{name: value for name, value in self._last.items() if name not in ("id", "object", "choices")},
            "choices": [],
        }
        if not isinstance(chunk.get("usage"), dict) or self.usage is None:
            chunk["usage"] = openai.usage_dict(usage)
        return b"data: " + openai.decorate(chunk, receipt) + b"\n\n"

    def _learn(self, data: bytes) -> None:
        found = ID.search(data)
        self._their_id = found.group() if found else b""
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
        usage = openai.read_usage(chunk.get("usage"))
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

    @staticmethod
    def _raise_error(data: bytes) -> None:
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError:
            return
        if isinstance(chunk, dict) and chunk.get("error") and not chunk.get("choices"):
            raise UpstreamSaidError(chunk["error"])

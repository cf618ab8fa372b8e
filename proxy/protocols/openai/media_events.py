"""A stream of sound or pictures: events with a `type`, of which the last one tells the usage and is kept back.

https://platform.openai.com/docs/api-reference/images-streaming , .../audio/speech-audio-delta-event . What goes on as
it comes is not parsed, as it may be a picture of megabytes.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from proxy.prices.usage import Usage
from proxy.protocols import lossless
from proxy.protocols.base import Charged, Reported
from proxy.protocols.counts import costs_out
from proxy.protocols.openai.answering import shown
from proxy.protocols.openai.chat.failure import failure_of
from proxy.protocols.sse import END, data_of, error_of, events_of

TYPE = re.compile(rb'"type"\s*:\s*"([a-z_.]{1,60})"')
HEAD_BYTES = 400
NAMES = ("input_tokens", "output_tokens")
UNTOLD = Reported(None)


class MediaStream:
    """`parts` are the types of events that bring something, `last` that of the one that ends it.

    `read` tells what it used, by that event.
    """

    def __init__(self, *, parts: frozenset[str], last: str, read: Callable[[Mapping[str, Any]], Reported]) -> None:
        self.done = False
        self.reported = UNTOLD
        self.failure: Any = None
        self.is_answer = False
        self._parts = frozenset(kind.encode() for kind in parts)
        self._last, self._read = last, read
        self._held = b""
        self._said: dict[str, Any] = {}

    @property
    def is_over(self) -> bool:
        return self.done or self.failure is not None

    @property
    def is_complete(self) -> bool:
        return self.done

    @property
    def content_bytes(self) -> int:
        """1 of a whole answer. Of one that broke off nothing tells how much there was, so nobody pays for it."""
        return int(self.done)

    def take(self, events: bytes) -> bytes:
        return b"".join([self._take_one(one) for one in events_of(events)]) if not self.is_over else b""

    def release(self) -> bytes:
        held, self._held = self._held, b""
        return held

    def tail(self, charged: Charged, usage: Usage) -> bytes:
        ours = costs_out(self._said)
        if not charged.is_plain:
            ours["usage"] = shown(self._said.get("usage"), self.reported, usage, charged, names=NAMES)
            ours["x_chuizi"] = charged.as_json
        data = lossless.splice(data_of(self._held), ours)
        return b"event: %b\ndata: %b" % (self._last.encode(), data.replace(b"\n", b" ")) + END

    def _take_one(self, one: bytes) -> bytes:
        if self.is_over:
            return b""
        found = TYPE.search(one, 0, HEAD_BYTES)
        if found is not None and found[1] in self._parts:
            self.is_answer = True
            return one
        failed = error_of(one)
        data = data_of(one)
        try:
            said, data = lossless.load_sound(data if failed is None else failed)
        except ValueError:
            if failed is not None:
                self.failure = failed.decode("utf-8", "replace") or {}
            return b""  # garbage, comments and [DONE] are not relayed
        if not isinstance(said, dict):
            return b""
        if failed is not None or said.get("type") == "error" or said.get("error"):
            self.failure = failure_of(said)
            return b""
        return self._take_said(one, data, said)

    def _take_said(self, one: bytes, data: bytes, said: dict[str, Any]) -> bytes:
        kind = said.get("type")
        if kind != self._last:
            self.is_answer = self.is_answer or (isinstance(kind, str) and kind.encode() in self._parts)
            return one
        self._held, self._said = b"data: " + data.replace(b"\n", b" ") + END, said
        self.is_answer = True
        self.reported = self._read(said)
        self.done = True
        return b""

"""A chat completion as a stream: relay the events as bytes under our id, keep the last word for after METER."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson

from proxy.prices.usage import Usage
from proxy.protocols import lossless
from proxy.protocols.base import Charged, Manner, Reported, text_of
from proxy.protocols.counts import costs_out, is_cost, is_counted
from proxy.protocols.openai import usage as usages
from proxy.protocols.openai.chat.answer import finish_of, tier_of
from proxy.protocols.openai.chat.failure import FAILED, failure_among, failure_in, failure_of, without_failure
from proxy.protocols.openai.chat.produced import has_media, produced_bytes, word_bytes
from proxy.protocols.openai.choices import choices_of
from proxy.protocols.sse import DONE, END, bare_of, data_of, error_of, events_of

HEAD = re.compile(rb'data: ?\{\s*"id"\s*:\s*"(?:[^"\\]|\\.)*"')
MODEL = re.compile(rb'"model"\s*:\s*("(?:[^"\\]|\\.)*")')
TOLD = (
    (b'"usage"', b'"usage":null', re.compile(rb'"usage"\s*:\s*\{')),
    (b'"finish_reason"', b'"finish_reason":null', re.compile(rb'"finish_reason"\s*:\s*"[^"]')),
)
MARKS = (b"[DONE]", b'"error"', b'"base_resp"', b'"finish_reason":"', b'"usage":{')
"""Where one of these stands an event needs a look."""
SPOKEN = (b'"choices":[{', b'"choices": [{')
"""How an event with choices is written; each upstream has one way."""
MOST_UNCOUNTED_BYTES = 16_384
FRAME = ("id", "object", "choices", "usage")


class ChatStream:
    """What has been seen of a stream. Events of words alone are relayed together, as bytes; the others are parsed.

    Where the caller asked for usage (`include_usage`) it stands on a chunk of its own with the receipt; else both
    stand on the chunk with the finish reason, which is kept back, and no chunk goes out without choices. Where it is to
    be plain both are kept back as they came, and usage that the caller did not ask for is left out.
    """

    __slots__ = (
        "_alike", "_bytes", "_early", "_extra", "_frame", "_held", "_id", "_include_usage", "_last", "_manner",
        "_media", "_model", "_next_head", "_next_opening", "_opening", "_our_head", "_our_model", "_our_opening",
        "_service_tier", "_spoken", "_stated_cost", "_text", "_their_head", "_their_model", "_told", "_uncounted",
        "_uncounted_bytes", "_upstream_id", "done", "error", "finish_reason", "has_choices",
    )  # fmt: skip
    object = "chat.completion.chunk"
    nothing: Mapping[str, Any] = {"delta": {}}
    """What a choice has where it says nothing more."""

    def __init__(self, manner: Manner, *, include_usage: bool = True) -> None:
        self.finish_reason = ""
        self.done = False
        self.error: Any = None
        """The error that ended the stream; nothing after it is taken."""
        self.has_choices = False
        self._text = b""
        """An event that is no JSON, with no word of the answer after it."""
        self._early = b""
        self._include_usage = include_usage
        self._manner = manner
        self._id = orjson.dumps(manner.generation_id)
        self._our_head = b'data: {"id":' + self._id
        self._their_head: bytes | None = None
        """How an event of theirs begins, up to its id; b"" where an id is not what they begin with."""
        self._their_model = self._our_model = b""
        """Where the model is to be renamed: how a chunk names it, and is to."""
        self._our_opening = b""
        self._alike = 0
        """How many of the events that need no look begin as the first one did, up to their choices: all or none."""
        self._told: usages.Told | None = None
        self._next_head = self._spoken = self._opening = self._next_opening = b""
        self._uncounted: list[bytes] = []
        self._uncounted_bytes = 0
        self._bytes = 0
        self._media = False
        self._held = self._last = b""
        self._model = self._upstream_id = self._service_tier = ""
        self._stated_cost: Decimal | None = None
        self._frame: dict[str, Any] = {}
        """What a chunk of ours says beside id, choices and usage."""
        self._extra: dict[str, Any] = {}
        """What they said in chunks that are not relayed, for the last one."""

    @property
    def usage(self) -> Usage | None:
        return None if self._told is None else self._told.usage

    @property
    def content_bytes(self) -> int:
        """Bytes of what was produced; at least 1 where anything was."""
        self._count()
        return self._bytes or int(self._media)

    @property
    def is_complete(self) -> bool:
        """It ended as a stream should: with [DONE], or after a finish reason."""
        return self.done or bool(self.finish_reason)

    @property
    def is_over(self) -> bool:
        """Nothing that follows is taken."""
        return self.done or self.error is not None

    @property
    def is_answer(self) -> bool:
        """It has what an answer has: choices, or usage that counts something."""
        return self.has_choices or is_counted(self._told)

    @property
    def failure(self) -> Any:
        """The error with which the stream ended, or the text, where it ended so instead of by a finish reason."""
        if self.error is None and self._text and not self._is_whole:
            return self._text.decode("utf-8", "replace")
        return self.error

    @property
    def _is_whole(self) -> bool:
        return bool(self.finish_reason) or is_counted(self._told)

    @property
    def reported(self) -> Reported:
        return Reported(
            usage=self.usage,
            finish_reason=self.finish_reason,
            is_odd=self._told is not None and self._told.is_odd,
            model=self._model,
            upstream_id=self._upstream_id,
            service_tier=self._service_tier,
            stated_cost=self._stated_cost,
        )

    def take(self, events: bytes) -> bytes:
        """What to relay of whole events now; less than came where something is kept back."""
        if not events or self.is_over:
            return b""
        relayed, start = b"", 0
        if self._their_head is None:
            start = events.find(END) + len(END)
            relayed = self._take_one(events[:start])
        end = self._plain_until(events, start)
        if end > start:
            relayed += self._take_plain(events[start:end])
        if end < len(events):
            relayed += b"".join([self._take_one(event) for event in events_of(events[end:])])
        if self._early and self.has_choices:
            relayed, self._early = self._early + relayed, b""
        return relayed

    def tail(self, charged: Charged, usage: Usage) -> bytes:
        """What stands before [DONE]: usage and charged."""
        if self._manner.is_plain:
            return self.release() + self._last
        changes: dict[str, bytes | None] = {
            "usage": usages.shown(self._told, usage, cost=charged.cost),
            "x_chuizi": charged.as_json,
        }
        extra = {name: value for name, value in self._extra.items() if name not in FRAME}
        if self._held:
            more = {name: lossless.write(value) for name, value in extra.items()}
            return _framed(lossless.splice(self._held, {**more, **changes}))
        last = {"index": 0, **self.nothing, "finish_reason": self.finish_reason or None}
        chunk = {
            "id": self._manner.generation_id,
            "object": self.object,
            **self._frame,
            **extra,
            "choices": [] if self._include_usage else [last],
        }
        return _framed(lossless.splice(lossless.write(chunk), changes))

    def release(self) -> bytes:
        """The chunk that was kept back, where the stream does not end with it."""
        held, self._held = self._held, b""
        return _framed(held) if held else b""

    def stop(self) -> bytes:
        """Of several choices the first one alone says why it ends."""
        if self._held or self.finish_reason:
            return b""
        self.finish_reason = "length"
        if not (self._include_usage or self._manner.is_plain):
            return b""  # the last chunk says so
        last = {"index": 0, **self.nothing, "finish_reason": self.finish_reason}
        number = self._upstream_id if self._manner.is_plain else self._manner.generation_id
        return _framed(lossless.write({"id": number, "object": self.object, **self._frame, "choices": [last]}))

    # --- Events that need no look each -----------------------------------------------------------------------------

    def _plain_until(self, events: bytes, start: int) -> int:
        """Where the events end that need no look each: words alone, every event beginning with the upstream's id."""
        head = self._their_head
        if not head or self._held or self.is_over or not events.startswith(head, start):
            return start
        end = len(events)
        for mark in MARKS:
            if (at := events.find(mark, start, end)) >= 0:
                end = at
        for name, null, told in TOLD:
            # Counting is a third of the work of searching, and mostly says that there is nothing to find.
            is_told = events.count(name, start, end) != events.count(null, start, end)
            if is_told and (found := told.search(events, start, end)) is not None:
                end = found.start()
        if end < len(events) and (end := events.rfind(END, start, end) + len(END)) < start + len(END):
            return start
        whole = events.count(END, start, end)
        self._alike = whole
        if events.startswith(self._opening, start) and events.count(self._next_opening, start, end) == whole - 1:
            return end
        self._alike = 0
        if events.count(self._next_head, start, end) != whole - 1:
            return start
        spoken, model = self._spoken, self._their_model
        for event in events[start : end - len(END)].split(END):
            if (at := event.find(spoken)) < 0 or (model and event.find(model, 0, at) < 0):
                return start
        return end

    def _take_plain(self, events: bytes) -> bytes:
        self.has_choices, self._text = True, b""
        self._keep(events)
        if self._manner.is_plain:
            return events
        if self._alike == 1:
            return self._our_opening + events[len(self._opening) :]
        theirs = self._their_model
        if theirs and self._alike:
            return events.replace(self._opening, self._our_opening)
        if theirs:
            events = b"".join([event.replace(theirs, self._our_model, 1) for event in events_of(events)])
        return events.replace(self._their_head or b"", self._our_head)

    # --- Events that need one --------------------------------------------------------------------------------------

    def _take_one(self, event: bytes) -> bytes:
        if self.is_over:
            return b""
        if event == DONE:
            self.done = True
            return b""
        if self._plain_until(event, 0) == len(event):
            return self._take_plain(event)
        is_simple = event.startswith(b"data:") and event.find(b"\n") == len(event) - len(END)
        if not is_simple and (failed := error_of(event)) is not None:
            self.error = failure_of(lossless.loaded(failed) or failed.decode("utf-8", "replace"))
            return self.release()
        data = data_of(event) or bare_of(event)
        if data == b"[DONE]":
            self.done = True
            return b""
        try:
            chunk, data = lossless.load_sound(data)
        except ValueError:
            chunk = None
        if isinstance(chunk, list):
            self.error = failure_among(chunk)
            return b"" if self.error is None else self.release()
        if not isinstance(chunk, dict):
            if is_text(data):
                self._text = data
            return b""  # garbage is not relayed
        if self._their_head is None:
            self._learn(event, chunk)
            return self._take_one(event)
        return self._take_chunk(data, chunk)

    def _learn(self, event: bytes, first: dict[str, Any]) -> None:
        found = HEAD.match(event)
        self._spoken = next((style for style in SPOKEN if style in event), b"")
        is_one_line = event.find(b"\n") == len(event) - len(END)  # a mark could hide at the breaks of several
        self._their_head = found.group() if found and self._spoken and is_one_line else b""
        self._opening = event[: event.find(self._spoken) + len(self._spoken)]
        self._next_opening = END + self._opening
        self._our_opening = self._opening.replace(self._their_head, self._our_head, 1) if self._their_head else b""
        if self._manner.model:
            self._learn_model(first)
        self._next_head = END + self._their_head
        self._model, self._upstream_id = text_of(first, "model"), text_of(first, "id")
        named = self._named(first)
        self._frame = {name: named[name] for name in ("created", "model", "system_fingerprint") if name in first}

    def _learn_model(self, first: dict[str, Any]) -> None:
        """Where its name does not stand before the choices, as it mostly does, each chunk has to be looked at."""
        found = MODEL.search(self._opening)
        if found is None or lossless.load(found[1]) != first.get("model"):
            self._their_head = b""
            return
        self._their_model, self._our_model = found[0], b'"model":' + orjson.dumps(self._manner.model)
        self._our_opening = self._our_opening.replace(self._their_model, self._our_model, 1)

    def _take_chunk(self, data: bytes, chunk: dict[str, Any]) -> bytes:
        told = usages.find(chunk) if data.count(b"usage") > data.count(b'"usage":null') else None
        if told is not None and (is_counted(told) or not is_counted(self._told)):
            self._told = told
            self._stated_cost = usages.stated_cost(told)
        self._service_tier = tier_of(chunk, told) or self._service_tier
        is_spoken, reason = any(choices_of(chunk)), finish_of(chunk)
        if not is_spoken or reason in FAILED or b'"error"' in data or b'"base_resp"' in data:
            self.error = failure_in(chunk)
        if self.error is not None:
            kept = without_failure(lossless.load_exact(data))
            if not produced_bytes(kept):
                return self.release()
            data = lossless.dump(kept)
            self._keep(data)
            return self.release() + _framed(self._under_our_id(data, chunk))
        if not is_spoken:
            return self._take_choiceless(data, chunk, is_last=told is not None)
        self.has_choices, self._text = True, b""
        self._keep(data)
        if reason:
            self.finish_reason = reason
        ours = self._under_our_id(data, chunk)
        if reason and (self._manner.is_plain or not self._include_usage):
            before, self._held = self.release(), ours
            return before
        if self._held and word_bytes(data):
            return self.release() + _framed(ours)
        return _framed(ours)

    def _take_choiceless(self, data: bytes, chunk: dict[str, Any], *, is_last: bool) -> bytes:
        if not is_last and "choices" not in chunk:
            return b""  # a heartbeat
        if not is_last and (self._manner.is_plain or self._include_usage):
            ours = _framed(self._under_our_id(data, chunk))
            if self.has_choices:
                return ours
            # Before the first word it might be all there is, and another upstream is still to be tried.
            self._early += ours
            return b""
        if self._manner.is_plain:
            if self._include_usage:
                self._last += _framed(self._under_our_id(data, chunk))
            return b""
        self._extra |= {name: value for name, value in self._named(chunk).items() if not is_cost(name)}
        return b""

    def _named(self, chunk: dict[str, Any]) -> dict[str, Any]:
        model = self._manner.model
        return {**chunk, "model": model} if model and "model" in chunk else chunk

    def _keep(self, data: bytes) -> None:
        """To be counted, should the upstream tell no usage, which most do: counting costs more than relaying."""
        self._uncounted.append(data)
        self._uncounted_bytes += len(data)
        if self._uncounted_bytes > MOST_UNCOUNTED_BYTES:
            self._count()

    def _count(self) -> None:
        data = b"\n".join(self._uncounted)
        self._uncounted, self._uncounted_bytes = [], 0
        self._bytes += word_bytes(data)
        if not self._bytes and not self._media:
            self._media = has_media(data)

    def _under_our_id(self, data: bytes, chunk: dict[str, Any]) -> bytes:
        """The chunk byte for byte, but for its id; usage comes at the end, and what it cost the upstream never."""
        if self._manner.is_plain:
            return lossless.splice(data, costs_out(chunk))
        changes: dict[str, bytes | None] = {"id": self._id, **self._manner.named(chunk)}
        for name, value in chunk.items():
            if is_cost(name) or (name == "usage" and value):
                changes[name] = None
        return lossless.splice(data, changes)


def is_text(data: bytes) -> bool:
    """Whether an event that is no JSON is a text: the sentence of an error, or a word that keeps a connection open."""
    return data[:1] not in (b"", b"{", b"[", b"<", b'"')


def _framed(data: bytes) -> bytes:
    # A line break may stand between the members of an object; in an event it would begin a field.
    return b"data: " + data.replace(b"\n", b" ") + END

"""An answer of Messages as a stream: relay the events as bytes, keep the last word for after METER.

https://docs.claude.com/en/api/messages-streaming . Events that only carry a piece of a block go on together; each other
one is looked at. The message's head waits for the first of them, so that another upstream may be tried until then.
"""

import re
from collections.abc import Mapping
from typing import Any

from proxy.prices.bounds import fair_tokens
from proxy.prices.usage import Usage
from proxy.protocols import lossless
from proxy.protocols.anthropic.messages import usage as usages
from proxy.protocols.anthropic.messages.answer import reason_of
from proxy.protocols.anthropic.messages.failure import failure_in
from proxy.protocols.anthropic.messages.produced import Produced
from proxy.protocols.base import Charged, Manner, Reported, text_of
from proxy.protocols.counts import Told, costs_out, is_counted, stated_cost, tokens, without_cost
from proxy.protocols.sse import END, bare_of, data_of, error_of

STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
PIECE = b"event: content_block_delta\ndata: "
SPOKEN = (PIECE + b'{"type":"content_block_delta",', PIECE + b'{"type": "content_block_delta",')
"""How the events begin that need no look each; each upstream has one way."""
RUNS = {opening: re.compile(rb"(?:%b[^\n]*+\n\n)+" % re.escape(opening)) for opening in SPOKEN}
"""Several such events of one line of data. Not `++`: before Python 3.11.5 a possessive group ends where its last try,
which failed, had got to."""
MOST_KEPT = 64
"""Events behind `message_delta` that are kept back: there is none but `message_stop`."""
NOTHING: Mapping[str, Any] = {}


class MessageStream:
    """What has been seen of a stream."""

    def __init__(self, manner: Manner, *, varies: bool = False) -> None:
        self._manner, self._varies = manner, varies
        self.done = False
        self.error: Any = None
        """The error that ended the stream; nothing after it is taken."""
        self.finish_reason = ""
        self._early = b""
        self._has_blocks = False
        self._open: Any = None
        """The index of the block that has begun and not ended."""
        self._kept: list[tuple[str, bytes, dict[str, Any]]] = []
        """From `message_delta` on: types, data and what it says."""
        self._opening = self._next_opening = b""
        self._produced = Produced()
        self._said: Mapping[str, Any] = NOTHING
        self._has_ended_count = self._has_container = False
        self._model = self._upstream_id = ""

    @property
    def content_bytes(self) -> int:
        """Bytes of what was produced; at least 1 where anything was."""
        return self._produced.bytes

    @property
    def is_complete(self) -> bool:
        return self.done

    @property
    def is_over(self) -> bool:
        """Nothing that follows is taken."""
        return self.done or self.error is not None

    @property
    def is_answer(self) -> bool:
        return self._has_blocks or is_counted(self._told)

    @property
    def failure(self) -> Any:
        return self.error

    @property
    def reported(self) -> Reported:
        told = self._told
        return Reported(
            usage=None if told is None else told.usage,
            finish_reason=self.finish_reason,
            is_odd=told is not None and told.is_odd,
            model=self._model,
            upstream_id=self._upstream_id,
            service_tier=usages.tier_of(told),
            served=usages.served_of(told, varies=self._varies),
            told=told,
            stated_cost=stated_cost(told),
        )

    @property
    def _told(self) -> Told | None:
        """The output that the head counts is none: the model had not begun."""
        if self._has_ended_count:
            return usages.read(self._said, has_container=self._has_container)
        return usages.read({name: value for name, value in self._said.items() if name != "output_tokens"})

    def take(self, events: bytes) -> bytes:
        """What to relay of whole events now; less than came where something is kept back."""
        if not events or self.is_over:
            return b""
        if self._are_pieces(events):
            return self._pass_on(events)
        # Judged alone as among others: what an event becomes does not go by how the network cuts the stream.
        relayed, start = [], 0
        while start < len(events) and not self.is_over:
            end = self._run_from(events, start)
            if end > start:
                relayed.append(self._pass_on(events[start:end]))
            else:
                end = events.index(END, start) + len(END)
                one = events[start:end]
                relayed.append(self._pass_on(one) if self._are_pieces(one) else self._take_one(one))
            start = end
        return b"".join(relayed)

    def tail(self, charged: Charged, usage: Usage) -> bytes:
        """What stands before `message_stop`: the last `message_delta` with usage and charged."""
        if charged.is_plain:
            return self.release()
        told = self.reported.told
        last = max((at for at, kept in enumerate(self._kept) if kept[0] == "message_delta"), default=None)
        if last is None:
            reason = {"stop_reason": self.finish_reason or None, "stop_sequence": None}
            self._kept.append(("message_delta", b'{"type":"message_delta","delta":%b}' % lossless.write(reason), {}))
            last = len(self._kept) - 1
        kind, data, said = self._kept[last]
        counts = said.get("usage")
        changes: dict[str, bytes | None] = {
            "usage": usages.shown(told, counts if isinstance(counts, dict) else {}, usage, cost=charged.cost),
            "x_chuizi": charged.as_json,
        }
        ours = _framed(kind, lossless.splice(data, changes))
        before = b"".join([_framed(kind, data) for kind, data, _said in self._kept[:last]])
        return (
            self._early
            + before
            + ours
            + b"".join([_framed(kind, data) for kind, data, _said in self._kept[last + 1 :]])
        )

    def stop(self) -> bytes:
        if self._kept:
            return b""
        before, self.finish_reason = self.release(), "max_tokens"
        if self._open is not None:
            end = {"type": "content_block_stop", "index": self._open}
            before += _framed("content_block_stop", lossless.write(end))
        delta = {"stop_reason": self.finish_reason, "stop_sequence": None}
        last = {
            "type": "message_delta",
            "delta": delta,
            "usage": {"output_tokens": fair_tokens(self.content_bytes, wide=0)},
        }
        self._kept.append(("message_delta", lossless.write(last), {}))
        return before

    def release(self) -> bytes:
        """What was kept back, where the stream does not end with it."""
        early, self._early = self._early, b""
        kept, self._kept = self._kept, []
        if self.error is not None and not self._has_blocks:
            return b""  # another upstream may be tried
        return early + b"".join([_framed(kind, data) for kind, data, _said in kept])

    def _pass_on(self, pieces: bytes) -> bytes:
        self._produced.add(pieces)
        return pieces

    def _are_pieces(self, events: bytes) -> bool:
        """Whether they are pieces of blocks and nothing else; a blank line stands between events alone."""
        opening = self._opening
        return (
            bool(opening)
            and not self._kept
            and not self.is_over
            and events.startswith(opening)
            and events.count(self._next_opening) == events.count(END) - 1
        )

    def _run_from(self, events: bytes, start: int) -> int:
        """Where a run of such pieces ends that begins there."""
        if not self._opening or self._kept:
            return start
        run = RUNS[self._opening].match(events, start)
        return start if run is None else run.end()

    def _take_one(self, event: bytes) -> bytes:
        if (failed := error_of(event)) is not None:
            self._fail(lossless.loaded(failed) or {"message": failed.decode("utf-8", "replace")})
            return self.release()
        try:
            said, data = lossless.load_sound(data_of(event) or bare_of(event))
        except ValueError:
            return b""  # garbage, and comments, are not relayed
        if not isinstance(said, dict):
            return b""
        kind = said.get("type")
        if kind == "error" or (said.get("error") and not isinstance(said.get("delta"), dict)):
            self._fail(said)
            return self.release()
        if not isinstance(kind, str) or not kind.isidentifier():
            return b""
        return self._take(kind, data, said, event)

    def _take(self, kind: str, data: bytes, said: dict[str, Any], event: bytes) -> bytes:
        if kind == "message_stop":
            self.done = True
            return b""
        if kind == "message_start":
            self._early += _framed(kind, self._begun(data, said))
            return b""
        if kind == "message_delta":
            self._end(said)
        if kind == "message_delta" or (self._kept and not kind.startswith("content_block")):
            self._kept.append((kind, _without_cost(data, said), said))
            if len(self._kept) > MOST_KEPT:
                raise ValueError("too many events behind the last")
            return b""
        if kind == "ping" and not self._has_blocks:
            self._early += _as_it_came(kind, data, event)
            return b""
        if kind.startswith("content_block"):
            self._has_blocks = True
            self._open = None if kind == "content_block_stop" else said.get("index")
            self._produced.add(data)
            if not self._opening:
                self._learn(event)
        return self.release() + _as_it_came(kind, data, event)

    def _begun(self, data: bytes, said: dict[str, Any]) -> bytes:
        message = said.get("message")
        if not isinstance(message, dict):
            return data
        self._model, self._upstream_id = text_of(message, "model"), text_of(message, "id")
        counts = message.get("usage")
        self._said = usages.merged(self._said, counts)
        changes = self._manner.named(message)
        if b"ost" in data:
            changes |= costs_out(message)
        return (
            lossless.splice(data, {"message": lossless.splice(lossless.write(message), changes)}) if changes else data
        )

    def _end(self, said: dict[str, Any]) -> None:
        delta, counts = said.get("delta"), said.get("usage")
        if isinstance(delta, dict):
            self.finish_reason = reason_of(delta) or self.finish_reason
            self._has_container = self._has_container or bool(delta.get("container"))
        self._said = usages.merged(self._said, counts)
        if isinstance(counts, dict) and (tokens(counts, "output_tokens") is not None or counts.get("iterations")):
            self._has_ended_count = True

    def _fail(self, said: Any) -> None:
        self.error = failure_in({"type": "error", **said} if isinstance(said, dict) else said)

    def _learn(self, event: bytes) -> None:
        opening = next((way for way in SPOKEN if event.startswith(way)), b"")
        if opening:
            self._opening, self._next_opening = opening, END + opening


def _as_it_came(kind: str, data: bytes, event: bytes) -> bytes:
    """The event itself where it is framed as this protocol's are; clients go by the event's name."""
    is_usual = event.startswith(b"event: %b\ndata: " % kind.encode()) and event.count(b"\n") == 3
    return event if is_usual else _framed(kind, data)


def _without_cost(data: bytes, said: dict[str, Any]) -> bytes:
    counts = said.get("usage")
    if b"ost" not in data or not isinstance(counts, dict):
        return data
    return lossless.splice(data, {"usage": lossless.write(without_cost(counts))})


def _framed(kind: str, data: bytes) -> bytes:
    # A line break may stand between the members of an object; in an event it would begin a field.
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data.replace(b"\n", b" "))

"""An answer of generate as a stream: relay the events as bytes, keep the last one for after METER.

https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent . Each event is an answer of its own,
a piece of the whole. Nothing but the end of the bytes ends it, so from the first reason to end on the last event that
came is kept back.
"""

from collections.abc import Mapping
from typing import Any

from proxy.prices.usage import Usage
from proxy.protocols import lossless
from proxy.protocols.base import Charged, Manner, Reported, text_of
from proxy.protocols.counts import Told, costs_out
from proxy.protocols.gemini.generate import usage as usages
from proxy.protocols.gemini.generate.answer import MODEL, candidates_of, last_words, reason_of, reported
from proxy.protocols.gemini.generate.failure import block_reason, failure_in
from proxy.protocols.gemini.generate.produced import produced_bytes
from proxy.protocols.sse import bare_of, data_of, error_of, events_of

MOST_EARLY_BYTES = 100_000
NOTHING: Mapping[str, Any] = {}


class GenerateStream:
    """What has been seen of a stream."""

    done = False
    """It has no mark of its own for its end."""

    def __init__(self, manner: Manner) -> None:
        self._manner = manner
        self.error: Any = None
        """The error that ended the stream; nothing after it is taken."""
        self.finish_reason = ""
        self.is_answer = False
        self.content_bytes = 0
        """Of what was produced; at least 1 where anything was."""
        self._early = b""
        """What came before anything was said: another upstream may be tried until then."""
        self._kept = b""
        """The data of the last event, from the first reason to end on."""
        self._begun: set[Any] = set()
        self._ended: set[Any] = set()
        self._said: Mapping[str, Any] = NOTHING
        self._about: Mapping[str, Any] = NOTHING
        self._searches = 0
        self._has_run = False
        self._is_behind = False
        """Whether something was said since its output was last told."""

    @property
    def is_complete(self) -> bool:
        """Each candidate has said why it ended, or the prompt was blocked; or what came was no answer at all."""
        if not self.is_answer:
            return bool(self._early)
        return bool(self.finish_reason) and self._begun <= self._ended

    @property
    def is_over(self) -> bool:
        """Nothing that follows is taken."""
        return self.error is not None

    @property
    def failure(self) -> Any:
        return self.error

    @property
    def reported(self) -> Reported:
        return reported(self._told, self._about, reason=self.finish_reason)

    @property
    def _told(self) -> Told | None:
        """Of a stream that was cut the output that it told counts where nothing was said since."""
        said = self._said
        if self._is_behind and not self.is_complete:
            said = {name: count for name, count in said.items() if name not in (*usages.MADE, usages.TOTAL)}
        return usages.read(said, searches=self._searches, has_run=self._has_run)

    def take(self, events: bytes) -> bytes:
        """What to relay of whole events now; less than came where something is kept back."""
        return b"".join([self._take_one(event) for event in events_of(events)])

    def tail(self, charged: Charged, usage: Usage) -> bytes:
        """The last event, with usage and charged."""
        if charged.is_plain:
            return self.release()
        return _framed(lossless.splice(self._kept or b"{}", last_words(self._told, charged, usage)))

    def stop(self) -> bytes:
        if self._kept:
            return b""
        self.finish_reason = "MAX_TOKENS"
        last = {"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": self.finish_reason, "index": 0}
        self._kept = lossless.write({"candidates": [last], **self._about})
        return b""

    def release(self) -> bytes:
        """What was kept back, where the stream does not end with it."""
        early, self._early = self._early, b""
        kept, self._kept = self._kept, b""
        return early + _framed(kept) if kept else early

    def _take_one(self, event: bytes) -> bytes:
        if self.error is not None:
            return b""
        if (failed := error_of(event)) is not None:
            self.error = failure_in(
                {"error": lossless.loaded(failed) or {"message": failed.decode("utf-8", "replace")}}
            )
            return b""
        try:
            said, data = lossless.load_sound(data_of(event) or bare_of(event))
        except ValueError:
            return b""  # garbage, and comments, are not relayed
        if not isinstance(said, dict):
            return b""
        if said.get("error"):
            self.error = failure_in(said)
            return b""
        return self._take(said, data, event)

    def _take(self, said: dict[str, Any], data: bytes, event: bytes) -> bytes:
        counts = said.get(usages.NAME)
        self._said = usages.merged(self._said, counts)
        self._about = {**self._about, **{name: said[name] for name in ("modelVersion", "responseId") if name in said}}
        self._searches = max(self._searches, usages.searches_of({**said, **self._about}))
        self._has_run = self._has_run or (b"xecut" in data and usages.has_run(said))
        produced = produced_bytes(said)
        self.content_bytes += produced
        if isinstance(counts, dict) and any(counts.get(name) is not None for name in usages.MADE):
            self._is_behind = False
        elif produced:
            self._is_behind = True
        self.is_answer = self.is_answer or bool(said.get("candidates")) or block_reason(said) != ""
        for at, candidate in enumerate(candidates_of(said)):
            index = candidate.get("index", at) if type(candidate.get("index", at)) is int else at
            self._begun.add(index)
            if text_of(candidate, "finishReason"):
                self._ended.add(index)
        self.finish_reason = self.finish_reason or reason_of(said)
        changes = self._manner.named(said, MODEL)
        if b"ost" in data:
            changes |= costs_out(said, usage=usages.NAME)
        if changes:
            data = lossless.splice(data, changes)
            event = _framed(data)
        if not self.finish_reason:
            event = event if event.startswith(b"data: ") and event.count(b"\n") == 2 else _framed(data)
            if not self.is_answer:
                self._early += event
                if len(self._early) > MOST_EARLY_BYTES:
                    raise ValueError("too much before an answer")
                return b""
            return self.release() + event
        before, self._kept = self.release(), data
        return before


def _framed(data: bytes) -> bytes:
    # A line break may stand between the members of an object; in an event it would begin a field.
    return b"data: %b\n\n" % data.replace(b"\n", b" ")

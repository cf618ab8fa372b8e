"""An upstream's stream in its caller's protocol.

It goes through the upstream's own `EventStream` first, which knows errors, usage and the last word; what that lets pass
is translated, so that what holds for streams of one protocol holds for both.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from proxy.prices.usage import Usage
from proxy.protocols.base import Charged, Reported
from proxy.protocols.endpoint import EventStream
from proxy.protocols.translate.free import AsText
from proxy.protocols.translate.side import EventReader, EventWriter
from proxy.protocols.translate.told import Event, Finished, InOrder, Reason, Thought, ThoughtEnded


class TranslatedStream:
    def __init__(
        self,
        native: EventStream,
        reader: EventReader,
        writer: EventWriter,
        *,
        shows_thoughts: bool,
        as_text: AsText | None = None,
    ) -> None:
        self.done = False
        self._native = native
        self._reader = reader
        self._writer = writer
        self._shows_thoughts = shows_thoughts
        self._as_text = as_text
        self._order = InOrder()
        self._is_stopped = False

    def take(self, events: bytes) -> bytes:
        passed = self._native.take(events)
        self.done = self._native.done
        return self._translated(passed) if passed else b""

    def release(self) -> bytes:
        return self._translated(self._native.release())

    def stop(self) -> bytes:
        """Here, whatever its upstream's own stream would be ended with."""
        self._is_stopped = True
        return self._written([Finished(Reason.LENGTH)])

    def tail(self, charged: Charged, usage: Usage) -> bytes:
        rest = b"" if self._is_stopped else self._translated(self._native.tail(charged, usage))
        rest += self._ordered(self._order.rest())
        if self._as_text is not None:
            rest += self._writer.write(self._as_text.rest())
        return rest + self._writer.last(charged, usage)

    def _translated(self, events: bytes) -> bytes:
        return self._written(self._reader.read(events))

    def _written(self, told: Iterable[Event]) -> bytes:
        return self._ordered(self._order.told(told))

    def _ordered(self, told: Iterable[Event]) -> bytes:
        if not self._shows_thoughts:
            told = without_thoughts(told)
        return self._writer.write(told if self._as_text is None else self._as_text.told(told))

    @property
    def reported(self) -> Reported:
        return self._native.reported

    @property
    def content_bytes(self) -> int:
        return self._native.content_bytes

    @property
    def failure(self) -> Any:
        return self._native.failure

    @property
    def is_over(self) -> bool:
        return self._native.is_over

    @property
    def is_complete(self) -> bool:
        return self._native.is_complete

    @property
    def is_answer(self) -> bool:
        return self._native.is_answer


def without_thoughts(told: Iterable[Event]) -> Iterator[Event]:
    return (event for event in told if not isinstance(event, Thought | ThoughtEnded))

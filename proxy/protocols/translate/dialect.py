"""How callers of one protocol are served by upstreams of another."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any, TypeVar

from proxy.errors import Refusal
from proxy.prices.catalog import Destination
from proxy.prices.usage import Usage
from proxy.protocols.base import Call, Charged, Habits, Manner, Reported, Translation
from proxy.protocols.endpoint import Assembly, Dialect, EventStream, Sending
from proxy.protocols.translate.form import Form
from proxy.protocols.translate.free import AsText, free_in
from proxy.protocols.translate.side import Side, Written
from proxy.protocols.translate.stream import TranslatedStream, without_thoughts
from proxy.protocols.translate.told import Event, InOrder

Asking = TypeVar("Asking", bound=Call)


class Translated(Dialect[Asking]):
    """The caller speaks as `caller` does, the upstream as `upstream` does."""

    translates = True

    def __init__(self, caller: Side[Asking], upstream: Side[Any]) -> None:
        self._caller = caller
        self._upstream = upstream
        self._native: Dialect[Any] = upstream.native
        self.asks, self.tells_input = self._native.asks, self._native.tells_input

    def request(self, call: Asking, destination: Destination, *, output_limit: int | None, habits: Habits) -> Sending:
        """Raises `Untranslatable`."""
        written = self._written(call, destination, output_limit, habits)
        return self._native.request(written.call, destination, output_limit=output_limit, habits=habits)

    def ignored(self, call: Asking) -> tuple[str, ...]:
        return () if call.translation is None else call.translation.ignored.get(self, ())

    def after_refusal(self, call: Asking, destination: Destination, habits: Habits, refusal: Refusal) -> Habits | None:
        written = self._written(call, destination, call.output_limit, habits)
        found = self._native.after_refusal(written.call, destination, habits, refusal)
        return found or self._upstream.after_refusal(habits, refusal)

    def _written(self, call: Asking, destination: Destination, limit: int | None, habits: Habits) -> Written:
        known = call.translation or Translation()
        place = (self, destination.upstream_id, destination.upstream_model, limit, habits.refused)
        if known.place != place:
            written = self._upstream.write(self._form(call), destination, output_limit=limit, habits=habits)
            known.place, known.written, known.ignored[self] = place, written, written.ignored
        found: Written = known.written
        return found

    def _form(self, call: Asking) -> Form:
        known = call.translation or Translation()
        if known.form is None:
            known.form = self._caller.read(call)
        form: Form = known.form
        return form

    def _shows_thoughts(self, call: Asking) -> bool:
        reasoning = self._form(call).reasoning
        return reasoning is None or reasoning.is_shown is not False

    # Answers: as the upstream's own dialect reads them

    def load(self, raw: bytes) -> tuple[Any, bytes]:
        return self._native.load(raw)

    def read_answer(self, call: Asking, answer: Mapping[str, Any]) -> Reported:
        """`told` is the call: what was used is shown in the caller's words, whatever the upstream's were."""
        return replace(self._native.read_answer(self._upstream.asking, answer), told=call)

    def failure(self, answer: Any) -> Any:
        return self._native.failure(answer)

    def produced_bytes(self, answer: Mapping[str, Any]) -> int:
        return self._native.produced_bytes(answer)

    def assembly(self) -> Assembly:
        return self._native.assembly()

    def as_events(self, answer: bytes) -> bytes:
        return self._native.as_events(answer)

    def decorate(
        self, raw: bytes, answer: Mapping[str, Any], reported: Reported, charged: Charged, used: Usage,
        refusal: Refusal | None,
    ) -> bytes:  # fmt: skip
        told: Iterable[Event] = InOrder().whole(self._upstream.told(answer, raw))
        if not self._shows_thoughts(reported.told):
            told = without_thoughts(told)
        if (as_text := self._as_text(reported.told)) is not None:
            told = chain(as_text.told(told), as_text.rest())
        return self._caller.whole(reported.told, told, charged, used, refusal)

    def events(self, call: Asking, manner: Manner) -> EventStream:
        native = self._native.events(self._upstream.asking, manner)
        writer = self._caller.writer(call, manner.generation_id)
        as_text, shows_thoughts = self._as_text(call), self._shows_thoughts(call)
        return TranslatedStream(native, self._upstream.reader(), writer, shows_thoughts=shows_thoughts, as_text=as_text)

    def _as_text(self, call: Asking) -> AsText | None:
        free = free_in(self._form(call))
        return AsText(free) if free else None

"""Responses as a side of a translation."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from proxy.errors import Refusal
from proxy.prices.catalog import Destination
from proxy.prices.usage import Usage
from proxy.protocols.base import Charged, Habits
from proxy.protocols.endpoint import Dialect
from proxy.protocols.openai.responses.asked.call import ResponsesCall
from proxy.protocols.openai.responses.neutral import asked, asking, telling, told
from proxy.protocols.openai.responses.neutral.names import Names
from proxy.protocols.translate.form import Form
from proxy.protocols.translate.side import Written
from proxy.protocols.translate.told import Event


class ResponsesSide:
    def __init__(self, native: Dialect[ResponsesCall]) -> None:
        self.native = native
        self.asking = ResponsesCall()

    def read(self, call: ResponsesCall) -> Form:
        return asked.read(call.rest, stream=call.stream, tier=call.service_tier)

    def write(self, form: Form, destination: Destination, *, output_limit: int | None, habits: Habits) -> Written:
        written = asking.write(form, habits=habits)
        call = ResponsesCall(stream=form.stream, rest=written.rest, service_tier=form.tier, stores=False)
        return Written(call, written.ignored)

    def after_refusal(self, habits: Habits, refusal: Refusal) -> Habits | None:
        """Without the one that its words name, where it names one that some models do not take."""
        words = f"{refusal.param or ''} {refusal.message}"
        named = [name for name, word in asking.OPTIONAL.items() if re.search(rf"\b{word}\b", words, re.IGNORECASE)]
        left = [name for name in named if name not in habits.refused]
        return habits.without(left[0]) if len(left) == 1 else None

    def reader(self) -> told.Reader:
        return told.Reader()

    def told(self, answer: Mapping[str, Any], raw: bytes) -> Iterable[Event]:
        return told.told(answer)

    def writer(self, call: ResponsesCall, generation_id: str) -> telling.Writer:
        return telling.Writer(_frame(call, generation_id), _names(call))

    def whole(
        self, call: ResponsesCall, told: Iterable[Event], charged: Charged, used: Usage, refusal: Refusal | None
    ) -> bytes:
        return telling.whole(_frame(call, charged.generation_id), _names(call), told, charged, used, refusal)


def _frame(call: ResponsesCall, generation_id: str) -> telling.Frame:
    return telling.Frame(call.rest, output_limit=call.output_limit, generation_id=generation_id)


def _names(call: ResponsesCall) -> Names:
    """As they were read with the request."""
    form = None if call.translation is None else call.translation.form
    return form.names if isinstance(form, asked.NamedForm) else Names()

"""Messages as a side of a translation."""

from collections.abc import Iterable, Mapping
from typing import Any

from proxy.errors import Refusal
from proxy.prices.catalog import Destination
from proxy.prices.usage import Usage
from proxy.protocols.anthropic.messages.asked.call import MessagesCall
from proxy.protocols.anthropic.messages.neutral import asked, asking, telling, told
from proxy.protocols.base import Charged, Habits
from proxy.protocols.endpoint import Dialect
from proxy.protocols.translate.form import Form
from proxy.protocols.translate.side import Written
from proxy.protocols.translate.told import Event


class MessagesSide:
    def __init__(self, native: Dialect[MessagesCall]) -> None:
        self.native = native
        self.asking = MessagesCall(varies=True)

    def read(self, call: MessagesCall) -> Form:
        return asked.read(call)

    def write(self, form: Form, destination: Destination, *, output_limit: int | None, habits: Habits) -> Written:
        return asking.write(form, destination, output_limit=output_limit)

    def after_refusal(self, habits: Habits, refusal: Refusal) -> Habits | None:
        return None

    def reader(self) -> told.Reader:
        return told.Reader()

    def told(self, answer: Mapping[str, Any], raw: bytes) -> Iterable[Event]:
        return told.told(answer, raw)

    def writer(self, call: MessagesCall, generation_id: str) -> telling.Writer:
        return telling.Writer(generation_id, likely_input=call.material.fair)

    def whole(
        self, call: MessagesCall, told: Iterable[Event], charged: Charged, used: Usage, refusal: Refusal | None
    ) -> bytes:
        return telling.whole(told, charged, used, refusal)

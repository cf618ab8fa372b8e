"""Chat completions as a side of a translation."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from proxy.errors import Refusal
from proxy.prices.catalog import Destination
from proxy.prices.usage import Usage
from proxy.protocols.base import Charged, Habits
from proxy.protocols.endpoint import Dialect
from proxy.protocols.openai.chat.asked.call import ChatCall
from proxy.protocols.openai.chat.neutral import asked, asking, telling, told
from proxy.protocols.translate.form import Form
from proxy.protocols.translate.side import Written
from proxy.protocols.translate.told import Event


class ChatSide:
    def __init__(self, native: Dialect[ChatCall]) -> None:
        self.native = native
        self.asking = ChatCall(include_usage=True)

    def read(self, call: ChatCall) -> Form:
        return asked.read(call)

    def write(self, form: Form, destination: Destination, *, output_limit: int | None, habits: Habits) -> Written:
        return asking.write(form, destination, habits=habits)

    def after_refusal(self, habits: Habits, refusal: Refusal) -> Habits | None:
        """Without the one that its words name, where it names one that many upstreams do not take."""
        words = f"{refusal.param or ''} {refusal.message}"
        named = [name for name in asking.OPTIONAL if re.search(rf"\b{name}\b", words)]
        left = [name for name in named if name not in habits.refused]
        return habits.without(left[0]) if len(left) == 1 else None

    def reader(self) -> told.Reader:
        return told.Reader()

    def told(self, answer: Mapping[str, Any], raw: bytes) -> Iterable[Event]:
        return told.told(answer)

    def writer(self, call: ChatCall, generation_id: str) -> telling.Writer:
        return telling.Writer(generation_id, include_usage=call.include_usage)

    def whole(
        self, call: ChatCall, told: Iterable[Event], charged: Charged, used: Usage, refusal: Refusal | None
    ) -> bytes:
        return telling.whole(told, charged, used, refusal)

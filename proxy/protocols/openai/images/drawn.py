"""Upstreams that draw: what their answers say was made, in one piece and as events."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import orjson

from proxy.prices.catalog import Destination
from proxy.prices.units import IMAGE, INPUT_IMAGE, OUTPUT_IMAGE
from proxy.prices.usage import Usage
from proxy.prices.versions import Amount
from proxy.protocols.base import Habits, Manner, Reported
from proxy.protocols.base import text_of as told_text
from proxy.protocols.endpoint import Sending
from proxy.protocols.openai import usage as usages
from proxy.protocols.openai.answering import WholeAnswer, event
from proxy.protocols.openai.chat.failure import failure_of
from proxy.protocols.openai.forms import form_sending
from proxy.protocols.openai.images.asked import TERMS, ImageCall
from proxy.protocols.openai.media_events import NAMES, MediaStream
from proxy.protocols.sse import MOST_MEDIA_BYTES


class Drawn(WholeAnswer[ImageCall]):
    """Upstreams that speak it themselves."""

    path = "/images/generations"
    kind: ClassVar[str] = "image_generation"
    """How the types of its events begin."""
    asks = "images"
    names = NAMES
    most_event_bytes = MOST_MEDIA_BYTES

    def request(
        self, call: ImageCall, destination: Destination, *, output_limit: int | None, habits: Habits
    ) -> Sending:
        if call.form.parts:
            return form_sending(self.path, call.form, destination)
        return super().request(call, destination, output_limit=output_limit, habits=habits)

    def read_answer(self, call: ImageCall, answer: Mapping[str, Any]) -> Reported:
        return _reported(call, answer, pictures=self.count(answer))

    def events(self, call: ImageCall, manner: Manner) -> MediaStream:
        return MediaStream(
            parts=frozenset({f"{self.kind}.partial_image"}),
            last=f"{self.kind}.completed",
            read=lambda said: _reported(call, said, pictures=1),
        )

    def as_events(self, answer: bytes) -> bytes:
        """Of an upstream that answers in one piece."""
        said = orjson.loads(answer)
        if self.failure(said) is not None or not (said["data"] and isinstance(said["data"][0], dict)):
            return event("error", error=failure_of(said))
        shared = {name: held for name, held in said.items() if name != "data"}
        return event(f"{self.kind}.completed", **{**shared, **said["data"][0]})


def _reported(call: ImageCall, answer: Mapping[str, Any], *, pictures: int) -> Reported:
    said = {name: told_text(answer, name) for name in TERMS}
    served = {name: word for name, word in said.items() if word not in ("", "auto")}
    told = usages.find(answer)
    if call.counted == IMAGE:
        more: dict[str, Amount] = {IMAGE: pictures}
        brought = 0
        if told is not None and call.has_tokens:
            brought = told.usage.input_tokens
            more |= {name: held for name, held in (told.usage.more or {}).items() if name == INPUT_IMAGE}
        usage = Usage(input_tokens=brought, more=more) if pictures else None
        return Reported(usage, is_whole=usage is not None, served=served)
    if told is None or not told.usage.output_tokens:
        return Reported(None, is_odd=told is not None, served=served)
    made = {OUTPUT_IMAGE: told.usage.output_tokens, **(told.usage.more or {})}
    return Reported(
        replace(told.usage, more=made),
        is_odd=told.is_odd or not told.usage.input_tokens,
        is_whole=True,
        served=served,
        stated_cost=usages.stated_cost(told),
    )


class Edited(Drawn):
    """The same, of other pictures."""

    path = "/images/edits"
    kind = "image_edit"

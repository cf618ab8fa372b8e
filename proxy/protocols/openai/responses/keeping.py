"""Responses that their upstream keeps: how it is asked about one, and under which ids it has its parts."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from proxy.kept.keeping import Keeper, Standing
from proxy.prices.catalog import Destination
from proxy.protocols import lossless
from proxy.protocols.endpoint import Sending
from proxy.protocols.openai.responses import answer as answers
from proxy.protocols.openai.responses.stream import HEAD, LAST
from proxy.protocols.sse import data_of

PENDING = frozenset({"queued", "in_progress"})
CANCELLED = "cancelled"


class Item(msgspec.Struct):
    id: str | None = None


ITEMS = msgspec.json.Decoder(list[Item])


def ids_in(output: bytes) -> tuple[str, ...]:
    """The ids of an answer's items, as JSON; none where they are not what they should be."""
    try:
        found = ITEMS.decode(output)
    except (msgspec.DecodeError, ValueError):
        return ()
    return tuple(item.id for item in found if item.id)


def kept_of(answer: Mapping[str, Any]) -> tuple[str, ...]:
    """The ids under which an answer is kept, its own first; none where it says that it is not."""
    name, output = answer.get("id"), answer.get("output")
    if not isinstance(name, str) or not name or answer.get("store") is False:
        return ()
    items = output if isinstance(output, list) else []
    named = (item.get("id") for item in items if isinstance(item, dict))
    return (name, *(one for one in named if isinstance(one, str) and one))


def is_pending(answer: Mapping[str, Any]) -> bool:
    return answer.get("status") in PENDING


def place_of(name: str) -> str:
    return f"/responses/{quote(name, safe='')}"


def headers_at(destination: Destination) -> dict[str, str]:
    return {"Authorization": f"Bearer {destination.api_key}"}


class ResponseKeeper(Keeper):
    def look(self, name: str, destination: Destination) -> Sending:
        return Sending(place_of(name), headers_at(destination), method="GET")

    def cancel(self, name: str, destination: Destination) -> Sending:
        return Sending(f"{place_of(name)}/cancel", headers_at(destination))

    def standing(self, answer: Mapping[str, Any]) -> Standing:
        reported = answers.read_answer(answer, kept=kept_of(answer))
        return Standing(not is_pending(answer), reported, was_stopped=answer.get("status") == CANCELLED)

    def ended(self, event: bytes) -> Mapping[str, Any] | None:
        head = HEAD.match(event)
        if head is not None and head[1].decode() not in LAST:
            return None
        try:
            said = lossless.load(data_of(event))
        except ValueError:
            return None
        if not isinstance(said, dict) or said.get("type") not in LAST:
            return None
        answer = said.get("response")
        return answer if isinstance(answer, dict) else None

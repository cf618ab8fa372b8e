"""What an answer of Responses has come to that is ended before its upstream ends it, read from the events so far."""

from collections.abc import Iterable
from typing import Any

from proxy.protocols import lossless
from proxy.protocols.sse import data_of, events_of

INCOMPLETE = "response.incomplete"
REASON = "max_output_tokens"
GROWS = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
    "response.reasoning_text.delta": "text",
    "response.reasoning_summary_text.delta": "text",
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "input",
}
"""By event, the member that its `delta` is added to: of a part where it names one, else of the item."""
LISTS = {"content_index": "content", "summary_index": "summary"}
SHOWN = frozenset({"message", "reasoning"})
"""Items whose end is told; half a call of a tool is no call."""


class SoFar:
    """Of the events of a stream, the answer, its items, and those that have not ended."""

    def __init__(self, events: Iterable[bytes]) -> None:
        self.answer: dict[str, Any] = {}
        self.number = 0
        """Of the next event."""
        self._items: dict[int, dict[str, Any]] = {}
        self._open = set[int]()
        for one in (one for piece in events for one in events_of(piece)):
            try:
                said = lossless.load_exact(data_of(one))
            except ValueError:
                continue
            if isinstance(said, dict):
                self._take(said)

    @property
    def ended(self) -> dict[str, Any]:
        """The answer as one that has reached its limit."""
        items = [item for _index, item in sorted(self._items.items())]
        ending = {"status": "incomplete", "incomplete_details": {"reason": REASON}, "error": None}
        return {"object": "response", **self.answer, **ending, "output": items}

    @property
    def endings(self) -> list[dict[str, Any]]:
        """The events that end what is open."""
        found = [(index, self._items[index]) for index in sorted(self._open)]
        told = [(index, item) for index, item in found if item.get("type") in SHOWN]
        return [{"type": "response.output_item.done", "output_index": index, "item": item} for index, item in told]

    def _take(self, said: dict[str, Any]) -> None:
        kind, index, item = said.get("type"), said.get("output_index"), said.get("item")
        number = said.get("sequence_number")
        self.number = number + 1 if isinstance(number, int) else self.number
        if isinstance(response := said.get("response"), dict):
            self.answer = response
        elif not isinstance(index, int):
            return
        elif kind == "response.output_item.done" and isinstance(item, dict):
            self._items[index] = item
            self._open.discard(index)
        elif kind == "response.output_item.added" and isinstance(item, dict):
            self._items[index] = {**item, "status": "incomplete"}
            self._open.add(index)
        elif index in self._items:
            self._grow(self._items[index], said)

    @staticmethod
    def _grow(item: dict[str, Any], said: dict[str, Any]) -> None:
        holder = item
        for place, name in LISTS.items():
            if isinstance(number := said.get(place), int) and 0 <= number <= len(item.get(name) or ()):
                parts = item[name] = [*(item.get(name) or ())]
                if number == len(parts):
                    parts.append(dict(said["part"]) if isinstance(said.get("part"), dict) else {})
                holder = parts[number] if isinstance(parts[number], dict) else {}
        member, delta = GROWS.get(str(said.get("type"))), said.get("delta")
        if member is not None and isinstance(delta, str):
            holder[member] = str(holder.get(member) or "") + delta

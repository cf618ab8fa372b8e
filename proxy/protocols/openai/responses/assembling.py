"""A stream put together to one JSON answer, and a JSON answer as a stream, where the caller asked for the other."""

from typing import Any

from proxy.protocols import lossless
from proxy.protocols.openai.responses.failure import failure_in
from proxy.protocols.openai.responses.stream import EARLY, ERROR, LAST
from proxy.protocols.sse import END, bare_of, data_of, error_of, events_of

ENDINGS = {"incomplete": "response.incomplete", "failed": "response.failed", "cancelled": "response.cancelled"}
GROWING = {
    "function_call": ("arguments", "function_call_arguments"),
    "custom_tool_call": ("input", "custom_tool_call_input"),
}
"""Items that are a text, with its member and how its events are called."""


class Assembly:
    """Take events, ask for the `whole`."""

    def __init__(self) -> None:
        self._response: dict[str, Any] = {}
        self._items: dict[int, Any] = {}
        self._error: Any = None
        self._done = False

    def take(self, events: bytes) -> None:
        for event in events_of(events):
            if not self.is_complete:
                self._take_one(event)

    @property
    def is_complete(self) -> bool:
        return self._done or self._error is not None

    def whole(self) -> dict[str, Any]:
        """The JSON answer of what has come."""
        answer = self._response
        if self._items and not answer.get("output"):
            answer = {**answer, "output": [item for _index, item in sorted(self._items.items())]}
        return answer if self._error is None else {**answer, "error": self._error}

    def _take_one(self, event: bytes) -> None:
        failed = error_of(event)
        said = lossless.loaded(data_of(event) or bare_of(event) if failed is None else failed, is_exact=True)
        if failed is not None or (isinstance(said, dict) and said.get("type") == ERROR):
            told = said if isinstance(said, dict) else {"message": (failed or b"").decode("utf-8", "replace")}
            self._error = told.get("error") or told
        elif isinstance(said, dict):
            kind, response, index = said.get("type"), said.get("response"), said.get("output_index")
            if kind in EARLY | LAST and isinstance(response, dict):
                self._response, self._done = response, kind in LAST
            elif kind == "response.output_item.done" and isinstance(index, int):
                self._items[index] = said.get("item")


def as_events(raw: bytes) -> bytes:
    """A JSON answer as events. Raises `ValueError`."""
    answer = lossless.load_exact(raw)
    if not isinstance(answer, dict):
        raise ValueError("not an object")
    output = answer.get("output")
    if failure_in(answer) is not None and not output:
        return _framed({"type": ERROR, "error": answer.get("error") or answer})
    begun = {**answer, "status": "in_progress", "output": [], "usage": None, "error": None, "incomplete_details": None}
    events: list[dict[str, Any]] = [
        {"type": kind, "response": begun} for kind in ("response.created", "response.in_progress")
    ]
    for index, item in enumerate(output if isinstance(output, list) else ()):
        events += _item_events(index, item) if isinstance(item, dict) else ()
    events.append({"type": ENDINGS.get(str(answer.get("status")), "response.completed"), "response": answer})
    return b"".join(_framed({**event, "sequence_number": number}) for number, event in enumerate(events))


def _item_events(index: int, item: dict[str, Any]) -> list[dict[str, Any]]:
    at = {"item_id": item.get("id"), "output_index": index}
    begun = item
    pieces: list[dict[str, Any]] = []
    if item.get("type") == "message" and isinstance(item.get("content"), list):
        begun = {**item, "content": [], "status": "in_progress"}
        for number, part in enumerate(item["content"]):
            pieces += _part_events({**at, "content_index": number}, part) if isinstance(part, dict) else ()
    elif (grows := GROWING.get(str(item.get("type")))) is not None and isinstance(item.get(grows[0]), str):
        member, name = grows
        begun = {**item, member: "", "status": "in_progress"}
        pieces.append({"type": f"response.{name}.delta", **at, "delta": item[member]})
        pieces.append({"type": f"response.{name}.done", **at, "name": item.get("name"), member: item[member]})
    return [
        {"type": "response.output_item.added", "output_index": index, "item": begun},
        *pieces,
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


def _part_events(at: dict[str, Any], part: dict[str, Any]) -> list[dict[str, Any]]:
    member = "refusal" if part.get("type") == "refusal" else "text"
    kind = member if member == "refusal" else f"output_{member}"
    words = part.get(member)
    pieces: list[dict[str, Any]] = []
    begun = part
    if isinstance(words, str):
        begun = {**part, member: ""}
        more: dict[str, Any] = {"logprobs": []} if member == "text" else {}
        pieces.append({"type": f"response.{kind}.delta", **at, "delta": words, **more})
        pieces.append({"type": f"response.{kind}.done", **at, member: words, **more})
    return [
        {"type": "response.content_part.added", **at, "part": begun},
        *pieces,
        {"type": "response.content_part.done", **at, "part": part},
    ]


def _framed(said: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b" % (str(said["type"]).encode(), lossless.dump(said)) + END

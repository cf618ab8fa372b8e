"""A stream put together to one JSON answer, and a JSON answer as a stream, where the caller asked for the other."""

from collections.abc import Mapping
from typing import Any

from proxy.protocols import lossless
from proxy.protocols.counts import is_counted
from proxy.protocols.openai import usage as usages
from proxy.protocols.openai.chat.failure import failure_among, failure_in, failure_of, without_failure
from proxy.protocols.openai.chat.produced import produced_bytes
from proxy.protocols.openai.chat.stream import is_text
from proxy.protocols.openai.choices import choices_of
from proxy.protocols.sse import DONE, bare_of, data_of, error_of, events_of

SET = frozenset({"id", "index", "type", "role", "name", "format", "signature"})
"""Texts that come whole, and may come again."""


NAMELESS: dict[str, Any] = {"message": None}
"""An error that says nothing, as an object that is one."""


class Assembly:
    """Take events, read `answer`: as `json.loads` gives it, with the error that ended it if one did."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] = {}
        self.done = False
        self._choices: dict[int, dict[str, Any]] = {}
        self._text = b""

    def take(self, events: bytes) -> None:
        for event in events_of(events):
            if not self.is_over:
                self._take_one(event)

    @property
    def is_over(self) -> bool:
        return self.done or bool(self.answer.get("error"))

    @property
    def is_complete(self) -> bool:
        return self.is_over or bool(self._text) or self._has_reason

    @property
    def _has_reason(self) -> bool:
        return any(choice.get("finish_reason") for choice in self._choices.values())

    def whole(self) -> dict[str, Any]:
        """The JSON answer of what has come."""
        if self._text and not self._has_reason and not is_counted(usages.find(self.answer)):
            self.answer.setdefault("error", self._text.decode("utf-8", "replace"))
        choices = [_whole(choice) for _, choice in sorted(self._choices.items())]
        answer = {**self.answer, **({"choices": choices} if choices or "choices" in self.answer else {})}
        return {**answer, "object": "chat.completion"} if choices else answer

    def _take_one(self, event: bytes) -> None:
        if (failed := error_of(event)) is not None:
            self.answer["error"] = (
                failure_of(lossless.loaded(failed, is_exact=True) or failed.decode("utf-8", "replace")) or NAMELESS
            )
            return
        data = data_of(event) or bare_of(event)
        if data == b"[DONE]":
            self.done = True
            return
        chunk = lossless.loaded(data, is_exact=True)
        if chunk is None and is_text(data):
            self._text = data
        if isinstance(chunk, list) and (failed := failure_among(chunk)) is not None:
            self.answer["error"] = failed or NAMELESS
        if not isinstance(chunk, dict):
            return
        error = failure_in(chunk)
        if "choices" in chunk or usages.find(chunk) is not None:  # else it is a heartbeat, or an error alone
            self._take_members(chunk)
        for choice in choices_of(chunk):
            self._text = b""
            self._take_choice({name: value for name, value in choice.items() if name != "error"})
        if error is not None:
            self.answer["error"] = error or NAMELESS

    def _take_members(self, chunk: dict[str, Any]) -> None:
        for name, value in chunk.items():
            if name == "choices":
                self.answer.setdefault(name, [])
            elif name == "usage" and value is not None and is_counted(usages.read(self.answer.get(name))):
                self.answer[name] = value if is_counted(usages.read(value)) else self.answer[name]
            elif value is not None or name not in self.answer:
                self.answer[name] = value

    def _take_choice(self, choice: dict[str, Any]) -> None:
        index = choice.get("index")
        index = index if isinstance(index, int) else 0
        known = self._choices.setdefault(
            index, {"index": index, "message": {"role": "assistant"}, "finish_reason": None}
        )
        for name, value in choice.items():
            if name in ("delta", "message") and isinstance(value, dict):
                _add(known["message"], value)
            elif name == "logprobs" and isinstance(value, dict):
                _add(known, {name: value})
            elif name not in ("delta", "message", "index") and (value is not None or name not in known):
                known[name] = known[name] + value if name == "text" and isinstance(known.get(name), str) else value


def as_events(raw: bytes) -> bytes:
    """A JSON answer as events: for each choice its words, then its finish reason, then usage. Raises `ValueError`."""
    answer = lossless.load_exact(raw)
    if not isinstance(answer, dict):
        raise ValueError("not an object")
    failed = failure_in(answer)
    if not any(choices_of(answer)) or (failed is not None and not produced_bytes(answer)):
        return _event(answer) + DONE
    told = usages.find(answer)
    if failed is not None:
        answer = without_failure(answer)
    head = {
        "id": answer.get("id"),
        **{name: value for name, value in answer.items() if name not in ("choices", "usage")},
    }
    head["object"] = "chat.completion.chunk"
    events = []
    for number, choice in enumerate(choices_of(answer)):
        index = choice.get("index", number)
        kept = {name: value for name, value in choice.items() if name not in ("message", "finish_reason", "usage")}
        delta = _delta(choice.get("message"))
        events.append({**head, "choices": [{**kept, "index": index, "delta": delta, "finish_reason": None}]})
        if reason := choice.get("finish_reason"):
            last = {"index": index, "delta": {}, "finish_reason": reason}
            events.append({**head, "choices": [last]})
    if told is not None:
        events.append({**head, "choices": [], "usage": told.said})
    if failed is not None:
        events.append({"error": failed or NAMELESS})
    return b"".join(map(_event, events)) + DONE


def _delta(message: Any) -> dict[str, Any]:
    if not isinstance(message, dict):
        return {}
    delta = {name: value for name, value in message.items() if name != "usage"}
    calls = delta.get("tool_calls")
    if isinstance(calls, list):
        delta["tool_calls"] = [
            {"index": number, **call} if isinstance(call, dict) else call for number, call in enumerate(calls)
        ]
    return delta


def _event(value: Any) -> bytes:
    return b"data: " + lossless.dump(value) + b"\n\n"


def _whole(choice: Mapping[str, Any]) -> dict[str, Any]:
    message = dict(choice["message"])
    message.setdefault("content", None)
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        message["tool_calls"] = [_without_index(call) for call in calls]
    return {**choice, "message": message}


def _without_index(call: Any) -> Any:
    return {name: value for name, value in call.items() if name != "index"} if isinstance(call, dict) else call


def _add(known: dict[str, Any], delta: Mapping[str, Any]) -> None:
    """Texts grow, tool calls by their index, objects member by member; anything else is the last that was said."""
    for name, value in delta.items():
        held = known.get(name)
        if isinstance(held, str) and isinstance(value, str) and name not in SET:
            known[name] = held + value
        elif isinstance(held, dict) and isinstance(value, dict):
            _add(held, value)
        elif isinstance(value, list) and name == "tool_calls":
            known[name] = held if isinstance(held, list) else []
            for item in value:
                _add_item(known[name], item)
        elif isinstance(held, list) and isinstance(value, list):
            known[name] = held + value
        elif value not in (None, "") or name not in known:
            known[name] = value


def _add_item(items: list[Any], item: Any) -> None:
    """One more piece of a tool call: of the call with its index, unless it brings the id of another."""
    if not isinstance(item, dict):
        items.append(item)
        return
    index, name = item.get("index"), item.get("id")
    if index is None:
        same = items[-1:] if not name or (items and items[-1].get("id") == name) else []
    else:
        same = [held for held in items if isinstance(held, dict) and held.get("index") == index]
        same = [held for held in same[-1:] if not name or not held.get("id") or held["id"] == name]
    if same and isinstance(same[-1], dict):
        _add(same[-1], item)
    else:
        items.append({**item})

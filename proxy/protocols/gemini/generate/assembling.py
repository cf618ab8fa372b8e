"""A stream put together to one JSON answer, and a JSON answer as a stream, where the caller asked for the other."""

from typing import Any

from proxy.protocols import lossless
from proxy.protocols.gemini.generate import usage as usages
from proxy.protocols.gemini.generate.answer import candidates_of
from proxy.protocols.sse import END, bare_of, data_of, error_of, events_of


class Assembly:
    """Take events, ask for the `whole`."""

    def __init__(self) -> None:
        self._answer: dict[str, Any] = {}
        self._candidates: dict[int, dict[str, Any]] = {}
        self._error: Any = None

    def take(self, events: bytes) -> None:
        for event in events_of(events):
            if self._error is None:
                self._take_one(event)

    @property
    def is_complete(self) -> bool:
        """Whether it may end here: bytes that end tell no more."""
        ended = [bool(one.get("finishReason")) for one in self._candidates.values()]
        return self._error is not None or (all(ended) if ended else "promptFeedback" in self._answer)

    def whole(self) -> dict[str, Any]:
        """The JSON answer of what has come."""
        answer = {**self._answer}
        if self._candidates:
            answer["candidates"] = [one for _index, one in sorted(self._candidates.items())]
        return answer if self._error is None else {**answer, "error": self._error}

    def _take_one(self, event: bytes) -> None:
        failed = error_of(event)
        said = lossless.loaded(data_of(event) or bare_of(event) if failed is None else failed, is_exact=True)
        if failed is not None or (isinstance(said, dict) and said.get("error")):
            told = said if isinstance(said, dict) else {"message": (failed or b"").decode("utf-8", "replace")}
            self._error = told.get("error") or told
        elif isinstance(said, dict):
            self._take(said)

    def _take(self, said: dict[str, Any]) -> None:
        counts = usages.merged(self._answer.get(usages.NAME) or {}, said.get(usages.NAME))
        self._answer |= {name: value for name, value in said.items() if name != "candidates"}
        if counts:
            self._answer[usages.NAME] = dict(counts)
        for at, candidate in enumerate(candidates_of(said)):
            told = candidate.get("index", at)
            index = told if type(told) is int else at
            held = self._candidates.setdefault(index, {})
            parts = _joined([*_parts(held), *_parts(candidate)])
            held |= candidate
            if parts:
                content = held.get("content")
                held["content"] = {**(content if isinstance(content, dict) else {}), "parts": parts}


def as_events(raw: bytes) -> bytes:
    """A JSON answer, or an array of pieces of one, as events. Raises `ValueError`."""
    answer = lossless.load_exact(raw)
    pieces = answer if isinstance(answer, list) else [answer]
    if not all(isinstance(piece, dict) for piece in pieces):
        raise ValueError("not an object")
    return b"".join([b"data: " + lossless.dump(piece) + END for piece in pieces])


def _parts(candidate: dict[str, Any]) -> list[Any]:
    content = candidate.get("content")
    said = content.get("parts") if isinstance(content, dict) else None
    return said if isinstance(said, list) else []


def _joined(parts: list[Any]) -> list[Any]:
    """Pieces of one text put together: those that are nothing but a text, or nothing but a thought."""
    found: list[Any] = []
    for part in parts:
        before: Any = found[-1] if found else None
        if _is_text(part) and _is_text(before) and part.get("thought") == before.get("thought"):
            found[-1] = {**before, "text": before["text"] + part["text"]}
        else:
            found.append(part)
    return found


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(part.get("text"), str) and part.keys() <= {"text", "thought"}

"""A stream put together to one JSON answer, and a JSON answer as a stream, where the caller asked for the other."""

from typing import Any

from proxy.protocols import lossless
from proxy.protocols.anthropic.messages import usage as usages
from proxy.protocols.anthropic.messages.failure import is_answer
from proxy.protocols.sse import END, bare_of, data_of, error_of, events_of

GROWING = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "compaction_delta": "content",
}
"""Pieces of text by their kind, and the member of a block that they are added to."""
PARTIAL, CITED = "input_json_delta", "citations_delta"


class Assembly:
    """Take events, ask for the `whole`."""

    def __init__(self) -> None:
        self._message: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._inputs: dict[int, str] = {}
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
        for index, text in self._inputs.items():
            self._blocks[index]["input"] = (
                lossless.loaded(text.encode("utf-8", "surrogatepass"), is_exact=True) if text.strip() else {}
            )
        answer = {**self._message}
        if self._blocks or "content" in answer:
            answer["content"] = [block for _index, block in sorted(self._blocks.items())]
        return answer if self._error is None else {**answer, "error": self._error}

    def _take_one(self, event: bytes) -> None:
        failed = error_of(event)
        said = lossless.loaded(data_of(event) or bare_of(event) if failed is None else failed, is_exact=True)
        if failed is not None or (isinstance(said, dict) and said.get("type") == "error"):
            told = said if isinstance(said, dict) else {"message": (failed or b"").decode("utf-8", "replace")}
            self._error = told.get("error") or told
        elif isinstance(said, dict):
            self._take(said)

    def _take(self, said: dict[str, Any]) -> None:
        kind, index, delta = said.get("type"), said.get("index"), said.get("delta")
        if kind == "message_start" and isinstance(said.get("message"), dict):
            self._message = {**said["message"]}
        elif kind == "message_stop":
            self._done = True
        elif kind == "message_delta":
            if isinstance(delta, dict):
                self._message |= delta
            before = self._message.get("usage")
            self._message["usage"] = dict(usages.merged(before if isinstance(before, dict) else {}, said.get("usage")))
        elif kind == "content_block_start" and isinstance(index, int) and isinstance(said.get("content_block"), dict):
            self._blocks[index] = {**said["content_block"]}
        elif kind == "content_block_delta" and isinstance(delta, dict) and index in self._blocks:
            self._grow(index, delta)

    def _grow(self, index: int, delta: dict[str, Any]) -> None:
        block, kind = self._blocks[index], delta.get("type")
        name = GROWING.get(kind) if isinstance(kind, str) else None
        if name is not None and isinstance(delta.get(name), str):
            held = block.get(name)
            block[name] = (held if isinstance(held, str) else "") + delta[name]
        elif kind == PARTIAL and isinstance(delta.get("partial_json"), str):
            self._inputs[index] = self._inputs.get(index, "") + delta["partial_json"]
        elif kind == CITED:
            held = block.get("citations")
            cited = [value for name, value in delta.items() if name != "type"]
            block["citations"] = [*(held if isinstance(held, list) else ()), *cited]


def as_events(raw: bytes) -> bytes:
    """A JSON answer as events. Raises `ValueError`."""
    answer = lossless.load_exact(raw)
    if not isinstance(answer, dict):
        raise ValueError("not an object")
    if answer.get("error") or not is_answer(answer):
        return _event({**answer, "type": "error"})
    counts = answer.get("usage")
    counts = counts if isinstance(counts, dict) else {}
    blocks = answer.get("content")
    head = {**answer, "content": [], "stop_reason": None, "stop_sequence": None}
    head["usage"] = {**counts, "output_tokens": 0}
    events = [{"type": "message_start", "message": head}]
    for index, block in enumerate(blocks if isinstance(blocks, list) else ()):
        if isinstance(block, dict):
            events += _block_events(index, block)
    ending = {name: answer[name] for name in ("stop_reason", "stop_sequence", "stop_details") if name in answer}
    events.append({"type": "message_delta", "delta": ending, **({"usage": counts} if counts else {})})
    events.append({"type": "message_stop"})
    return b"".join(map(_event, events))


def _block_events(index: int, block: dict[str, Any]) -> list[dict[str, Any]]:
    deltas = [{"type": kind, name: block[name]} for kind, name in GROWING.items() if isinstance(block.get(name), str)]
    begun = {name: "" if any(name in delta for delta in deltas) else value for name, value in block.items()}
    if block.get("type") == "tool_use" and "input" in block:
        deltas = [{"type": PARTIAL, "partial_json": lossless.dump(block["input"]).decode()}]
        begun = {**block, "input": {}}
    pieces = [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
    start = {"type": "content_block_start", "index": index, "content_block": begun}
    return [start, *pieces, {"type": "content_block_stop", "index": index}]


def _event(said: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b" % (str(said["type"]).encode(), lossless.dump(said)) + END

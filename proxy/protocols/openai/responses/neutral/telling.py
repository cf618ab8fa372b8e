"""An answer as one of Responses, for a caller who speaks it: as a stream, or in one piece.

What the request says of itself is repeated, as its provider does; nothing of it is stored.
"""

from collections.abc import Iterable
from time import time
from typing import Any

import msgspec

from proxy.errors import Refusal
from proxy.prices.usage import Usage
from proxy.protocols import lossless
from proxy.protocols.base import Charged
from proxy.protocols.counts import told as told_of
from proxy.protocols.openai.responses.neutral.names import Names
from proxy.protocols.openai.responses.neutral.output import REFUSAL, TEXT, Change, Item, Output
from proxy.protocols.sse import END
from proxy.protocols.translate.told import Begun, Event, Said

ABSENT = msgspec.Raw(b"")
CREATED, IN_PROGRESS = "response.created", "response.in_progress"
USUAL: dict[str, bytes] = {
    "instructions": b"null",
    "metadata": b"{}",
    "parallel_tool_calls": b"true",
    "prompt_cache_key": b"null",
    "reasoning": b'{"effort":null,"summary":null}',
    "safety_identifier": b"null",
    "temperature": b"1.0",
    "text": b'{"format":{"type":"text"}}',
    "tool_choice": b'"auto"',
    "tools": b"[]",
    "top_p": b"1.0",
    "truncation": b'"disabled"',
    "user": b"null",
}
"""What an answer repeats of its request, and what stands there where that says nothing."""
OURS = b'"background":false,"previous_response_id":null,"store":false'
Echoed = msgspec.defstruct("Echoed", [(name, msgspec.Raw, ABSENT) for name in USUAL], gc=False)
_echoed = msgspec.json.Decoder(Echoed)


class Frame:
    """What is the same in each of an answer's objects."""

    def __init__(self, rest: bytes, *, output_limit: int | None, generation_id: str) -> None:
        """`rest` are the request's members."""
        said = _echoed.decode(b"{%b}" % rest)
        self.id = generation_id.removeprefix("gen-")
        self.model = ""
        self._created = int(time())
        members = [b'"%b":%b' % (name.encode(), _of(getattr(said, name), usual)) for name, usual in USUAL.items()]
        limit = b"null" if output_limit is None else b"%d" % output_limit
        self._echo = b'%b,"max_output_tokens":%b,%b' % (b",".join(members), limit, OURS)

    def response(
        self, status: str, *, output: bytes = b"", why: str = "", error: bytes = b"null", more: bytes = b""
    ) -> bytes:
        """`output` are its items, `more` further members with a comma before them."""
        cut = b'{"reason":"%b"}' % why.encode() if why else b"null"
        ended = b"null" if status == "in_progress" else b"%d" % int(time())
        head = b'{"id":"resp_%b","object":"response","created_at":%d,"completed_at":%b,"status":"%b",' % (
            self.id.encode(),
            self._created,
            ended,
            status.encode(),
        )
        told = b'"error":%b,"incomplete_details":%b,"model":%b,"output":[%b]' % (
            error,
            cut,
            lossless.write(self.model),
            output,
        )
        return b"%b%b,%b%b}" % (head, told, self._echo, more)

    def ended(self, output: Output, charged: Charged, used: Usage, refusal: Refusal | None) -> tuple[str, bytes]:
        """Its status, and the whole answer."""
        status, error = (output.status, b"null") if refusal is None else ("failed", lossless.write(_error(refusal)))
        told = told_of(counts_of(used), charged)
        response = self.response(
            status,
            output=b",".join([lossless.write(item.said) for item in output.items]),
            why=output.why if status == "incomplete" else "",
            error=error,
            more=b"".join([b',"%b":%b' % (name.encode(), raw) for name, raw in told.items()]),
        )
        return status, response


def _of(raw: msgspec.Raw, usual: bytes) -> bytes:
    said = bytes(raw)
    return usual if said in (b"", b"null") else said


def _error(refusal: Refusal) -> dict[str, Any]:
    return {"code": refusal.code, "message": refusal.message}


class Writer:
    """Writes a stream. Its end is the whole answer."""

    def __init__(self, frame: Frame, names: Names) -> None:
        self._frame = frame
        self._output = Output(names, frame.id)
        self._has_begun = False
        self._number = 0
        self._word = b""
        """How an event of words begins, while a message is open that ends in a text."""

    def write(self, told: Iterable[Event]) -> bytes:
        out: list[bytes] = []
        for event in told:
            if isinstance(event, Begun):
                self._frame.model = event.model
                continue
            if type(event) is Said and self._word and self._output.open is not None:
                if event.text:
                    self._output.open.parts[-1].pieces.append(event.text)
                    out.append(self._piece_of_text(event.text))
                continue
            self._word = b""
            for change in self._output.add(event):
                self._begin(out)
                out.append(self._changed(change))
        return b"".join(out)

    def last(self, charged: Charged, used: Usage) -> bytes:
        out: list[bytes] = []
        self._begin(out)
        out += [self._changed(change) for change in self._output.end_all()]
        status, response = self._frame.ended(self._output, charged, used, None)
        out.append(self._event(f"response.{status}", b'"response":' + response))
        return b"".join(out)

    def _begin(self, out: list[bytes]) -> None:
        if not self._has_begun:
            self._has_begun = True
            head = b'"response":' + self._frame.response("in_progress", more=b',"usage":null')
            out += [self._event(CREATED, head), self._event(IN_PROGRESS, head)]

    def _changed(self, change: Change) -> bytes:
        item, part = change.item, change.part
        match change.what:
            case "item":
                return self._of_place("response.output_item.added", item, b'"item":' + lossless.write(item.said))
            case "part":
                said = {"type": item.parts[part].kind, **_empty(item.parts[part].kind)}
                name = "reasoning_summary_part" if item.kind == "reasoning" else "content_part"
                return self._of_item(f"response.{name}.added", item, _at(item, part), part=said)
            case "piece":
                return self._piece(item, part, change.piece)
        return b"".join([*self._ends(item)])

    def _piece(self, item: Item, part: int, piece: str) -> bytes:
        if item.parts[part].kind == TEXT:
            self._word = b'"item_id":"%b","output_index":%d,"content_index":%d,"logprobs":[],"delta":' % (
                item.id.encode(),
                item.place,
                part,
            )
            return self._piece_of_text(piece)
        return self._of_item(f"response.{_named(item, part)}.delta", item, _at(item, part), delta=piece)

    def _piece_of_text(self, text: str) -> bytes:
        number, self._number = self._number, self._number + 1
        return (
            b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":%d,%b%b}'
            % (number, self._word, lossless.write(text))
            + END
        )

    def _ends(self, item: Item) -> Iterable[bytes]:
        """Each of its parts, and then the item, whole."""
        for number, part in enumerate(item.parts):
            at, name = _at(item, number), _named(item, number)
            match item.kind:
                case "function_call":
                    whole: dict[str, Any] = {"name": item.named.name, "arguments": item.argument}
                case "custom_tool_call":
                    whole = {"input": item.argument}
                case _:
                    whole = {"refusal" if part.kind == REFUSAL else "text": part.text}
                    if name == TEXT:
                        whole["logprobs"] = []
            if name == "function_call_arguments" and not part.pieces:
                yield self._of_item(f"response.{name}.delta", item, at, delta=item.argument)
            yield self._of_item(f"response.{name}.done", item, at, **whole)
            if item.kind in ("message", "reasoning"):
                held = "reasoning_summary_part" if item.kind == "reasoning" else "content_part"
                yield self._of_item(f"response.{held}.done", item, at, part=part.said)
        yield self._of_place("response.output_item.done", item, b'"item":' + lossless.write(item.said))

    def _of_item(self, kind: str, item: Item, at: dict[str, int], **said: Any) -> bytes:
        members = {"item_id": item.id, "output_index": item.place, **at, **said}
        return self._event(kind, lossless.write(members)[1:-1])

    def _of_place(self, kind: str, item: Item, member: bytes) -> bytes:
        return self._event(kind, b'"output_index":%d,%b' % (item.place, member))

    def _event(self, kind: str, members: bytes) -> bytes:
        number, self._number = self._number, self._number + 1
        name = kind.encode()
        return b'event: %b\ndata: {"type":"%b","sequence_number":%d,%b}' % (name, name, number, members) + END


def _at(item: Item, part: int) -> dict[str, int]:
    """Where a part of an item stands; a call has none."""
    match item.kind:
        case "message":
            return {"content_index": part}
        case "reasoning":
            return {"summary_index": part}
    return {}


def _named(item: Item, part: int) -> str:
    """What the events about a part are called."""
    match item.kind:
        case "function_call":
            return "function_call_arguments"
        case "custom_tool_call":
            return "custom_tool_call_input"
        case "reasoning":
            return "reasoning_summary_text"
    return item.parts[part].kind


def _empty(kind: str) -> dict[str, Any]:
    if kind == TEXT:
        return {"annotations": [], "logprobs": [], "text": ""}
    return {"refusal" if kind == REFUSAL else "text": ""}


def whole(
    frame: Frame, names: Names, told: Iterable[Event], charged: Charged, used: Usage, refusal: Refusal | None
) -> bytes:
    """The answer in one piece; where words came with an error it stands beside them."""
    output = Output(names, frame.id)
    for event in told:
        if isinstance(event, Begun):
            frame.model = charged.manner.model or event.model
        else:
            for _change in output.add(event):
                pass
    for _change in output.end_all():
        pass
    _status, response = frame.ended(output, charged, used, refusal)
    return response


def counts_of(used: Usage) -> dict[str, Any]:
    """What was used in this protocol's words: all input is one count, and what the cache did is part of it."""
    cache = {"cached_tokens": used.cached_tokens, "cache_write_tokens": used.cache_write_tokens}
    return {
        "input_tokens": used.input_tokens,
        "input_tokens_details": cache,
        "output_tokens": used.output_tokens,
        "output_tokens_details": {"reasoning_tokens": used.reasoning_tokens},
        "total_tokens": used.input_tokens + used.output_tokens,
    }

"""Tools whose argument is free text, for upstreams that know none: functions with a text as their one member."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import orjson

from proxy.protocols.translate.decoding import not_carried
from proxy.protocols.translate.form import Form, Part, Tool, ToolCall
from proxy.protocols.translate.told import CallBegun, CallEnded, CallPiece, Event, Finished

MEMBER = "input"
SCHEMA = b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}'


def free_in(form: Form) -> frozenset[str]:
    """The names of such tools."""
    return frozenset(tool.name for tool in form.tools if tool.takes_text)


def as_functions(form: Form) -> Form:
    """Raises `Untranslatable` for a tool whose text has to follow a grammar: nobody would see to it."""
    turns = form.turns
    if any(isinstance(part, ToolCall) and part.takes_text for turn in turns for part in turn.parts):
        turns = tuple(replace(turn, parts=tuple(map(_called, turn.parts))) for turn in turns)
    elif not any(tool.takes_text for tool in form.tools):
        return form
    return replace(form, turns=turns, tools=tuple(map(_offered, form.tools)))


def _offered(tool: Tool) -> Tool:
    if not tool.takes_text:
        return tool
    if tool.grammar:
        raise not_carried(tool.place, "Its argument follows a grammar, which this model's tools do not take.")
    return replace(tool, schema=SCHEMA, takes_text=False)


def _called(part: Part) -> Part:
    if not isinstance(part, ToolCall) or not part.takes_text:
        return part
    return replace(part, arguments=orjson.dumps({MEMBER: part.arguments}).decode(), takes_text=False)


class AsText:
    """Calls of such functions as their callers know them. An argument is told whole, once it is."""

    def __init__(self, free: frozenset[str]) -> None:
        self._free = free
        self._open: dict[int, list[str]] = {}

    def told(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            match event:
                case CallBegun(name=name, takes_text=False) if name in self._free:
                    self._open[event.number] = []
                    yield replace(event, takes_text=True)
                    continue
                case CallPiece(number=number, text=text) if number in self._open:
                    self._open[number].append(text)
                    continue
                case CallEnded(number=number) if number in self._open:
                    yield self._whole(number)
                case Finished():
                    yield from self.rest()
            yield event

    def rest(self) -> Iterator[Event]:
        """What is still kept."""
        for number in list(self._open):
            yield self._whole(number)

    def _whole(self, number: int) -> CallPiece:
        return CallPiece(number, text_in("".join(self._open.pop(number))))


def text_in(argument: str) -> str:
    """The text in an argument; where it is none, as where it was cut off, all that was written."""
    try:
        said = orjson.loads(argument)
    except orjson.JSONDecodeError:
        return argument
    text = said.get(MEMBER) if isinstance(said, dict) else None
    return text if isinstance(text, str) else argument

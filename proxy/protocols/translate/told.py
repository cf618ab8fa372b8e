"""An answer in no protocol's own words, as what happens one after the other.

A stream is told piece by piece, an answer in one piece as the same with each piece whole: what is written for a caller
goes by one list. What it used is no part of it, see `Reported`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from enum import Enum

from core.records import value


class Reason(Enum):
    """Why an answer ends. Each protocol's folder says which of its own words stands for which."""

    DONE = "done"
    STOP = "stop"
    """A stop sequence was written."""
    LENGTH = "length"
    """The output limit was reached, the model's context, or what the balance allows."""
    TOOLS = "tools"
    """Tools are to be called."""
    REFUSED = "refused"
    """The model or a filter refuses to answer, or to go on."""
    PAUSED = "paused"
    """A turn with tools at the provider goes on when it is sent again."""


@value
class Begun:
    """`model` and `id` are as the upstream has them."""

    model: str
    id: str


@value
class Said:
    """A piece of text."""

    text: str


@value
class Thought:
    """A piece of what the model thought."""

    text: str


@value
class ThoughtEnded:
    """What was thought since the last one is whole. `seal`, `maker` and `is_hidden` as in a form's `Thought`."""

    seal: str = ""
    maker: str = ""
    is_hidden: bool = False


@value
class RefusalSaid:
    """A piece of what the model says instead of an answer."""

    text: str


@value
class CallBegun:
    """A tool is called. `number` tells the calls of an answer apart; an upstream may give no `id`."""

    number: int
    id: str
    name: str
    takes_text: bool = False


@value
class CallPiece:
    """A piece of the arguments of that call."""

    number: int
    text: str


@value
class CallEnded:
    """Nothing more of that call follows. Not every protocol says so: a call also ends with the answer."""

    number: int


@value
class Finished:
    """`stop` is the stop sequence that was written, "" where it is not told."""

    reason: Reason
    stop: str = ""


Event = Begun | Said | Thought | ThoughtEnded | RefusalSaid | CallBegun | CallPiece | CallEnded | Finished


class InOrder:
    """What an upstream tells as every writer relies on it, however the upstream kept to its own protocol's order.

    The end comes last, each id names one call, and a call is told of from where it begins to where it ends.

    Some servers say why an answer ends before they have told all of it; pieces of a call that nobody knows are those
    of a tool at the provider.
    """

    def __init__(self) -> None:
        self._finished: Finished | None = None
        self._open: set[int] = set()
        self._ids: set[str] = set()

    def told(self, events: Iterable[Event]) -> Iterator[Event]:
        """All but the end."""
        for event in events:
            if type(event) is Said:
                yield event
                continue
            match event:
                case Finished():
                    self._finished = event
                    continue
                case CallBegun(number=number, id=id):
                    self._open.add(number)
                    if id and id in self._ids:
                        event = replace(event, id="")
                    self._ids.add(id)
                case CallPiece(number=number) if number not in self._open:
                    continue
                case CallEnded(number=number):
                    if number not in self._open:
                        continue
                    self._open.remove(number)
            yield event

    def rest(self) -> Iterator[Event]:
        """The end, if there was one."""
        if self._finished is not None:
            yield self._finished
            self._finished = None

    def whole(self, events: Iterable[Event]) -> Iterator[Event]:
        yield from self.told(events)
        yield from self.rest()

"""What an upstream tells, in the order that every writer relies on, however the upstream kept to its own protocol's."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from proxy.protocols.translate.told import CallBegun, CallEnded, CallPiece, Event, Finished, Said


class InOrder:
    """The end comes last, each id names one call, and a call is told of from where it begins to where it ends.

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

"""What a protocol's path must know so that its callers, and its upstreams, can be those of a translation."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeVar

from core.records import value
from proxy.errors import Refusal
from proxy.prices.catalog import Destination
from proxy.prices.usage import Usage
from proxy.protocols.base import Call, Charged, Habits
from proxy.protocols.endpoint import Dialect
from proxy.protocols.translate.form import Form
from proxy.protocols.translate.told import Event

Asking = TypeVar("Asking", bound=Call)


@value
class Written:
    """A form as a request of an upstream's protocol, and the fields of the caller's that were left out of it."""

    call: Call
    ignored: tuple[str, ...] = ()


class EventReader(Protocol):
    """Reads an upstream's stream."""

    def read(self, events: bytes) -> Iterable[Event]:
        """What these whole events tell."""


class EventWriter(Protocol):
    """Writes a stream for the caller. What must wait for METER it keeps, and the end of it stands in `last`."""

    def write(self, told: Iterable[Event]) -> bytes: ...

    def last(self, charged: Charged, used: Usage) -> bytes:
        """What stands before the end mark: what was kept, what was used and what it cost."""


class Side(Protocol[Asking]):
    """One path of a protocol."""

    native: Dialect[Asking]
    """How to speak with its own upstreams."""
    asking: Asking
    """A request of this protocol that says nothing, for what reads streams."""

    def read(self, call: Asking) -> Form:
        """The caller's request; raises `Untranslatable` for what the form has no place for."""

    def write(self, form: Form, destination: Destination, *, output_limit: int | None, habits: Habits) -> Written:
        """The request as `native` sends it; raises `Untranslatable` for what this protocol has no words for."""

    def after_refusal(self, habits: Habits, refusal: Refusal) -> Habits | None:
        """What to try without, where an upstream refuses a field that `write` added; None where it is not that."""

    def reader(self) -> EventReader: ...

    def told(self, answer: Mapping[str, Any], raw: bytes) -> Iterable[Event]:
        """What an answer in one piece tells; `raw` is its text."""

    def writer(self, call: Asking, generation_id: str) -> EventWriter: ...

    def whole(
        self, call: Asking, told: Iterable[Event], charged: Charged, used: Usage, refusal: Refusal | None
    ) -> bytes:
        """The answer in one piece, with its cost; `refusal` where words came with an error."""

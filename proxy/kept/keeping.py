"""How an upstream of a protocol is asked about an answer that it keeps, or still works on in the background."""

from collections.abc import Mapping
from typing import Any

from core.records import value
from proxy.prices.catalog import Destination
from proxy.protocols.base import Reported
from proxy.protocols.endpoint import Sending


@value
class Standing:
    """How an answer stands at its upstream. What is over and tells no usage has failed, unless it `was_stopped`: what
    that used may be told a little later, or never.
    """

    is_over: bool
    reported: Reported
    was_stopped: bool = False


class Keeper:
    """A dialect's, where its upstreams keep answers."""

    def look(self, name: str, destination: Destination) -> Sending:
        """What asks for the answer of that id."""
        raise NotImplementedError

    def cancel(self, name: str, destination: Destination) -> Sending:
        raise NotImplementedError

    def standing(self, answer: Mapping[str, Any]) -> Standing:
        """Of an answer to either."""
        raise NotImplementedError

    def ended(self, event: bytes) -> Mapping[str, Any] | None:
        """The answer that an event of its stream brings to its end; None for any other event."""
        return None

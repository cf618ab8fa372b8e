"""A request before a model of which some upstreams speak another protocol."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Generic, TypeVar

from proxy.prices.catalog import Destination, Entry
from proxy.protocols.base import DEFAULT_OUTPUT_TOKENS, BadRequest, Call, Habits, Translation

if TYPE_CHECKING:
    from proxy.protocols.endpoint import Endpoint

Asking = TypeVar("Asking", bound=Call)
AS_THEY_ARE = Habits()


class Ways(Generic[Asking]):
    """Where an endpoint's requests for one model can go, and how each is spoken to there, in the catalog's order."""

    __slots__ = ("destinations", "native", "tells_input", "translated")

    def __init__(self, endpoint: "Endpoint[Asking]", destinations: Sequence[Destination]) -> None:
        asked = [(endpoint.dialect(one), one) for one in destinations]
        spoken = [(dialect, one) for dialect, one in asked if dialect is not None]
        self.destinations = tuple(one for _, one in spoken)
        self.native = tuple(one for dialect, one in spoken if not dialect.translates)
        """Those that speak the path themselves."""
        self.translated = tuple((dialect, one) for dialect, one in spoken if dialect.translates)
        self.tells_input = any(dialect.tells_input for dialect, _ in spoken)


def prepared(endpoint: "Endpoint[Asking]", call: Asking, entry: Entry) -> Asking:
    """For a model with some that do. Raise `BadRequest` where all of them do, and for none it can be translated."""
    ways = endpoint.ways(entry)
    call = replace(call, translation=Translation())
    if ways.native:
        return call
    problem: BadRequest | None = None
    limit = call.output_limit or entry.max_output_tokens or DEFAULT_OUTPUT_TOKENS
    for dialect, destination in ways.translated:
        try:
            dialect.request(call, destination, output_limit=limit, habits=AS_THEY_ARE)
        except BadRequest as error:
            problem = problem or error
        else:
            return call
    if problem is not None:
        raise problem
    return call

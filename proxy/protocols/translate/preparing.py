"""A request of which it has to be known, before anything is held for it, whether it can be translated."""

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from proxy.prices.catalog import Entry
from proxy.protocols.base import DEFAULT_OUTPUT_TOKENS, BadRequest, Call, Habits, Translation

if TYPE_CHECKING:
    from proxy.protocols.endpoint import Endpoint

Asking = TypeVar("Asking", bound=Call)
AS_THEY_ARE = Habits()


def prepared(endpoint: "Endpoint[Asking]", call: Asking, entry: Entry) -> Asking:
    """The request, for a model of which some upstreams speak another protocol.

    Raise `BadRequest` where all of them do, and for none it can be translated.
    """
    call = replace(call, translation=Translation())
    destinations = endpoint.among(entry.destinations)
    if any(destination.protocol not in endpoint.translated for destination in destinations):
        return call
    problem: BadRequest | None = None
    limit = call.output_limit or entry.max_output_tokens or DEFAULT_OUTPUT_TOKENS
    for destination in destinations:
        dialect = endpoint.dialects[destination.protocol]
        try:
            dialect.request(call, destination, output_limit=limit, habits=AS_THEY_ARE)
        except BadRequest as error:
            problem = problem or error
        else:
            return call
    if problem is not None:
        raise problem
    return call

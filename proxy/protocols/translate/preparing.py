"""A request before a model of which some upstreams speak another protocol."""

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from proxy.prices.catalog import Entry
from proxy.protocols.base import DEFAULT_OUTPUT_TOKENS, BadRequest, Call, Habits, Translation

if TYPE_CHECKING:
    from proxy.protocols.endpoint import Endpoint

Asking = TypeVar("Asking", bound=Call)
AS_THEY_ARE = Habits()


def prepared(endpoint: "Endpoint[Asking]", call: Asking, entry: Entry) -> Asking:
    """Raise `BadRequest` where all of them do, and for none it can be translated."""
    ways = [(endpoint.dialect(destination), destination) for destination in entry.destinations]
    others = [(dialect, there) for dialect, there in ways if dialect is not None and dialect.translates]
    if not others:
        return call
    call = replace(call, translation=Translation())
    if endpoint.speaks_to(entry):
        return call
    problem: BadRequest | None = None
    limit = call.output_limit or entry.max_output_tokens or DEFAULT_OUTPUT_TOKENS
    for dialect, destination in others:
        try:
            dialect.request(call, destination, output_limit=limit, habits=AS_THEY_ARE)
        except BadRequest as error:
            problem = problem or error
        else:
            return call
    if problem is not None:
        raise problem
    return call

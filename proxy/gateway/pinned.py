"""Requests that name what an upstream keeps: they go to the account that keeps it, or nowhere."""

import math
from collections.abc import Sequence
from dataclasses import replace
from time import monotonic

from proxy.batches.threads import in_thread
from proxy.errors import Refusal, unavailable
from proxy.kept import rows
from proxy.prices.catalog import Catalog, Destination
from proxy.protocols.base import Call
from proxy.relay.choosing.cooldown import Cooldown


async def pinned(call: Call, *, customer_id: int) -> Call:
    """The request at the account of what it names, with what that brings as input. Raises `Refusal`."""
    found = await in_thread(rows.find)(customer_id=customer_id, names=call.references)
    return replace(call, account=found.account, material=replace(call.material, kept=found.tokens))


def refuse_unreachable(
    call: Call, destinations: Sequence[Destination], *, path: str, catalog: Catalog, cooldown: Cooldown
) -> None:
    """Before anything is held. `destinations` are those of the request at its account: raises `Refusal` where there is
    none, or where each of them cools after failures, as no other account could answer.
    """
    if not destinations:
        if call.model and catalog.at_account(call.account):
            words = f"{call.model} is not served where what this request names is kept."
            raise Refusal(400, "validation_error", words, param="model")
        raise unavailable("What this request names is kept by a provider that does not answer here now.")
    if wait := cooldown.wait(destinations, path, now=monotonic()):
        words = "The provider that keeps what this request names fails at the moment."
        raise unavailable(words, retry_after=math.ceil(wait))

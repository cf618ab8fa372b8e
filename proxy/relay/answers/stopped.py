"""An upstream whose stream was ended for want of balance: hung up on, or heard to its end where it bills that anyway.

What it writes on reaches nobody and is charged to nobody: beyond what the request was charged for it is a purchase of
the house, as an attempt beside the request. docs/gateway.md, "Streams".
"""

import contextlib
from collections.abc import Mapping
from dataclasses import fields, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import aiohttp

from proxy.models import Attempt
from proxy.prices.catalog import Destination
from proxy.prices.usage import Usage
from proxy.prices.versions import Amount
from proxy.protocols.sse import Splitter
from proxy.relay.client import LOST

if TYPE_CHECKING:
    from proxy.relay.relay import Relay

NOTHING = Usage()


async def hear_out(relay: "Relay", response: aiohttp.ClientResponse, destination: Destination, charged: Usage) -> None:
    """Until it ends, or its time does; `charged` is what its caller pays for. Where it tells no usage by then, the
    attempt has none either.
    """
    dialect = relay.failover.dialect(destination)
    stream, splitter = dialect.events(relay.call, relay.manner), Splitter(dialect.most_event_bytes)
    try:
        with (
            contextlib.suppress(TimeoutError, ValueError, *LOST),
            relay.failover.hearing(response, destination) as chunks,
        ):
            relay.hears_out()
            async for chunk in chunks:
                stream.take(splitter.feed(chunk))
                if stream.is_over:
                    break
    finally:
        reported, usage = stream.reported, stream.reported.usage
        more = None if usage is None or not usage.output_tokens else beyond(usage, charged)
        if more != NOTHING:
            told = replace(reported, usage=more, stated_cost=None)
            relay.failover.note(destination, Attempt.Outcome.ABANDONED, headers=response.headers, reported=told)


def beyond(told: Usage, charged: Usage) -> Usage:
    """What an upstream says that a request used, without what was charged of it. Where it says of the input nothing,
    having said it before, that is as it was charged.
    """
    if not told.input_tokens:
        told = replace(told, input_tokens=charged.input_tokens)
    counts: dict[str, Any] = {
        one.name: max(getattr(told, one.name) - getattr(charged, one.name), type(getattr(told, one.name))(0))
        for one in fields(Usage)
        if one.name != "more"
    }
    return Usage(**counts, more=_more(told.more or {}, charged.more or {}))


def _more(told: Mapping[str, Amount], charged: Mapping[str, Amount]) -> Mapping[str, Amount] | None:
    found = {name: count - charged.get(name, 0) for name, count in told.items()}
    return {name: count for name, count in found.items() if count > Decimal(0)} or None

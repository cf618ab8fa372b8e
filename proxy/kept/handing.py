"""A request that goes on in the background is handed over: to a row, and to whoever asks its upstream next."""

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from proxy.batches.connections import AWAY
from proxy.batches.threads import in_thread
from proxy.kept import jobs, judging, looking
from proxy.prices.bounds import most_input
from proxy.prices.catalog import Destination
from proxy.protocols.base import LONGEST_ID, Reported, printable

if TYPE_CHECKING:
    from proxy.relay.relay import Relay

COMMIT_SECONDS = 15.0
PAUSE_SECONDS = 0.2
ASK_AGAIN_AFTER = (0.0, 0.5, 1.0)
"""Seconds: an upstream may see a moment later that nobody reads its stream."""


async def cancel(relay: "Relay", destination: Destination, name: str) -> None:
    """As far as its upstream lets us: nobody will ask for it."""
    if (keeper := relay.failover.dialect(destination).keeper) is not None:
        await looking.ask(relay.client, destination, keeper.cancel(name, destination), keeper)


async def ask_again(relay: "Relay", destination: Destination, name: str) -> Reported | None:
    """What an answer used whose stream broke off, where its upstream keeps it; None where that does not tell."""
    keeper = relay.failover.dialect(destination).keeper
    if keeper is None or not name or not relay.call.stores:
        return None
    for pause in ASK_AGAIN_AFTER:
        await asyncio.sleep(pause)
        standing = await looking.ask(relay.client, destination, keeper.look(name, destination), keeper)
        if standing is None:
            return None
        if standing.is_over:
            return None if standing.reported.usage is None else standing.reported
    return None


async def begin(relay: "Relay", destination: Destination, name: str) -> None:
    """Commit the job. Raises `jobs.NotHeld`, and what the database raises while it is away, after 15 s of trying; the
    job is cancelled at its upstream then, as nobody would ask for it.
    """
    call, endpoint, started = relay.call, relay.endpoint, monotonic()
    output = relay.admitted.decision.output_limit * call.choices
    job = jobs.Begun(
        generation_id=relay.admitted.generation_id,
        path=endpoint.path,
        upstream_id=destination.upstream_id,
        upstream_model=destination.upstream_model,
        account=destination.account,
        name=printable(name, most=LONGEST_ID),
        asked=judging.stored(relay.held(destination), call),
        seconds=call.background_seconds or jobs.MOST_SECONDS,
        tokens=most_input(call.material, context=relay.entry.context_window) + output,
    )
    while True:
        try:
            return await in_thread(jobs.begin)(job)
        except AWAY:
            if monotonic() - started > COMMIT_SECONDS:
                await cancel(relay, destination, name)
                raise
        except jobs.NotHeld:
            await cancel(relay, destination, name)
            raise
        await asyncio.sleep(PAUSE_SECONDS)

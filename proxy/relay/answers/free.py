"""An answer that costs nothing and is held for by nobody: asked of one upstream after the other, and passed on."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from typing import Any

import aiohttp

from proxy.errors import Refusal, provider_broke_off, provider_late, provider_not_json
from proxy.exchange import ClientGone, Exchange
from proxy.models import Generation
from proxy.prices.catalog import Destination
from proxy.protocols import lossless
from proxy.protocols.base import Call
from proxy.protocols.endpoint import Dialect, Endpoint, Reply
from proxy.protocols.sse import Splitter, events_of
from proxy.relay import left_out
from proxy.relay.answers.client_stream import ClientStream
from proxy.relay.client import LOST, Client, read_all
from proxy.relay.failover import BrokenEarly, Failover, NoUpstream
from proxy.relay.refusals import count_error

Reason = Generation.Reason
Before = Callable[[bytes], Awaitable[None]]
"""Told of an answer before its caller sees it."""


async def pass_on(
    exchange: Exchange,
    endpoint: Endpoint[Any],
    call: Call,
    destinations: Sequence[Destination],
    *,
    client: Client,
    before: Before | None = None,
    model: str = "",
) -> None:
    """Raises `Refusal` where no upstream answers. `before` sees the answer before its caller does; `model` is what the
    caller knows the model by, where the answer is about one that the request does not name.
    """
    with closing(Failover(client, endpoint, call, destinations, output_limit=None)) as failover:
        while True:
            try:
                response, destination = await failover.open(lambda: exchange.is_abandoned)
            except NoUpstream as none:
                raise none.refusal from None
            is_stream = response.content_type == "text/event-stream"
            if is_stream and failover.dialect(destination).reply(call) is Reply.EVENTS:
                async with response:
                    name = "" if call.is_plain else model
                    await pass_events_on(exchange, endpoint, failover, response, destination, before=before, model=name)
                return
            try:
                async with response:
                    with failover.hearing(response, destination) as chunks:
                        body = await read_all(b"", chunks)
            except TimeoutError:
                failover.broke(destination, BrokenEarly(provider_late(), Reason.TIMEOUT))
            except LOST:
                failover.broke(destination, BrokenEarly(provider_broke_off(), Reason.UPSTREAM_EOF))
            else:
                try:
                    dialect = failover.dialect(destination)
                    shown = dialect.shown(body)
                    name = call.model if destination.is_renamed and call.model else model
                    if name and not call.is_plain:
                        shown = dialect.renamed(shown, name)
                except ValueError:
                    count_error(destination, "garbage")
                    failover.broke(destination, BrokenEarly(provider_not_json(), Reason.UPSTREAM_ERROR))
                    continue
                failover.answered(destination)
                if before is not None:
                    await before(body)
                ignored = dialect.ignored(call)
                await exchange.answer(200, shown, left_out.headers(call.removed, ignored))
                return


async def pass_events_on(
    exchange: Exchange,
    endpoint: Endpoint[Any],
    failover: Failover,
    response: aiohttp.ClientResponse,
    destination: Destination,
    *,
    before: Before | None,
    model: str,
) -> None:
    """A stream about what is kept, as it comes, but for its end: `before` is told of that first."""
    dialect = failover.dialect(destination)
    out = ClientStream(exchange, [], left=_gone)
    splitter = Splitter(dialect.most_event_bytes)
    out.taken()
    out.keep_alive()
    refusal: Refusal | None = None
    try:
        with failover.hearing(response, destination) as chunks:
            async for chunk in chunks:
                if events := splitter.feed(chunk):
                    if before is not None:
                        await _tell(dialect, events, before)
                    await out.send(dialect.renamed(events, model, are_events=True) if model else events)
        failover.answered(destination)
    except TimeoutError:
        refusal = provider_late()
    except LOST:
        refusal = provider_broke_off()
    finally:
        out.close()
    if refusal is not None:
        failover.ended_with(destination, refusal)
    await out.end(b"" if refusal is None else endpoint.error_event(refusal, exchange.request_id, out.latest))


def _gone() -> None:
    raise ClientGone


async def _tell(dialect: Dialect[Any], events: bytes, before: Before) -> None:
    if (keeper := dialect.keeper) is not None:
        for event in events_of(events):
            if (answer := keeper.ended(event)) is not None:
                await before(lossless.dump(answer))

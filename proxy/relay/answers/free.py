"""An answer that costs nothing and is held for by nobody: asked of one upstream after the other, and passed on."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from typing import Any

from proxy.errors import provider_broke_off, provider_late, provider_not_json
from proxy.exchange import Exchange
from proxy.models import Generation
from proxy.prices.catalog import Destination
from proxy.protocols.base import Call
from proxy.protocols.endpoint import Endpoint
from proxy.relay import left_out
from proxy.relay.client import LOST, Client, read_all
from proxy.relay.failover import BrokenEarly, Failover, NoUpstream
from proxy.relay.refusals import count_error

Reason = Generation.Reason


async def pass_on(
    exchange: Exchange,
    endpoint: Endpoint[Any],
    call: Call,
    destinations: Sequence[Destination],
    *,
    client: Client,
    before: Callable[[bytes], Awaitable[None]] | None = None,
) -> None:
    """Raises `Refusal` where no upstream answers. `before` sees the answer before its caller does."""
    with closing(Failover(client, endpoint, call, destinations, output_limit=None)) as failover:
        while True:
            try:
                response, destination = await failover.open(lambda: exchange.is_abandoned)
            except NoUpstream as none:
                raise none.refusal from None
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
                    if call.model not in ("", destination.upstream_model) and not call.is_plain:
                        shown = dialect.renamed(shown, call.model)
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

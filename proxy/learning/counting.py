"""How many tokens a large prompt has by its model's own provider, where that counts for nothing.

Asked only before a refusal for want of money: it takes the provider a moment, and where every byte counted as a token
fits nobody needs to know. What the provider counts of its own requests is a bound, not a guess: its tokenizer is the
one that it bills by. docs/decisions/0012-counting.md
"""

import asyncio
import logging
from collections import Counter
from time import monotonic
from typing import Any, Protocol, TypeVar

from proxy.batches.timeouts import timeout
from proxy.prices.catalog import Destination, Entry
from proxy.protocols.base import Call
from proxy.protocols.endpoint import Endpoint, Sending
from proxy.relay.client import LOST, Client, read_all

log = logging.getLogger(__name__)

COUNT_SECONDS = 5.0
MARGIN, FRAME_TOKENS = 20, 64
"""Anthropic calls its count an estimate that may differ by a small amount: a twentieth and a little is added."""
REST_SECONDS = 60.0
"""An upstream that did not count is not asked again for so long."""
Asking = TypeVar("Asking", bound=Call, contravariant=True)
OF_THE_REQUEST = frozenset({400, 413, 422})
MOST_OF_ONE_CUSTOMER = 8
MOST_IN_PROCESS = 64
"""At once; the others go by what they have in bytes."""


class Counts(Protocol[Asking]):
    """How a protocol's own provider counts the tokens of a request, by the tokenizer that it bills by."""

    kinds: frozenset[str]
    """Of upstreams that can be asked."""

    def request(self, call: Asking, destination: Destination) -> Sending: ...

    def tokens(self, body: bytes) -> int:
        """Of an answer; raises `ValueError` for what is no count."""
        ...


class NotCounted(Exception):
    """The request itself is not taken; others are counted."""


class ProviderCounts:
    """Of one process."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._resting: dict[int, float] = {}
        self._asking: Counter[int] = Counter()

    async def count(self, endpoint: Endpoint[Any], call: Call, entry: Entry, *, customer_id: int) -> int | None:
        """Tokens of input, at most; None where nobody counts them, or the request may go elsewhere too."""
        ways = endpoint.among(entry.destinations, account=call.account)
        counters = [_counts(endpoint, one) for one in ways]
        if not counters or None in counters:
            return None
        if self._asking[customer_id] >= MOST_OF_ONE_CUSTOMER or self._asking.total() >= MOST_IN_PROCESS:
            return None
        destination, counter = ways[0], counters[0]
        if counter is None or self._resting.get(destination.upstream_id, 0) > monotonic():
            return None
        self._asking[customer_id] += 1
        try:
            with timeout(COUNT_SECONDS):
                found = await self._ask(counter, call, destination)
        except NotCounted:
            return None
        except (TimeoutError, ValueError, *LOST) as error:
            log.warning("%s did not count a prompt: %s", destination.upstream, type(error).__name__)
            self._resting[destination.upstream_id] = monotonic() + REST_SECONDS
            return None
        finally:
            self._asking[customer_id] -= 1
            if not self._asking[customer_id]:
                del self._asking[customer_id]
        return found + found // MARGIN + FRAME_TOKENS

    async def _ask(self, counter: "Counts[Any]", call: Call, destination: Destination) -> int:
        """Raises `ValueError` for an answer that is no count."""
        sending = await asyncio.to_thread(counter.request, call, destination)
        async with await self._client.send(destination, sending, taken=_nothing) as response:
            body = await read_all(b"", response.content.iter_any())
        if response.status in OF_THE_REQUEST:
            raise NotCounted
        if response.status != 200:
            raise ValueError(f"it answered {response.status}")
        return counter.tokens(body)


def _counts(endpoint: Endpoint[Any], destination: Destination) -> "Counts[Any] | None":
    dialect = endpoint.dialect(destination)
    counts = None if dialect is None else dialect.counts
    return counts if counts is not None and destination.kind in counts.kinds else None


def _nothing() -> None:
    """Whether it was taken matters to nobody: it costs nothing."""

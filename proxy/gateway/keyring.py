"""Keys as a gateway process knows them: a cache that admission checks, so that a revocation holds at once."""

from collections import OrderedDict
from collections.abc import Sequence
from time import monotonic
from typing import Any

import psycopg

from accounts.keys.issuing import digest, is_well_formed
from accounts.limits.policy import READ_POLICIES, KeyPolicy, policy_from_row
from core.addresses import origin
from proxy.batches import connections
from proxy.batches.batcher import Batcher
from proxy.batches.timeouts import within
from proxy.errors import Refusal, invalid_key

MOST_KNOWN = 50_000
MOST_UNKNOWN = 50_000
GUESSES_PER_MINUTE = 120
MOST_ADDRESSES = 10_000
MOST_IN_BATCH = 200
READ_SECONDS = 5.0


class Keyring:
    """Find the policy of a key's text; an unknown key is remembered as such, and guessing is limited by address."""

    def __init__(self, *, default_rpm: int, default_customer_rpm: int) -> None:
        self._defaults = {"default_rpm": default_rpm, "default_customer_rpm": default_customer_rpm}
        self._known: OrderedDict[str, KeyPolicy] = OrderedDict()
        self._unknown: OrderedDict[str, None] = OrderedDict()
        self._guesses: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._batcher: Batcher[str, KeyPolicy | None] = Batcher(self._read, most=MOST_IN_BATCH, capacity=2_000)

    async def find(self, text: str, *, address: str) -> tuple[str, KeyPolicy]:
        """The key's digest and policy; raises `Refusal` 401, or 429 for an address that keeps guessing."""
        if not is_well_formed(text):
            raise invalid_key()
        sha256 = digest(text)
        policy = self._known.get(sha256)
        if policy is None:
            if sha256 in self._unknown:
                raise self._refuse_guess(address)
            policy = await self.reload(sha256)
            if policy is None:
                self._unknown[sha256] = None
                _trim(self._unknown, MOST_UNKNOWN)
                raise self._refuse_guess(address)
        return sha256, policy

    async def reload(self, sha256: str) -> KeyPolicy | None:
        """Read the key again: its version has moved. Raises `TimeoutError` where the database does not answer."""
        policy = await within(READ_SECONDS, self._batcher.put(sha256))
        if policy is None:
            self._known.pop(sha256, None)
        else:
            self._known[sha256] = policy
            self._known.move_to_end(sha256)
            _trim(self._known, MOST_KNOWN)
        return policy

    async def close(self) -> None:
        await self._batcher.close()
        if self._connection is not None:
            await self._connection.close()

    def _refuse_guess(self, address: str) -> Refusal:
        address = origin(address)
        start, count = self._guesses.get(address, (monotonic(), 0))
        if monotonic() - start > 60:
            start, count = monotonic(), 0
        self._guesses[address] = (start, count + 1)
        self._guesses.move_to_end(address)
        _trim(self._guesses, MOST_ADDRESSES)
        if count < GUESSES_PER_MINUTE:
            return invalid_key()
        wait = max(1, int(61 - (monotonic() - start)))
        headers = {"Retry-After": str(wait), "X-RateLimit-Limit": str(GUESSES_PER_MINUTE)}
        headers |= {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(wait)}
        return Refusal(429, "rate_limit_exceeded", "Too many unknown API keys.", headers=headers)

    async def _read(self, hashes: Sequence[str]) -> list[KeyPolicy | None]:
        asked_at = monotonic()
        for attempt in (1, 2):
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = await connections.connect()
                cursor = await self._connection.execute(READ_POLICIES, [list(set(hashes))])
                break
            except psycopg.OperationalError:
                self._connection = None
                if attempt == 2:
                    raise
        found = dict(policy_from_row(row, asked_at=asked_at, **self._defaults) for row in await cursor.fetchall())
        return [found.get(sha256) for sha256 in hashes]


def _trim(cache: OrderedDict[str, Any], most: int) -> None:
    while len(cache) > most:
        cache.popitem(last=False)

"""The way out: one aiohttp session a process, that carries no cookies, follows no redirects and reads no proxies."""

import socket
from collections.abc import AsyncIterator
from functools import lru_cache

import aiohttp
from aiohttp.abc import AbstractResolver, AbstractStreamWriter, ResolveResult
from django.conf import settings
from yarl import URL

from chuizi.addresses import is_literal, is_public
from proxy.catalog import Destination
from proxy.cooldown import Cooldown
from proxy.protocols.base import Habits
from proxy.sse import EventTooLong

CONNECT_SECONDS = 10.0
MOST_ANSWER_BYTES = 64_000_000
LARGE_BODY = 262_144
LOST = (aiohttp.ClientError, OSError, EventTooLong)
"""How reading an answer fails, but for `TimeoutError`."""
HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "Accept-Encoding": "identity",
    "User-Agent": "chuizi/1",
}


class PrivateAddress(OSError):
    """An upstream that resolves to an address which is not public."""


class PublicResolver(AbstractResolver):
    """Resolve a name, and refuse what is not a public address: an upstream must not reach into our own network."""

    def __init__(self) -> None:
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if not all(is_public(result["host"]) for result in found):
            raise PrivateAddress(f"{host} is not a public address")
        return found

    async def close(self) -> None:
        await self._inner.close()


class Pieces(aiohttp.payload.Payload):
    """A large body as it lies in memory, not put together once more."""

    def __init__(self, pieces: tuple[bytes, ...]) -> None:
        super().__init__(pieces, content_type="application/json")
        self._pieces = pieces
        self._size = sum(map(len, pieces))

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return b"".join(self._pieces).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        for piece in self._pieces:
            await writer.write(piece)


class Client:
    """Send a request to a destination of the catalog."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self.habits: dict[tuple[str, str], Habits] = {}
        """By address and model: what a route was found not to take of the fields that we add."""
        self.cooldown = Cooldown(
            after=settings.UPSTREAM_FAILURES,
            seconds=settings.UPSTREAM_COOLDOWN_SECONDS,
            most=settings.UPSTREAM_COOLDOWN_MOST_SECONDS,
        )
        resolver = None if allow_private else PublicResolver()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60, resolver=resolver, keepalive_timeout=30),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            headers=HEADERS,
            read_bufsize=2**16,
        )

    async def post(self, destination: Destination, path: str, body: tuple[bytes, ...]) -> aiohttp.ClientResponse:
        """The answer's head, its body still to be read. Raises `aiohttp.ClientError`, `TimeoutError` or `OSError`."""
        url, is_private = _place(destination.base_url + path)
        if is_private and not self._allow_private:
            raise PrivateAddress(f"{destination.upstream} is not at a public address")
        return await self._session.post(
            url,
            data=b"".join(body) if sum(map(len, body)) < LARGE_BODY else Pieces(body),
            headers={"Authorization": f"Bearer {destination.api_key}"},
            allow_redirects=False,
            timeout=_timeout(destination.total_timeout, destination.timeout),
        )

    async def close(self) -> None:
        await self._session.close()


# The same few of the catalog in every request.
@lru_cache
def _place(address: str) -> tuple[URL, bool]:
    """The address parsed, and whether it names by number a host that is not public."""
    url = URL(address)
    host = url.host or ""
    return url, is_literal(host) and not is_public(host)


@lru_cache
def _timeout(total: float, read: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=total, sock_connect=CONNECT_SECONDS, sock_read=read)


async def read_all(first: bytes, rest: AsyncIterator[bytes]) -> bytes:
    """An answer's body; raises `aiohttp.ClientPayloadError` beyond 64 MB."""
    pieces, size = [first], len(first)
    async for piece in rest:
        pieces.append(piece)
        size += len(piece)
        if size > MOST_ANSWER_BYTES:
            raise aiohttp.ClientPayloadError("the answer is too long")
    return b"".join(pieces)

"""The way out: one aiohttp session a process, that carries no cookies, follows no redirects and reads no proxies."""

import ipaddress
import socket
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from django.conf import settings
from yarl import URL

from proxy.catalog import Destination
from proxy.cooldown import Cooldown

CONNECT_SECONDS = 10.0
MOST_ANSWER_BYTES = 64_000_000


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


def is_public(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


def is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Client:
    """Send a request to a destination of the catalog."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
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
            skip_auto_headers=("Accept", "User-Agent", "Accept-Encoding"),
            read_bufsize=2**16,
        )

    async def post(self, destination: Destination, path: str, body: bytes) -> aiohttp.ClientResponse:
        """The answer's head, its body still to be read. Raises `aiohttp.ClientError`, `TimeoutError` or `OSError`."""
        url = URL(destination.base_url + path)
        if not self._allow_private and is_literal(url.host or "") and not is_public(url.host or ""):
            raise PrivateAddress(f"{destination.upstream} is not at a public address")
        return await self._session.post(
            url,
            data=body,
            headers=_headers(destination),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                total=destination.total_timeout, sock_connect=CONNECT_SECONDS, sock_read=destination.timeout
            ),
        )

    async def close(self) -> None:
        await self._session.close()


def _headers(destination: Destination) -> Mapping[str, Any]:
    return {
        "Authorization": f"Bearer {destination.api_key}",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "Accept-Encoding": "identity",
        "User-Agent": "chuizi/1",
    }


async def read_all(response: aiohttp.ClientResponse) -> bytes:
    """An answer's body; raises `aiohttp.ClientPayloadError` beyond 64 MB."""
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > MOST_ANSWER_BYTES:
            raise aiohttp.ClientPayloadError("the answer is too long")
    return b"".join(pieces)

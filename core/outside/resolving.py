"""Where a name leads: the addresses that an outgoing connection goes to are the ones that were checked."""

import socket
from collections.abc import Callable

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult


class AddressRefused(OSError):
    """A name or an address that must not be connected to."""


class CheckedResolver(AbstractResolver):
    """Resolve a name, and refuse it where one of its addresses is not allowed; aiohttp connects to what this returns.

    aiohttp asks nobody about a host that is named by number: who connects has to look at those first.
    """

    def __init__(self, allowed: Callable[[str], bool]) -> None:
        self._allowed = allowed
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if not all(self._allowed(result["host"]) for result in found):
            raise AddressRefused(f"{host} leads to an address that is not allowed")
        return found

    async def close(self) -> None:
        await self._inner.close()

"""The way out: one aiohttp session a process, that carries no cookies, follows no redirects and reads no proxies."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import lru_cache

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from django.conf import settings
from yarl import URL

from core.addresses import is_literal, is_public
from core.outside.resolving import AddressRefused, CheckedResolver
from proxy.health.tally import Health
from proxy.prices.catalog import Destination
from proxy.protocols.endpoint import Sending
from proxy.protocols.sse import EventTooLong
from proxy.relay.answers.budget import AnswerBudget
from proxy.relay.choosing.cooldown import Cooldown
from proxy.relay.choosing.slots import Slots
from proxy.relay.habits import HabitBook
from proxy.uploads.form import Written

TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10.0)
"""The rest is bounded by `timeout`, which costs less."""
MOST_ANSWER_BYTES = 64_000_000
READ_BYTES = 65_536
LARGE_BODY = 262_144
PIECE = 65_536
FILE_PIECE = 262_144
LOST = (aiohttp.ClientError, OSError, EventTooLong)
"""How reading an answer fails, but for `TimeoutError`."""
HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "Accept-Encoding": "identity",
    "User-Agent": "chuizi/1",
}


class Pieces(aiohttp.payload.Payload):
    """A large body as it lies in memory, not put together once more, and given to the socket as it takes it."""

    def __init__(self, pieces: tuple[bytes, ...], taken: Callable[[], None]) -> None:
        super().__init__(pieces, content_type="application/json")
        self._taken = taken
        self._pieces = pieces
        self._size = sum(map(len, pieces))

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return b"".join(self._pieces).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        for piece in self._pieces:
            view = memoryview(piece)
            for at in range(0, len(piece), PIECE):
                await writer.write(view[at : at + PIECE])
        self._taken()


class Whole(aiohttp.payload.BytesPayload):
    """A small body."""

    def __init__(self, body: bytes, taken: Callable[[], None]) -> None:
        super().__init__(body, content_type="application/json")
        self._taken = taken

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        await writer.write(self._value)
        self._taken()


class Upload(aiohttp.payload.Payload):
    """A form, its files read from disk as the socket takes them, by no more than a piece ahead."""

    def __init__(self, form: Written, taken: Callable[[], None]) -> None:
        super().__init__(form, content_type=form.content_type)
        self._taken = taken
        self._form = form
        self._size = len(form)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        raise TypeError("a form is not read into memory")

    async def write(self, writer: AbstractStreamWriter) -> None:
        loop = asyncio.get_running_loop()
        for piece in self._form.pieces:
            if isinstance(piece, bytes):
                await writer.write(piece)
                continue
            at = 0
            while at < len(piece):
                data = await loop.run_in_executor(None, piece.read, at, FILE_PIECE)
                await writer.write(data)
                at += len(data)
        self._taken()


class Client:
    """Send a request to a destination of the catalog."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self.habits = HabitBook()
        self.slots = Slots()
        self.health = Health()
        self.answers = AnswerBudget(settings.ANSWER_BUDGET_BYTES)
        self.cooldown = Cooldown(
            after=settings.UPSTREAM_FAILURES,
            seconds=settings.UPSTREAM_COOLDOWN_SECONDS,
            most=settings.UPSTREAM_COOLDOWN_MOST_SECONDS,
        )
        resolver = None if allow_private else CheckedResolver(is_public)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60, resolver=resolver, keepalive_timeout=30),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            headers=HEADERS,
            read_bufsize=READ_BYTES,
        )
        self._loop = asyncio.get_running_loop()

    def send(
        self, destination: Destination, sending: Sending, *, taken: Callable[[], None]
    ) -> Awaitable[aiohttp.ClientResponse]:
        """To be awaited: the answer's head, its body still to be read; `taken` is called once the whole request is
        written.

        Raises `aiohttp.ClientError`, `TimeoutError` or `OSError`, when it is called or awaited.
        """
        url, is_private = _place(destination.base_url + sending.path)
        if is_private and not self._allow_private:
            raise AddressRefused(f"{destination.upstream} is not at a public address")
        data = _payload(sending.body, taken) if sending.body else None
        if sending.method == "POST" and url.raw_user is None:
            return self._post(url, headers=sending.headers, data=data)
        return self._session.request(
            sending.method, url, data=data, headers=sending.headers, allow_redirects=False, timeout=TIMEOUT
        )

    async def _post(
        self, url: URL, *, headers: Mapping[str, str], data: aiohttp.payload.Payload | None
    ) -> aiohttp.ClientResponse:
        """As the session's `request` does, without its redirects, cookies, retries, proxies and traces.

        They are a quarter of what a request costs on its way out, and none of them is wanted. What is called here is
        aiohttp's own lower half; a test compares what either way sends.
        """
        connector = self._session.connector
        if connector is None:
            raise aiohttp.ClientConnectionError("the way out is closed")
        merged = self._session.headers.copy()
        merged.update(headers)
        request = aiohttp.ClientRequest(
            "POST",
            url,
            headers=merged,
            data=data,
            loop=self._loop,
            session=self._session,
            response_class=aiohttp.ClientResponse,
        )
        try:
            connection = await connector.connect(request, traces=[], timeout=TIMEOUT)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(f"no connection to {url.host}") from error
        try:
            if connection.protocol is None:
                raise aiohttp.ClientConnectionError("the connection is lost")
            connection.protocol.set_response_params(read_until_eof=True, auto_decompress=False, read_bufsize=READ_BYTES)
            response = await request.send(connection)
            try:
                await response.start(connection)
            except BaseException:
                response.close()
                raise
        except BaseException:
            connection.close()
            raise
        return response

    async def close(self) -> None:
        await self._session.close()


def _payload(body: tuple[bytes, ...] | Written, taken: Callable[[], None]) -> aiohttp.payload.Payload:
    if isinstance(body, Written):
        return Upload(body, taken)
    return Whole(b"".join(body), taken) if sum(map(len, body)) < LARGE_BODY else Pieces(body, taken)


# The same few of the catalog in every request.
@lru_cache
def _place(address: str) -> tuple[URL, bool]:
    """The address parsed, and whether it names by number a host that is not public."""
    url = URL(address)
    host = url.host or ""
    return url, is_literal(host) and not is_public(host)


async def read_all(first: bytes, rest: AsyncIterator[bytes]) -> bytes:
    """An answer's body; raises `aiohttp.ClientPayloadError` beyond 64 MB."""
    pieces, size = [first], len(first)
    async for piece in rest:
        pieces.append(piece)
        size += len(piece)
        if size > MOST_ANSWER_BYTES:
            raise aiohttp.ClientPayloadError("the answer is too long")
    return b"".join(pieces)

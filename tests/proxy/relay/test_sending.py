"""What goes out to an upstream is what aiohttp's session itself would send, over connections that are used again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest

from proxy.prices.catalog import Destination
from proxy.protocols.endpoint import Sending
from proxy.relay.client import LARGE_BODY, TIMEOUT, Client

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Encoding: gzip\r\nSet-Cookie: a=b\r\n\r\n{}"
HEADERS = {"Authorization": "Bearer sk-secret-key", "accept": "text/event-stream", "X-Odd": "1"}


class Listener:
    """Keeps each request's bytes and how many connections there were; answers with `answer`."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.connections = 0
        self.answer = ANSWER

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
            self.heard.append(head + await reader.readexactly(length))
            writer.write(self.answer)
            if not self.answer:
                break
        writer.close()


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[Listener, Destination, Client]]:
    listener = Listener()
    server = await asyncio.start_server(listener.serve, "127.0.0.1", 0)
    base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    client = Client(allow_private=True)
    names = {"model": "openai/m", "upstream_id": 1, "upstream": "first", "protocol": "openai", "upstream_model": "m"}
    try:
        yield listener, Destination(base_url=base, api_key="sk", timeout=2.0, total_timeout=2.0, **names), client
    finally:
        await client.close()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("size", [2, LARGE_BODY], ids=["a small body", "a large one"])
def test_either_way_sends_the_same_bytes_over_one_connection(settings, size):
    body, taken = (b"{" + b" " * (size - 2), b"}"), []

    async def ask() -> Listener:
        async with listening() as (listener, destination, client):
            sending = Sending("/chat/completions", HEADERS, body)
            for _ in range(2):
                async with await client.send(destination, sending, taken=lambda: taken.append(1)) as response:
                    assert (response.status, await response.read()) == (200, b"{}")
            url = destination.base_url + sending.path
            async with client._session.post(url, data=b"".join(body), headers=HEADERS, timeout=TIMEOUT) as response:
                assert await response.read() == b"{}"
            return listener

    listener = asyncio.run(ask())
    assert listener.heard[0] == listener.heard[1] == listener.heard[2]
    assert listener.heard[0].count(b"Accept: ") + listener.heard[0].count(b"accept: ") == 1
    assert (listener.connections, len(taken)) == (1, 2)


def test_a_redirect_is_an_answer_as_any_other(settings):
    async def ask() -> int:
        async with listening() as (listener, destination, client):
            listener.answer = b"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
            async with await client.send(destination, Sending("/x", {}, (b"{}",)), taken=lambda: None) as response:
                return response.status

    assert asyncio.run(ask()) == 307


def test_an_upstream_that_hangs_up_is_an_error_and_no_second_try(settings):
    async def ask() -> int:
        async with listening() as (listener, destination, client):
            listener.answer = b""
            with pytest.raises(aiohttp.ClientError):
                await client.send(destination, Sending("/x", {}, (b"{}",)), taken=lambda: None)
            return len(listener.heard)

    assert asyncio.run(ask()) == 1


def test_a_connection_that_is_not_made_in_time_says_so(settings, monkeypatch):
    async def ask() -> None:
        async with listening() as (_, destination, client):

            async def late(*_args, **_kwargs):
                raise TimeoutError

            monkeypatch.setattr(client._session.connector, "_create_connection", late)
            await client.send(destination, Sending("/x", {}, (b"{}",)), taken=lambda: None)

    with pytest.raises(aiohttp.ConnectionTimeoutError):
        asyncio.run(ask())


def test_a_base_address_with_a_login_goes_by_the_session(settings):
    async def ask() -> bytes:
        async with listening() as (listener, destination, client):
            url = destination.base_url.replace("http://", "http://user:word@")
            async with client._session.post(url, data=b"{}") as response:
                assert response.status == 200
            plain = listener.heard[-1]
            there = replace(destination, base_url=url)
            async with await client.send(there, Sending("", {}, (b"{}",)), taken=lambda: None) as response:
                assert response.status == 200
            assert listener.heard[-1] == plain
            return plain

    assert b"Authorization: Basic" in asyncio.run(ask())

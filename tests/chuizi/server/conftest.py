"""A server over real sockets whose application tells what it was asked, and a client that sends bytes as they are."""

import json
import re
import select
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from chuizi.server import Connection
from tests.proxy.conftest import customer, gateway, upstream
from tests.serving import Server

__all__ = ["customer", "gateway", "upstream"]


class Served:
    """The server, and each request that its application got: method, path and body."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, bytes]] = []
        self.headers: list[list[tuple[bytes, bytes]]] = []
        self.tell = threading.Event()
        server = Server(self.answer, interface="asgi3", http=Connection, log_level="error", lifespan="off")
        self.server = server.start()
        self.port = server.port

    @property
    def connections(self) -> set[Any]:
        return self.server.server_state.connections

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        """Tell what was asked, once the body is here; `/at-once` does not read it, `/slow` takes half a
        second, `/told` waits in the middle until `tell` is set.
        """
        import asyncio

        body = b""
        if scope["path"] != "/at-once":
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                body += message["body"]
                if not message["more_body"]:
                    break
        if scope["path"] == "/readyz":  # HAProxy looks there
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body"})
            return
        self.requests.append((scope["method"], scope["path"], body))
        self.headers.append(list(scope["headers"]))
        head = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
        if scope["path"] in ("/slow", "/told"):
            await send(head)
            await send({"type": "http.response.body", "body": b"[", "more_body": True})
            await (asyncio.sleep(0.5) if scope["path"] == "/slow" else asyncio.to_thread(self.tell.wait, 20))
            await send({"type": "http.response.body", "body": b"]"})
            return
        if scope["path"] == "/big":
            await send(head)
            await send({"type": "http.response.body", "body": b"x" * 8_000_000})
            return
        if scope["path"] == "/much":
            await send(head)
            for _ in range(2000):
                await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
        told = json.dumps({"path": scope["path"], "bytes": len(body)}).encode()
        if scope["path"] != "/no-length":
            head["headers"].append((b"content-length", str(len(told)).encode()))
        await send(head)
        await send({"type": "http.response.body", "body": told})

    def stop(self) -> None:
        self.server.force_exit = True
        self.server.stop()


class Client:
    """One connection; `answers` are the statuses of all answers so far."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=8)
        self.seen = b""

    def send(self, *pieces: bytes, pause: float = 0.03) -> "Client":
        for number, piece in enumerate(pieces):
            if number:
                time.sleep(pause)
            try:
                self.socket.sendall(piece)
            except OSError:
                break  # refused and closed meanwhile
        return self

    def send_until_answered(self, head: bytes, piece: bytes, *, answers: int = 1, pause: float = 0.05) -> "Client":
        """The head, and the piece again and again, until so many answers or the end; for ten seconds at most."""
        self.send(head)
        for _ in range(int(10 / pause)):
            self.send(piece)
            if select.select([self.socket], [], [], pause)[0] and (not self._more() or len(self.answers) == answers):
                return self
        raise AssertionError("no answer while the pieces came")

    def read(self, *, answers: int) -> list[int]:
        """Until so many answers began and ended, or the end."""
        while len(self.answers) < answers or not self.is_whole:
            if not self._more():
                break
        return self.answers

    def read_to_the_end(self) -> list[int]:
        while self._more():
            pass
        return self.answers

    def _more(self) -> bool:
        try:
            piece = self.socket.recv(65536)
        except ConnectionResetError:
            return False
        self.seen += piece
        return bool(piece)

    @property
    def answers(self) -> list[int]:
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d\d\d) ", self.seen)]

    @property
    def is_whole(self) -> bool:
        return self.seen.endswith((b"}", b"0\r\n\r\n"))

    def close(self) -> None:
        self.socket.close()


@pytest.fixture(scope="session")
def _served() -> Iterator[Served]:
    served = Served()
    yield served
    served.stop()


@pytest.fixture
def served(_served: Served) -> Served:
    _served.tell.clear()
    _served.requests.clear()
    _served.headers.clear()
    return _served


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    client = Client(served.port)
    yield client
    client.close()

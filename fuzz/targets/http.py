"""Nothing is served that h11, a reader of HTTP that others wrote, does not read as the same request in the same place.

The bytes go through a socket, cut as the input says. So a body's lines never become a request, whatever frames it; and
every connection ends, or waits with a limit of time and little memory.
"""

import asyncio
import re
import socket
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.server import ServerState

from chuizi.server.connection import MUCH_UNREAD_BYTES, NEVER, Connection
from chuizi.server.heads import MOST_HEAD_BYTES
from fuzz.choices import Choices

Requests = list[tuple[bytes, bytes, bytes, bytes]]
PLAN_BYTES = 16

POST = b"POST /a HTTP/1.1\r\nHost: x\r\n"
GET = b"GET /b?c HTTP/1.1\r\nHost: x\r\n\r\n"
SEEDS = [
    bytes(PLAN_BYTES) + GET + GET,
    bytes(range(PLAN_BYTES)) + POST + b"Content-Length: 5\r\n\r\nhello" + GET,
    b"\x03" * PLAN_BYTES + POST + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n" + GET,
    b"\x07" * PLAN_BYTES
    + POST
    + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 34\r\n\r\n"
    + GET
    + b"\r\n"
    + GET,
    b"\x02" * PLAN_BYTES
    + b"\r\nPOST http://x/a HTTP/1.0\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx"
    + GET,
    b"\x05" * PLAN_BYTES + POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi" + GET,
]

WORDS = [
    *(b"Content-Length: %d\r\n" % length for length in (0, 5, 34, 40)),
    b"Content-Length: +5\r\n",
    b"Content-Length: 5, 5\r\n",
    b"Content-Length : 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding: chunked, identity\r\n",
    b"Transfer-Encoding\t: chunked\r\n",
    b"Connection: close\r\n",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
    b"Host: y\r\n",
    b" folded\r\n",
    *(b"%b\r\n" % line for line in (b"0", b"5", b"5;a", b"05", b" 5", b"0x5", b"-1", b"F" * 17, b"")),
    b"0\r\n\r\n",
    b"0\n\n",
    b"\n",
    b"\r",
    b"X: a\rb\r\n",
    b"X: a\nb: c\r\n",
    GET,
    POST,
    b"GET / HTTP/1.0\r\n",
]
EXAMPLES = 1500


def check(data: bytes) -> None:
    sent = data[PLAN_BYTES:]
    served, statuses = _loop.run_until_complete(_serve(list(Choices(data[:PLAN_BYTES]).cut(sent, most=5))))
    known = _read_by_h11(sent)
    assert served == known[: len(served)], f"served {served}, and h11 reads {known}"
    assert len(statuses) <= len(served) + 1, "an answer without a request"
    assert 500 not in statuses


async def _serve(pieces: list[bytes]) -> tuple[Requests, list[int]]:
    """What the application was asked for, and the statuses of the answers."""
    served: Requests = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        served.append((scope["method"].encode(), scope["raw_path"], scope["query_string"], body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    config = Config(application, interface="asgi3", log_config=None, access_log=False, proxy_headers=False)
    config.load()
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    connection = Connection(config, ServerState(), {}, loop)
    await loop.create_connection(lambda: connection, sock=ours)
    seen = b""
    try:
        for piece in pieces:
            if piece:
                await _sent(loop, theirs, piece)
            seen += await _quiet(theirs)
            _is_bounded(connection)
        seen += await _quiet(theirs, rounds=20)
        is_waiting = connection._cycle is not None and not connection._cycle.answered
        assert is_waiting or connection._ends or connection.deadline < NEVER, "it may wait for ever"
    finally:
        theirs.close()
        connection._transport.abort()
        await asyncio.sleep(0)
    return served, [int(status) for status in re.findall(rb"HTTP/1\.1 (\d\d\d) ", seen) if status != b"100"]


async def _sent(loop: asyncio.AbstractEventLoop, theirs: socket.socket, piece: bytes) -> None:
    try:
        async with asyncio.timeout(1):
            await loop.sock_sendall(theirs, piece)
    except (OSError, TimeoutError):
        return  # refused meanwhile


async def _quiet(theirs: socket.socket, *, rounds: int = 6) -> bytes:
    """What is answered until nothing moves any more."""
    seen, still = b"", 0
    while still < rounds:
        await asyncio.sleep(0)
        try:
            piece = theirs.recv(65_536)
        except (BlockingIOError, ConnectionResetError):
            piece = b""
        still = 0 if piece else still + 1
        seen += piece
    return seen


def _is_bounded(connection: Connection) -> None:
    segment = 262_144  # what asyncio reads at once
    assert len(connection._kept) <= MOST_HEAD_BYTES + segment
    if connection._cycle is not None:
        assert connection._cycle.unread <= MUCH_UNREAD_BYTES + segment


def _read_by_h11(data: bytes) -> Requests:
    """Requests as h11 reads them, each by a reader of its own; blank lines before them are no part of them."""
    found: Requests = []
    while data:
        data = re.sub(rb"\A(?:\r\n)+", b"", data)
        reader = h11.Connection(h11.SERVER, max_incomplete_event_size=10_000_000)
        reader.receive_data(data)
        try:
            request, body = reader.next_event(), b""
            if not isinstance(request, h11.Request):
                break
            while not isinstance(event := reader.next_event(), h11.EndOfMessage):
                if not isinstance(event, h11.Data):
                    return found
                body += event.data
        except h11.RemoteProtocolError:
            break
        target = re.sub(rb"\Ahttps?://[^/?]*(?=/|\?|\Z)", b"", request.target, flags=re.IGNORECASE)
        target = target if target.startswith(b"/") else b"/" + target
        path, _, query = target.partition(b"?")
        found.append((request.method, path, query, body))
        data = reader.trailing_data[0]
    return found


_loop = asyncio.new_event_loop()

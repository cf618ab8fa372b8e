"""One request and its answer, as ASGI has them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.utils import get_client_addr, get_path_with_query_string

from chuizi.server.heads import FIELDS, Head
from chuizi.server.refusals import answer

if TYPE_CHECKING:
    from chuizi.server.connection import Connection

log = logging.getLogger("uvicorn.error")
access_log = logging.getLogger("uvicorn.access")

Message = MutableMapping[str, Any]
Application = Callable[..., Awaitable[None]]

STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
DISCONNECT = {"type": "http.disconnect"}


class Cycle:
    """What the application reads and writes; the connection puts the body in as it comes."""

    __slots__ = (
        "_body", "_body_ended", "_chunked", "_connection", "_has_head", "_held", "_is_cut", "_left", "_told_all",
        "_waiter", "answered", "expects_continue", "gone", "keep_alive", "scope", "started", "unread",
    )  # fmt: skip

    def __init__(self, connection: "Connection", head: Head, scope: dict[str, Any]) -> None:
        self.scope = scope
        self.keep_alive = head.keep_alive
        self.expects_continue = head.expects_continue
        self.gone = False
        self.started = self.answered = False  # by what was written
        self._has_head = False
        self._held = b""  # a head that leaves with its body's first piece: a write costs more than making it
        self._connection = connection
        self.unread = 0
        self._body: list[bytes] = []
        self._body_ended = self._told_all = False
        self._is_cut = False
        self._chunked = False
        self._left: int | None = 0
        self._waiter: asyncio.Future[None] | None = None

    async def run(self, application: Application) -> None:
        try:
            await application(self.scope, self.receive, self.send)
            if not self.gone and not self.answered:
                raise RuntimeError("The application returned without a whole answer.")
        except BaseException as error:
            if not (self.gone and isinstance(error, OSError | asyncio.CancelledError)):
                log.error("Exception in ASGI application\n", exc_info=error)
            if not (self.gone or self.answered):
                self._fail()

    def _fail(self) -> None:
        if not self.started:
            self._connection.write(answer(500, "Something went wrong on our side."))
        self.lose()
        self._connection.end()

    def feed(self, piece: bytes, *, ended: bool) -> None:
        """Some of the body; `unread` is what the application has not taken yet, in bytes."""
        if piece:
            self._body.append(piece)
            self.unread += len(piece)
        self._body_ended = ended
        self._wake()

    def lose(self) -> None:
        """Nobody is there any more."""
        self.gone = True
        self._wake()

    def lose_body(self) -> None:
        """The rest of the body cannot be read; the answer that has begun may end."""
        self.keep_alive = False
        self._is_cut = True
        self._wake()

    @property
    def can_be_probed(self) -> bool:
        return self.started or self.scope["http_version"] == "1.1"

    def probe(self) -> None:
        """Write what changes nothing: an interim answer, or a leading zero of the next chunk's size."""
        if self.started:
            if self._chunked and self.scope["method"] != "HEAD":
                self._connection.write(b"0")
        elif self.can_be_probed:
            self._connection.write(CONTINUE)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def receive(self) -> Message:
        if self.expects_continue:
            self.expects_continue = False
            if not self._body and not self.started:
                self._connection.write(CONTINUE)
        while not (self.gone or self.answered or self._is_cut):
            if self._body or (self._body_ended and not self._told_all):
                body, self._body, self.unread = self._body, [], 0
                self._told_all = self._body_ended
                whole = body[0] if len(body) == 1 else b"".join(body)
                return {"type": "http.request", "body": whole, "more_body": not self._body_ended}
            self._connection.resume_reading()
            self._waiter = self._connection.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return DISCONNECT

    async def send(self, message: Message) -> None:
        connection = self._connection
        if connection.unwritable is not None and not self.gone:
            await connection.unwritable.wait()
        if self.gone:
            return
        kind = message["type"]
        if not self._has_head and kind == "http.response.start":
            self._has_head = True
            head = self._head(message["status"], message.get("headers", ()))
            if self._left:
                self._held = head
            else:
                self._write(head)
        elif self._has_head and not self.answered and kind == "http.response.body":
            self._send_body(message.get("body", b""), more=message.get("more_body", False))
        else:
            raise RuntimeError(f"{kind} is not what comes next in an answer.")

    def _head(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        connection = self._connection
        if connection.access_logged:
            who, what = get_client_addr(self.scope), get_path_with_query_string(self.scope)  # type: ignore[arg-type]
            access_log.info(
                '%s - "%s %s HTTP/%s" %d', who, self.scope["method"], what, self.scope["http_version"], status
            )
        if connection.must_end(self):
            self.keep_alive = False
        lines, length = [], None
        for name, value in (*connection.default_headers, *headers):
            name = name.lower()
            if name == b"content-length":
                length = int(value)
            elif name == b"connection":
                self.keep_alive = self.keep_alive and b"close" not in value.lower()
                continue
            elif name == b"transfer-encoding":
                continue  # decided here
            lines.append(b"%s: %s\r\n" % (name, value))
        if status in (204, 304):
            self._left = 0
        elif length is not None:
            self._left = length
        else:
            # Who speaks HTTP/1.0 knows no chunks: the end of the connection is the end of the answer.
            self._chunked = self.scope["http_version"] == "1.1"
            self._left = None
            if self._chunked and self.scope["method"] != "HEAD":
                lines.append(b"transfer-encoding: chunked\r\n")
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        block = b"".join(lines)
        if FIELDS.fullmatch(block) is None or block.count(b"\r\n") != len(lines):
            block = b"".join([line for line in lines if _is_one_line(line)])
        return b"".join((STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status, block, b"\r\n"))

    def _write(self, data: bytes) -> None:
        self.started = True
        if self._held:
            head, self._held = self._held, b""
            self._connection.writelines((head, data))
        else:
            self._connection.write(data)

    def _send_body(self, data: bytes, *, more: bool) -> None:
        if self.scope["method"] == "HEAD":
            self._write(b"")
            self._left = 0
        elif self._chunked:
            if data:
                data = b"%x\r\n%b\r\n" % (len(data), data)
            self._write(data if more else data + b"0\r\n\r\n")
        else:
            if self._left is not None:
                self._left -= len(data)
                if self._left < 0:
                    raise RuntimeError("The answer is longer than its Content-Length.")
            self._write(data)
        if not more:
            if self._left:
                raise RuntimeError("The answer is shorter than its Content-Length.")
            self.answered = True
            self._wake()
            self._connection.end_cycle(self)


def _is_one_line(line: bytes) -> bool:
    """Whether a header can be sent; one that cannot is left out, as what it stands over may be paid for already."""
    if FIELDS.fullmatch(line) is not None and line.count(b"\r\n") == 1:
        return True
    log.error("a header of an answer was left out, as it cannot be sent: %r", line.partition(b":")[0][:50])
    return False

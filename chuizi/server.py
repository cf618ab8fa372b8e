"""Limits on a request's head, which uvicorn has none of: at most 32 kB, within 10 seconds.

An ASGI application sees a request only when its head is complete, and uvicorn has chosen its protocol class by the
time it imports the application; so the class's own methods are wrapped, which holds however uvicorn was started.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 32_000
HEAD_SECONDS = 10.0
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Head:
    """A request's head on its way: its bytes so far, and the timer of one that did not come at once."""

    __slots__ = ("bytes", "timer")

    def __init__(self) -> None:
        self.bytes = 0
        self.timer: asyncio.TimerHandle | None = None


def limit_heads(protocol: type[Any] = HttpToolsProtocol) -> None:
    """Wrap uvicorn's protocol class once; a second call changes nothing."""
    if hasattr(protocol, "_head"):
        return
    made, received, began = protocol.connection_made, protocol.data_received, protocol.on_message_begin
    completed, lost = protocol.on_headers_complete, protocol.connection_lost
    # One attribute and no more: an instance has thirty with it, the most whose names CPython lets instances share.
    protocol._head = None

    def connection_made(self: Any, transport: asyncio.Transport) -> None:
        made(self, transport)
        self._head = Head()
        _limit_time(self)

    def data_received(self: Any, data: bytes) -> None:
        received(self, data)
        if self._head is not None:
            _limit_time(self)
            self._head.bytes += len(data)
            if self._head.bytes > MOST_HEAD_BYTES:
                _refuse(self, TOO_LARGE)

    def on_message_begin(self: Any) -> None:
        began(self)
        if self._head is None:
            self._head = Head()

    def on_headers_complete(self: Any) -> None:
        _have_head(self)
        completed(self)

    def connection_lost(self: Any, exc: Exception | None) -> None:
        _have_head(self)
        lost(self, exc)

    for wrapper in (connection_made, data_received, on_message_begin, on_headers_complete, connection_lost):
        setattr(protocol, wrapper.__name__, wrapper)


def _limit_time(protocol: Any) -> None:
    """Not before it is known that the head does not come at once, as nearly all do."""
    if protocol._head.timer is None:
        loop = asyncio.get_running_loop()
        protocol._head.timer = loop.call_later(HEAD_SECONDS, _refuse, protocol, TOO_SLOW)


def _have_head(protocol: Any) -> None:
    head, protocol._head = protocol._head, None
    if head is not None and head.timer is not None:
        head.timer.cancel()


def _refuse(protocol: Any, answer: bytes) -> None:
    _have_head(protocol)
    if not protocol.transport.is_closing():
        protocol.transport.write(answer)
        protocol.transport.close()

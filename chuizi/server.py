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


def limit_heads(protocol: type[Any] = HttpToolsProtocol) -> None:
    """Wrap uvicorn's protocol class once; a second call changes nothing."""
    if hasattr(protocol, "_head_timer"):
        return
    made, received, began = protocol.connection_made, protocol.data_received, protocol.on_message_begin
    completed, lost = protocol.on_headers_complete, protocol.connection_lost
    protocol._head_timer = None

    def connection_made(self: Any, transport: asyncio.Transport) -> None:
        made(self, transport)
        _await_head(self)

    def data_received(self: Any, data: bytes) -> None:
        received(self, data)
        if self._in_head:
            if self._head_timer is None:
                _await_head(self)
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES:
                _refuse(self, TOO_LARGE)

    def on_message_begin(self: Any) -> None:
        began(self)
        self._in_head = True  # a head that comes whole, as nearly all do, needs no timer

    def on_headers_complete(self: Any) -> None:
        _have_head(self)
        completed(self)

    def connection_lost(self: Any, exc: Exception | None) -> None:
        _have_head(self)
        lost(self, exc)

    for wrapper in (connection_made, data_received, on_message_begin, on_headers_complete, connection_lost):
        setattr(protocol, wrapper.__name__, wrapper)


def _await_head(protocol: Any) -> None:
    protocol._in_head = True
    protocol._head_bytes = 0
    protocol._head_timer = asyncio.get_running_loop().call_later(HEAD_SECONDS, _refuse, protocol, TOO_SLOW)


def _have_head(protocol: Any) -> None:
    protocol._in_head = False
    if protocol._head_timer is not None:
        protocol._head_timer.cancel()
        protocol._head_timer = None


def _refuse(protocol: Any, answer: bytes) -> None:
    _have_head(protocol)
    if not protocol.transport.is_closing():
        protocol.transport.write(answer)
        protocol.transport.close()

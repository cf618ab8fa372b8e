"""Deadlines of connections. Hardly any is ever reached, so one tick looks at all of them instead of a timer each."""

import asyncio
from time import monotonic
from weakref import WeakSet

from uvicorn.server import ServerState

TICK_SECONDS = 0.5

_ticking: WeakSet[ServerState] = WeakSet()


def watch(server: ServerState, loop: asyncio.AbstractEventLoop) -> None:
    """Look after the server's connections from now on, while it has any."""
    if server not in _ticking:
        _ticking.add(server)
        loop.call_later(TICK_SECONDS, _tick, server, loop)


def _tick(server: ServerState, loop: asyncio.AbstractEventLoop) -> None:
    now = monotonic()
    for connection in [each for each in server.connections if each.deadline <= now]:  # type: ignore[union-attr]
        connection.expire()  # type: ignore[union-attr]
    if server.connections:
        loop.call_later(TICK_SECONDS, _tick, server, loop)
    else:
        _ticking.discard(server)

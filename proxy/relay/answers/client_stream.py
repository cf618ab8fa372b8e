"""The caller's side of a stream: its head, its events, and a comment where the upstream is silent for long.

Proxies on the way cut a connection after 60 or 100 s without a byte, and models think longer than that. So once an
upstream has taken the request the head goes out after some silence. Until the first event another upstream may still
be tried: comments are no answer.
"""

import asyncio
import math
from collections.abc import Callable
from time import monotonic

from proxy.exchange import ClientGone, Exchange
from proxy.protocols.array import BLANK, AsArray
from proxy.protocols.array import HEADERS as array_headers
from proxy.protocols.sse import COMMENT

HEAD_AFTER_SECONDS = 5.0
COMMENT_EVERY_SECONDS = 15.0
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


def _nobody() -> None:
    """Who is told of the caller's leaving once nobody needs to be."""


class ClientStream:
    """Send events to the caller of `exchange`, or the items of an `array`; `left` is called when it is gone."""

    def __init__(
        self,
        exchange: Exchange,
        headers: list[tuple[bytes, bytes]],
        *,
        left: Callable[[], None],
        array: AsArray | None = None,
    ) -> None:
        self.has_said = False
        """Whether an event of the answer went out."""
        self.latest = b""
        """What was said last."""
        self._exchange = exchange
        self._headers = headers
        self._array = array
        self._left = left
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._sent_at = math.inf

    def taken(self) -> None:
        """An upstream has taken the request: from now on no silence is to be long."""
        if self._sent_at == math.inf:
            self._sent_at = monotonic()

    def keep_alive(self) -> None:
        """Look for silences; called once the request has lasted for a moment, as most end sooner."""
        self._timer = asyncio.get_running_loop().call_later(HEAD_AFTER_SECONDS, self._begin)

    async def send(self, events: bytes) -> None:
        self.has_said, self.latest = True, events
        await self._write(events if self._array is None else self._array.items(events))

    async def comment(self) -> None:
        await self._write(COMMENT if self._array is None else BLANK)

    async def end(self, events: bytes) -> None:
        """Raises `ClientGone`, as the last words count."""
        self.close()
        if not self._exchange.started:
            await self._exchange.start(200, self._head)
        await self._exchange.end(events if self._array is None else self._array.last(events))

    @property
    def _head(self) -> list[tuple[bytes, bytes]]:
        return [*(HEADERS if self._array is None else array_headers), *self._headers]

    def close(self) -> None:
        """No more comments."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
            self._task = None
        self._sent_at = math.inf
        self._left = _nobody  # whose method it was may hold this: a circle, seldom collected

    async def _write(self, data: bytes) -> None:
        self._sent_at = math.inf  # while it is being sent, nothing else needs to be
        try:
            if not self._exchange.started:
                await self._exchange.start(200, self._head)
            await self._exchange.write(data)
        except ClientGone:
            self._left()
        else:
            self._sent_at = monotonic()

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._comment_in_silence())

    async def _comment_in_silence(self) -> None:
        while True:
            longest = COMMENT_EVERY_SECONDS if self._exchange.started else HEAD_AFTER_SECONDS
            left = self._sent_at + longest - monotonic()
            if left <= 0.001:
                await self.comment()
            else:
                await asyncio.sleep(min(left, HEAD_AFTER_SECONDS))

"""Limits on waits that hardly ever reach them: one tick of the process looks after all of them.

A timer for each, as `asyncio.timeout` sets one, costs as much as reading the request. A wait may last a tick longer.
"""

import asyncio
from time import monotonic
from types import TracebackType

TICK_SECONDS = 0.1


class limit:
    """`with limit(seconds): await ...` raises `TimeoutError`, as `asyncio.timeout` does."""

    __slots__ = ("_before", "_due", "_task", "expired")

    def __init__(self, seconds: float) -> None:
        self._due = monotonic() + seconds
        self.expired = False

    def __enter__(self) -> "limit":
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("limit() is used inside a task")
        self._task = task
        self._before = task.cancelling()
        if not _waits:
            _ticker.start()
        _waits.add(self)
        return self

    def end_in(self, seconds: float) -> None:
        """Another limit, from now on."""
        self._due = monotonic() + seconds

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _waits.discard(self)
        if self.expired and self._task.uncancel() <= self._before and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def end_if_due(self, now: float) -> None:
        if self._due <= now:
            self.expired = True
            _waits.discard(self)
            self._task.cancel()


class _Ticker:
    """Ticks in the running loop while anything waits."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            loop.call_later(TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        now = monotonic()
        for wait in list(_waits):
            wait.end_if_due(now)
        self._loop = None
        if _waits:
            self.start()


_waits: set[limit] = set()
_ticker = _Ticker()

"""Timeouts of waits that hardly ever reach them: one tick of the process looks after all of them.

A timer for each, as `asyncio.timeout` sets one, costs as much as reading the request. A wait may last a tick longer.
"""

import asyncio
import types
from collections.abc import Awaitable, Generator
from time import monotonic
from types import TracebackType
from typing import Any, TypeVar

TICK_SECONDS = 0.1
Result = TypeVar("Result")


class timeout:
    """`with timeout(seconds): await ...` raises `TimeoutError`, as `asyncio.timeout` does."""

    __slots__ = ("_before", "_due", "_task", "expired")

    def __init__(self, seconds: float) -> None:
        self._due = monotonic() + seconds
        self.expired = False

    def __enter__(self) -> "timeout":
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("timeout() is used inside a task")
        self._task = task
        self._before = task.cancelling()
        if not _waits:
            _ticker.start()
        _waits.add(self)
        return self

    def end_in(self, seconds: float) -> None:
        """Another end, from now on."""
        self._due = monotonic() + seconds

    def end_at(self, moment: float) -> None:
        """Another end, by `time.monotonic`."""
        self._due = moment

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


async def within(seconds: float, wait: Awaitable[Result]) -> Result:
    """As `with timeout(seconds): return await wait`; what need not wait pays for no timeout."""
    steps = wait.__await__()
    try:
        first = next(steps)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    with timeout(seconds):
        return await _rest(steps, first)  # type: ignore[misc, no-any-return]


@types.coroutine
def _rest(steps: Generator[Any, Any, Any], waits_for: Any) -> Generator[Any, Any, Any]:
    """What is left of a wait that has begun with `waits_for`."""
    try:
        while True:
            try:
                told = yield waits_for
            except BaseException as error:
                waits_for = steps.throw(error)
            else:
                waits_for = steps.send(told)
    except StopIteration as done:
        return done.value


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


_waits: set[timeout] = set()
_ticker = _Ticker()

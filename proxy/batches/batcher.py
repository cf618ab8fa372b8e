"""Group commit: what arrives while a batch is being written goes in the next one."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

log = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")


class QueueFull(Exception):
    """More waits than could be served in time."""


class Bell:
    """Wakes the one who waits for work: an `asyncio.Event` of a single waiter, at a third of its cost."""

    def __init__(self) -> None:
        self._sleeper: asyncio.Future[None] | None = None

    def ring(self) -> None:
        sleeper, self._sleeper = self._sleeper, None
        if sleeper is not None and not sleeper.done():
            sleeper.set_result(None)

    async def wait(self) -> None:
        """Until the next ring; one before it counts for nothing, so look first whether there is work."""
        self._sleeper = asyncio.get_running_loop().create_future()
        await self._sleeper


class Batcher(Generic[Item, Result]):
    """Hand items to `flush` in batches of at most `most`; it answers with as many results, in order.

    A batch that raises is halved until only the guilty item fails. A waiter that is cancelled changes nothing: its
    item is still flushed. The batcher itself never dies.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        most: int,
        capacity: int = 100_000,
        failed: Callable[[Item], None] = lambda _item: None,
    ) -> None:
        """`failed` is told of an item that could not be flushed, beside its waiter."""
        self._flush = flush
        self._failed = failed
        self._most = most
        self._capacity = capacity
        self._queue: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._bell = Bell()
        self._closing = False
        self._task = asyncio.create_task(self._run())

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, item: Item) -> asyncio.Future[Result]:
        """Queue an item; raises `QueueFull` at its capacity."""
        if len(self._queue) >= self._capacity:
            raise QueueFull
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._queue.append((item, future))
        self._bell.ring()
        return future

    async def close(self) -> None:
        """Flush what is queued, then stop."""
        self._closing = True
        self._bell.ring()
        await self._task

    async def _run(self) -> None:
        while True:
            if not self._queue:
                if self._closing:
                    return
                await self._bell.wait()
                continue
            if 1 < len(self._queue) < self._most:
                await asyncio.sleep(0)  # what arrives in this turn of the loop comes along: fewer, larger batches
            batch = [self._queue.popleft() for _ in range(min(self._most, len(self._queue)))]
            await self._write(batch)

    async def _write(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._flush([item for item, _ in batch])
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if len(batch) == 1:
                log.exception("an item could not be written")
                self._tell_failed(batch[0][0])
                if not batch[0][1].done():
                    batch[0][1].set_exception(error)
                    batch[0][1].exception()  # read once, so that a waiter long gone leaves no warning
                return
            middle = len(batch) // 2
            await self._write(batch[:middle])
            await self._write(batch[middle:])
        else:
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)

    def _tell_failed(self, item: Item) -> None:
        try:
            self._failed(item)
        except Exception:
            log.exception("what follows an item that could not be written failed too")

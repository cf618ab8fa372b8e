"""What a process has of long answers in memory: a budget of bytes, given out in turn."""

import asyncio
from collections import deque


class AnswerBudget:
    """`most` bytes at once, in the order in which they were asked for."""

    def __init__(self, most: int) -> None:
        self.left = most
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> None:
        if not self._waiting and size <= self.left:
            self.left -= size
            return
        ready = asyncio.get_running_loop().create_future()
        self._waiting.append((size, ready))
        try:
            await ready
        except asyncio.CancelledError:
            if ready.done() and not ready.cancelled():
                self.give_back(size)
            else:
                self._waiting.remove((size, ready))
                self._wake()
            raise

    def give_back(self, size: int) -> None:
        self.left += size
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self._waiting[0][0] <= self.left:
            size, ready = self._waiting.popleft()
            if not ready.done():
                self.left -= size
                ready.set_result(None)

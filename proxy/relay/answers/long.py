"""Long answers in one piece: what a process has of them in memory stays within a budget, and the next one waits unread.

A share is taken once and for the whole of an answer, so that none that was begun waits for another.
"""

from collections.abc import AsyncIterator

import aiohttp

from proxy.relay.answers.budget import AnswerBudget
from proxy.relay.client import MOST_ANSWER_BYTES

LONG_ANSWER = 1_000_000
"""Bytes; shorter ones take no share."""


class Share:
    """One answer's; `give_back` when it has gone on."""

    def __init__(self, budget: AnswerBudget) -> None:
        self._budget = budget
        self._taken = 0

    async def read(self, first: bytes, rest: AsyncIterator[bytes], *, expected: int | None) -> bytes:
        """The body, of `expected` bytes if that is told; raises `aiohttp.ClientPayloadError` beyond 64 MB."""
        pieces, size = [first], len(first)
        if size > LONG_ANSWER:
            await self._take(expected)
        async for piece in rest:
            pieces.append(piece)
            size += len(piece)
            if size > MOST_ANSWER_BYTES:
                raise aiohttp.ClientPayloadError("the answer is too long")
            if size > LONG_ANSWER and not self._taken:
                await self._take(expected)
        return b"".join(pieces)

    def give_back(self) -> None:
        if self._taken:
            self._budget.give_back(self._taken)
            self._taken = 0

    async def _take(self, expected: int | None) -> None:
        size = min(expected or MOST_ANSWER_BYTES, MOST_ANSWER_BYTES)
        await self._budget.take(size)
        self._taken = size

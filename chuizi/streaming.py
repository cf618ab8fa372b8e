"""A long answer that leaves as it is made."""

from collections.abc import AsyncIterator, Iterator
from itertools import islice

from asgiref.sync import sync_to_async

LINES = 1_000


async def in_threads(lines: Iterator[str]) -> AsyncIterator[str]:
    """What a generator that reads the database makes, a thousand lines at a time, for an ASGI server to send."""
    while piece := await sync_to_async(_next)(lines):
        yield piece


def _next(lines: Iterator[str]) -> str:
    return "".join(islice(lines, LINES))

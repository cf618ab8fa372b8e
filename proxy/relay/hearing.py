"""An upstream's answer as it comes: its silences are bounded, and so is the whole."""

import math
from collections.abc import AsyncIterator
from time import monotonic
from types import TracebackType

import aiohttp

from proxy.batches.timeouts import timeout


class Hearing(AsyncIterator[bytes]):
    """`with Hearing(...) as chunks: async for chunk in chunks: ...`

    A wait of `silence` seconds for the next chunk, or past `ends_at` by `time.monotonic`, ends the block with
    `TimeoutError`; what is done with a chunk takes as long as it takes. aiohttp would set a timer for each chunk and
    one for the whole, which together are a tenth of a stream's work.
    """

    __slots__ = ("_content", "_ends_at", "_silence", "_timeout")

    def __init__(self, content: aiohttp.StreamReader, *, silence: float, ends_at: float) -> None:
        self._content = content
        self._silence = silence
        self._ends_at = ends_at
        self._timeout = timeout(math.inf)

    def to_the_end(self) -> None:
        """Bound no silence any more, but the whole."""
        self._silence = math.inf
        self._timeout.end_at(self._ends_at)

    def __enter__(self) -> "Hearing":
        self._timeout.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timeout.__exit__(kind, error, trace)

    async def __anext__(self) -> bytes:
        self._timeout.end_at(min(monotonic() + self._silence, self._ends_at))
        chunk = await self._content.readany()
        self._timeout.end_at(math.inf)
        if not chunk:
            raise StopAsyncIteration
        return chunk

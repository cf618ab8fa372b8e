"""One answer as it is sent, kept for whoever sends its request again: from the beginning, then live.

What is kept of an answer is capped, and so is all that a process keeps. Who reads along never slows the answer down:
beyond the cap the last of it is kept for those who are close behind, and the others are cut.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic

from proxy.exchange import ClientGone, Exchange
from proxy.once.claims import Claim

REPLAYED = (b"idempotency-replayed", b"true")
WINDOW = 262_144
"""Bytes of an answer beyond the cap that are kept for who reads along."""
OWN_BYTES = 1_000
"""What a recording takes beside the answer."""
AT_ONCE = 65_536
"""Bytes that are written together."""


class Memory:
    """Bytes of answers that a process keeps. `evict` gives something of it back, if it can."""

    def __init__(self, most: int, evict: Callable[[], bool]) -> None:
        self.most = most
        self.taken = 0
        self._evict = evict

    def take(self, size: int) -> bool:
        while self.taken + size > self.most:
            if not self._evict():
                return False
        self.taken += size
        return True

    def give_back(self, size: int) -> None:
        self.taken -= size


class Recording:
    """`is_kept`: its beginning is there. `is_over`: nothing comes any more; `is_complete`: it has its end.

    `generation_id` is "" until something is held for it. `is_charged`: it has used something, or goes on to.
    """

    generation_id = ""
    status = 0
    headers: Sequence[tuple[bytes, bytes]] = ()
    is_over = is_complete = is_charged = is_wanted = False
    has_left = False
    """Its own caller."""
    stays = False
    """It goes on without its caller."""
    readers = 0
    was_followed = False
    ended_at = 0.0
    _first = 0
    """How many pieces are kept no longer."""
    _held = 0
    _is_released = False

    def __init__(
        self,
        claim: Claim,
        *,
        most: int,
        memory: Memory,
        may_stay: bool,
        store: Callable[["Recording"], Awaitable[None]],
    ) -> None:
        """`may_stay`: it is worth while without its caller, even where its upstream would not bill it then. `store` is
        called before the last byte of an answer leaves that is to be kept.
        """
        self.claim = claim
        self.began_at = monotonic()
        self.may_stay = may_stay
        self._most = most
        self._memory = memory
        self._store = store
        self._pieces: list[bytes] = []
        self._waiting: list[asyncio.Future[None]] = []
        self.is_kept = self._take(OWN_BYTES)

    # What is sent

    def begin(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self.status, self.headers = status, headers
        self.wake()

    def add(self, data: bytes) -> None:
        """Raises `ClientGone` where nobody reads it, nor will."""
        if self.is_kept and (self._held + len(data) > self._most or not self._take(len(data))):
            self.is_kept = False
            self._trim()
        if self.has_left and not self.readers and not (self.stays and self.is_kept):
            raise ClientGone
        if not self.is_kept:
            if not self.readers:
                return
            self._memory.taken += len(data)  # a window, whatever else there is
            self._held += len(data)
        self._pieces.append(data)
        if not self.is_kept:
            self._trim()
        self.wake()

    async def end(self, data: bytes) -> None:
        if data:
            self.add(data)
        self.is_complete = True
        if self.claim.is_named and self.is_charged:
            await self._store(self)
        self.is_over = True
        self.wake()

    def close(self) -> None:
        """Nothing comes any more, whether it has an end or not."""
        self.is_over = True
        self.ended_at = monotonic()
        self.wake()

    def release(self) -> None:
        """Nobody else will ask for it: keep nothing, once those who read it have it."""
        self._is_released = True
        if not self.readers:
            self._drop()

    def _drop(self) -> None:
        self.is_kept = False
        self._first += len(self._pieces)
        self._pieces = []
        self._memory.give_back(self._held)
        self._held = 0

    def goes_on(self, *, is_billed: bool) -> bool:
        """Its caller has left: whether it is worth while all the same. `is_billed`: its upstream bills it anyway."""
        self.has_left = True
        self.stays = is_billed or self.may_stay
        return (self.stays and self.is_kept) or self.readers > 0

    @property
    def is_deserted(self) -> bool:
        """Nobody has waited for its end."""
        return self.has_left and not self.was_followed

    @property
    def is_one_piece(self) -> bool:
        return self._first + len(self._pieces) <= 1

    @property
    def body(self) -> bytes:
        return b"".join(self._pieces)

    # Who reads along

    async def follow(self, exchange: Exchange) -> bool:
        """Answer another request with it; False where it ended and there is nothing to answer with.

        Raises `ClientGone` for who has left, or reads too slowly.
        """
        self.readers += 1
        self.was_followed = True
        gone = asyncio.create_task(exchange.gone())
        gone.add_done_callback(lambda _: self.wake())
        try:
            return await self._follow(exchange, gone)
        finally:
            self.readers -= 1
            gone.cancel()
            if self._is_released and not self.readers:
                self._drop()

    async def _follow(self, exchange: Exchange, gone: asyncio.Task[None]) -> bool:
        at = 0
        while not gone.done():
            if self.status and not exchange.started:
                await exchange.start(self.status, [*self.headers, REPLAYED])
            while at < self._first + len(self._pieces):
                if at < self._first:
                    raise ClientGone  # it reads too slowly
                data, at = self._from(at)
                await exchange.write(data)
            if self.is_over:
                if self.is_complete:
                    await exchange.end()
                    return True
                if not exchange.started:
                    return False
                break
            await self.changed()
        raise ClientGone

    async def changed(self) -> None:
        """Wait until there is something new."""
        news = asyncio.get_running_loop().create_future()
        self._waiting.append(news)
        await news

    def wake(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for news in waiting:
                if not news.done():
                    news.set_result(None)

    def _from(self, at: int) -> tuple[bytes, int]:
        """What stands from that piece on, not too much of it, and where the rest begins."""
        pieces: list[bytes] = []
        size = 0
        for piece in self._pieces[at - self._first :]:
            pieces.append(piece)
            size += len(piece)
            if size > AT_ONCE:
                break
        return b"".join(pieces), at + len(pieces)

    def _take(self, size: int) -> bool:
        if not self._memory.take(size):
            return False
        self._held += size
        return True

    def _trim(self) -> None:
        if not self.readers:
            self._drop()
            return
        count, held = 0, self._held
        while held > WINDOW and count < len(self._pieces) - 1:
            held -= len(self._pieces[count])
            count += 1
        del self._pieces[:count]
        self._first += count
        self._memory.give_back(self._held - held)
        self._held = held

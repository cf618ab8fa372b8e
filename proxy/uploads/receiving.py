"""Uploads of a gateway process: read within limits, kept on disk until their request is over."""

import asyncio
import errno
import logging
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

from proxy.errors import Refusal
from proxy.exchange import Exchange, Pace
from proxy.uploads.budget import Share, UploadBudget
from proxy.uploads.form import Form
from proxy.uploads.heads import boundary_of, refused
from proxy.uploads.parts import PartReader
from proxy.uploads.spool import Spool

log = logging.getLogger(__name__)

WRITTEN_AT_ONCE = 262_144
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
THREADS = 4
"""For the disk; who waits for one waits for no client."""


class Upload:
    """One request's: `close` when it is over."""

    def __init__(self, spool: Spool, share: Share) -> None:
        self._spool = spool
        self._share = share
        self.form = Form()

    def close(self) -> None:
        self._spool.close()
        self._share.give_back()


class Uploads:
    """Of a process. `most` bytes each, within the budget."""

    def __init__(self, *, most: int, budget: UploadBudget, folder: str | None) -> None:
        """Raises `OSError` where nothing can be written in that folder."""
        self._most = most
        self.budget = budget
        self._folder = folder
        Spool(folder).close()
        self._disk = ThreadPoolExecutor(THREADS, thread_name_prefix="spooling")

    def close(self) -> None:
        self._disk.shutdown(wait=False, cancel_futures=True)

    async def receive(self, exchange: Exchange, customer_id: int) -> Upload:
        """The whole form; raises `Refusal` 400, 408, 413, 429 or 503, or `ClientGone`. Nothing is left then."""
        announced = exchange.announced(self._most)
        if exchange.repeats(b"content-type"):
            raise refused("The request has two Content-Types.")
        boundary = boundary_of(exchange.header(b"content-type"))
        share = self.budget.begin(customer_id)
        spool: Spool | None = None
        try:
            share.take(announced or 0)
            spool = Spool(self._folder)
            upload = Upload(spool, share)
            upload.form = await self._read(exchange, PartReader(boundary, spool), spool, share)
            return upload
        except BaseException as error:
            if spool is not None:
                spool.close()
            share.give_back()
            if isinstance(error, OSError):
                raise _no_room(error) from None
            raise

    async def _read(self, exchange: Exchange, reader: PartReader, spool: Spool, share: Share) -> Form:
        pace, more = Pace(self._most), True
        while more:
            piece, more = await exchange.piece(pace)
            share.take(pace.size)
            reader.feed(piece)
            if reader.pending >= WRITTEN_AT_ONCE:
                await self._write(reader, spool, pace)
        form = reader.end()
        if reader.pending:
            await self._write(reader, spool, pace)
        return form

    async def _write(self, reader: PartReader, spool: Spool, pace: Pace) -> None:
        began = monotonic()
        await asyncio.get_running_loop().run_in_executor(self._disk, spool.write, reader.take())
        pace.pause(monotonic() - began)


def _no_room(error: OSError) -> Refusal:
    log.error("an upload cannot be kept: %s", error.strerror or type(error).__name__)
    words = "The gateway's disk is full." if error.errno in FULL else "The gateway's disk fails."
    return Refusal(503, "provider_unavailable", f"{words} Nothing was charged.", headers={"Retry-After": "30"})

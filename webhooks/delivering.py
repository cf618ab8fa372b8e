"""The worker's loop: read facts, claim what is due, post many at once, and write how each went.

Posts run in one event loop, so that hundreds of machines that hang keep nobody else waiting; what touches the database
runs in a few threads, which give their connection back each time.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from time import monotonic
from typing import TypeVar

from django.db import connections
from django.utils import timezone

from billing.outbox import readers
from core.clock import database_now
from webhooks import claiming, signing
from webhooks.claiming import Claim
from webhooks.deliveries import READER
from webhooks.posting import post

log = logging.getLogger(__name__)

MOST_AT_ONCE = 200
MOST_FAILING = 100
"""Of these, to endpoints that fail: they may hang, and must leave room for others."""
NAMES_AT_ONCE = 64
"""Names that are resolved at once; a name server may hang, too."""
LOOK_SECONDS = 1.0
Done = TypeVar("Done")


def deliver(*, seconds: float, clock: Callable[[], datetime] = database_now) -> int:
    """Deliver what is due, until nothing is or the time is over; return how many posts were made."""
    until = monotonic() + seconds
    return asyncio.run(_Loop(clock).run(goes_on=lambda: monotonic() < until, stays=False))


def deliver_for_ever() -> None:
    """As long as this process lives. Raises what the database does: the caller begins anew."""
    asyncio.run(_Loop(database_now).run(goes_on=lambda: True, stays=True))


class _Loop:
    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="webhooks")
        self._working: dict[asyncio.Task[None], Claim] = {}
        self._made = 0

    async def run(self, *, goes_on: Callable[[], bool], stays: bool) -> int:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(NAMES_AT_ONCE))
        try:
            while goes_on() or self._working:
                claims = await self._database(self._claim) if goes_on() else []
                for claim in claims:
                    self._working[asyncio.create_task(self._one(claim))] = claim
                if not self._working and not stays:
                    break
                if self._working:
                    await asyncio.wait(self._working, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                else:
                    await asyncio.sleep(LOOK_SECONDS)
                for task in [task for task in self._working if task.done()]:
                    del self._working[task]
                    task.result()
        finally:
            self._threads.shutdown()
        return self._made

    async def _one(self, claim: Claim) -> None:
        headers = signing.headers(
            message_id=claim.message_id, body=claim.body, signed_with=claim.secrets, now=timezone.now()
        )
        answer = await post(claim.url, body=claim.body, headers=headers)
        self._made += 1
        try:
            await self._database(lambda: claiming.finish(claim, answer, now=self._clock()))
        except Exception:  # its claim ends by itself, and it is posted again
            log.exception("how delivery %s went is not written", claim.delivery_id)

    def _claim(self) -> list[Claim]:
        now = self._clock()
        readers.read(READER, now=now)
        failing = sum(claim.is_failing for claim in self._working.values())
        room = MOST_AT_ONCE - len(self._working)
        return claiming.claim(now=now, limit=room, failing=failing < MOST_FAILING) if room else []

    async def _database(self, act: Callable[[], Done]) -> Done:
        def acted() -> Done:
            try:
                return act()
            finally:
                connections.close_all()

        return await asyncio.get_running_loop().run_in_executor(self._threads, acted)

"""Caps that refuse requests are told of outside the requests: once a period, which the database sees to, and for each
cap at most once a minute asked of it by each process.
"""

import logging
from collections.abc import Sequence
from time import monotonic

from accounts.limits.meters import CapReached
from billing.warnings import spending
from core.clock import database_now
from proxy.batches.batcher import Batcher, QueueFull
from proxy.batches.connections import AWAY
from proxy.batches.threads import in_thread

log = logging.getLogger(__name__)

AGAIN_SECONDS = 60.0
MOST_KNOWN = 10_000
Told = tuple[int, CapReached]


class RefusedCaps:
    """Takes note of refusals for want of room within a cap; a refusal waits for nothing of it."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str, int, int], float] = {}
        self._batcher: Batcher[Told, None] = Batcher(self._tell, most=20, capacity=1_000)

    def note(self, cap: CapReached, *, customer_id: int) -> None:
        """It refuses while less than all of it is charged."""
        if cap.spent - cap.held >= cap.limit:
            return
        which, now = (str(cap.whose), cap.meter_id, int(cap.period)), monotonic()
        if now - self._asked.get(which, -AGAIN_SECONDS) < AGAIN_SECONDS:
            return
        if len(self._asked) >= MOST_KNOWN:
            self._asked.clear()
        self._asked[which] = now
        try:
            self._batcher.put((customer_id, cap))
        except QueueFull:
            del self._asked[which]

    async def _tell(self, items: Sequence[Told]) -> list[None]:
        try:
            await in_thread(_tell_all)(items)
        except AWAY:
            log.warning("%s refusals could not be told of; the next ones are", len(items))
            self._asked.clear()
        return [None] * len(items)

    async def close(self) -> None:
        await self._batcher.close()


def _tell_all(items: Sequence[Told]) -> None:
    for customer_id, cap in items:
        spending.tell_refused(cap, customer_id=customer_id, now=database_now())

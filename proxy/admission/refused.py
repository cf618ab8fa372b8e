"""Caps and budgets that refuse requests are told of outside the requests: once a period, which the database sees to,
and for each at most once a minute asked of it by each process.
"""

import logging
from collections.abc import Sequence
from time import monotonic

from accounts.limits.meters import CapReached
from billing.warnings import spending
from billing.warnings.spending import BudgetShort
from core.clock import database_now
from proxy.batches.batcher import Batcher, QueueFull
from proxy.batches.connections import AWAY
from proxy.batches.threads import in_thread

log = logging.getLogger(__name__)

AGAIN_SECONDS = 60.0
MOST_KNOWN = 10_000
Told = tuple[int, CapReached | BudgetShort]


class RefusedCaps:
    """Takes note of refusals for want of room within a cap; a refusal waits for nothing of it."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str | int, ...], float] = {}
        self._batcher: Batcher[Told, None] = Batcher(self._tell, most=20, capacity=1_000)

    def note(self, full: CapReached | BudgetShort, *, customer_id: int) -> None:
        """A cap, or a budget, refuses while less than all of it is charged."""
        which: tuple[str | int, ...]
        if isinstance(full, BudgetShort):
            which = (full.purse,)
        elif full.spent - full.held >= full.limit:
            return
        else:
            which = (str(full.whose), full.meter_id, int(full.period))
        now = monotonic()
        if now - self._asked.get(which, -AGAIN_SECONDS) < AGAIN_SECONDS:
            return
        if len(self._asked) >= MOST_KNOWN:
            self._asked.clear()
        self._asked[which] = now
        try:
            self._batcher.put((customer_id, full))
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
    for customer_id, full in items:
        if isinstance(full, BudgetShort):
            spending.tell_budget_refused(full, customer_id=customer_id, now=database_now())
        else:
            spending.tell_refused(full, customer_id=customer_id, now=database_now())

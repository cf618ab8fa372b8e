"""ADMIT, a group commit: requests that arrive while a batch is being written go in the next one.

Two round trips a batch. Wallets that another transaction has locked are skipped and taken one by one on a second
connection, so that a slow wallet delays nobody else. `lane` and `metering` hold transactions in async code, and
nothing else does.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from decimal import Decimal
from time import monotonic

import psycopg

from accounts.models import Customer
from billing.models import Wallet
from proxy import metrics
from proxy.batching import Bell
from proxy.deciding import Ask, Short
from proxy.errors import Refusal, unavailable
from proxy.lane import Admitted, CommitUnknown, Grant, Lane, PolicyChanged, Waiter
from proxy.patience import limit
from proxy.settle_first import SettleFirst

__all__ = ["Admission", "Admitted", "Ask", "PolicyChanged"]

log = logging.getLogger(__name__)

MOST_WAITING = 2_000
MOST_IN_BATCH = 200
MOST_OF_ONE_CUSTOMER = 50
PATIENCE_SECONDS = 5.0


def standing(customer_id: int) -> tuple[Decimal, bool]:
    """A customer's balance in USD, paid and bonus, and whether it may not spend; without a lock, for a first look."""
    wallet = Wallet.objects.only("paid", "bonus").get(pk=customer_id)
    return wallet.paid + wallet.bonus, Customer.objects.filter(pk=customer_id, suspended_at__isnull=False).exists()


class Admission:
    """Take requests, batch them fairly, and answer each with its committed hold or a `Refusal`."""

    def __init__(self, *, lease_id: int, overrun: Decimal, release: Callable[[str], None]) -> None:
        self._queues: dict[int, deque[Waiter]] = {}
        self._waiting = 0
        self._bell = Bell()
        self._locked: deque[Waiter] = deque()
        self._locked_bell = Bell()
        self._release = release
        self._settle_first = SettleFirst()
        self._fast = Lane(lease_id=lease_id, overrun=overrun)
        self._slow = Lane(lease_id=lease_id, overrun=overrun)
        self._tasks = [asyncio.create_task(self._run_fast()), asyncio.create_task(self._run_slow())]

    async def admit(self, ask: Ask) -> Admitted:
        """Raise `Refusal`, or `PolicyChanged` when the key has to be read again.

        Where holds alone may be in its way, what its customer has metered is settled first.
        """
        try:
            return await self._admit(ask)
        except Short as short:
            if not short.may_pass:
                raise
            refused = short
        return await self._settle_first.admit(ask, refused, self._admit)

    async def _admit(self, ask: Ask) -> Admitted:
        if self._waiting >= MOST_WAITING:
            raise unavailable("The gateway is busy. Try again in a second.")
        waiter = Waiter(ask, asyncio.get_running_loop().create_future())
        self._queues.setdefault(ask.policy.customer_id, deque()).append(waiter)
        self._waiting += 1
        self._bell.ring()
        try:
            with limit(PATIENCE_SECONDS):
                admitted = await waiter.future
        except TimeoutError:
            raise unavailable("The balance could not be reserved in time. Nothing was charged.") from None
        except asyncio.CancelledError:
            # Left just after the hold was committed: give it back at once.
            if waiter.future.done() and not waiter.future.cancelled() and waiter.future.exception() is None:
                self._release(waiter.future.result().generation_id)
            raise
        finally:
            self._waiting -= 1
        metrics.ADMISSION_SECONDS.observe(monotonic() - waiter.since)
        return admitted

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._fast.close()
        self._slow.close()
        self._settle_first.close()

    @property
    def waiting(self) -> int:
        return self._waiting

    def _take(self) -> list[Waiter]:
        """A batch, customer by customer in turn."""
        batch: list[Waiter] = []
        alone = len(self._queues) == 1
        for customer_id in list(self._queues):
            queue = self._queues.pop(customer_id)
            room = MOST_IN_BATCH - len(batch)
            share = min(len(queue), room if alone else min(room, MOST_OF_ONE_CUSTOMER))
            batch.extend(queue.popleft() for _ in range(share))
            if queue:
                self._queues[customer_id] = queue  # to the end of the line
            if len(batch) == MOST_IN_BATCH:
                break
        return [waiter for waiter in batch if not waiter.future.done()]

    async def _run_fast(self) -> None:
        while True:
            if not self._queues:
                await self._bell.wait()
            if 1 < self._waiting < MOST_IN_BATCH:
                await asyncio.sleep(0)  # what arrives in this turn of the loop comes along
            batch = self._take()
            if batch:
                metrics.ADMISSION_BATCH.observe(len(batch))
                await self._commit(self._fast, batch, wait_for_locks=False)

    async def _run_slow(self) -> None:
        while True:
            if not self._locked:
                await self._locked_bell.wait()
                continue
            customer_id = self._locked[0].ask.policy.customer_id
            mine = [w for w in self._locked if w.ask.policy.customer_id == customer_id][:MOST_IN_BATCH]
            chosen = set(map(id, mine))
            self._locked = deque(w for w in self._locked if id(w) not in chosen)
            batch = [waiter for waiter in mine if not waiter.future.done()]
            if batch:
                await self._commit(self._slow, batch, wait_for_locks=True)

    async def _commit(self, lane: Lane, batch: list[Waiter], *, wait_for_locks: bool) -> None:
        try:
            grants, locked = await lane.write(batch, wait_for_locks=wait_for_locks)
        except CommitUnknown as unknown:
            await self._find_out(lane, unknown.grants)
        except psycopg.errors.LockNotAvailable:
            self._try_later(batch)
        except (psycopg.OperationalError, OSError) as error:
            log.warning("admission cannot reach the database: %s", type(error).__name__)
            self._fail(batch, unavailable("The balance could not be reserved. Nothing was charged."))
            await asyncio.sleep(0.1)
        except Exception:
            if len(batch) == 1:
                log.exception("a request could not be admitted")
                self._fail(batch, Refusal(500, "internal_error", "The request could not be admitted."))
                return
            middle = len(batch) // 2
            await self._commit(lane, batch[:middle], wait_for_locks=wait_for_locks)
            await self._commit(lane, batch[middle:], wait_for_locks=wait_for_locks)
        else:
            self._answer(grants)
            if locked and wait_for_locks:
                self._fail(locked, Refusal(500, "internal_error", "The account has no wallet."))
            elif locked:
                self._try_later(locked)

    def _answer(self, grants: Sequence[Grant]) -> None:
        metrics.HOLDS.inc(len(grants))
        for waiter, admitted in grants:
            if waiter.future.done():
                self._release(admitted.generation_id)
            else:
                waiter.future.set_result(admitted)

    def _try_later(self, waiters: Sequence[Waiter]) -> None:
        self._locked.extend(waiter for waiter in waiters if monotonic() - waiter.since < PATIENCE_SECONDS)
        self._locked_bell.ring()

    @staticmethod
    def _fail(waiters: Sequence[Waiter], refusal: Refusal) -> None:
        for waiter in waiters:
            if not waiter.future.done():
                waiter.future.set_exception(refusal)

    async def _find_out(self, lane: Lane, grants: Sequence[Grant]) -> None:
        """COMMIT's outcome is unknown: ask until the database answers. Nothing can be admitted meanwhile anyway."""
        while True:
            try:
                found = await lane.committed(grants)
            except (psycopg.Error, OSError):
                await asyncio.sleep(0.2)
                continue
            self._answer([grant for grant in grants if grant[1].generation_id in found])
            self._fail(
                [waiter for waiter, admitted in grants if admitted.generation_id not in found],
                unavailable("The balance could not be reserved. Nothing was charged."),
            )
            return

"""ADMIT, a group commit: requests that arrive while a batch is being written go in the next one.

Two round trips a batch. Wallets that another transaction has locked are skipped and taken one by one on a second
connection, so that a slow wallet delays nobody else. `writer` and `metering` hold transactions in async code, and
nothing else does. The rules are in docs/gateway.md, "ADMIT".
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from decimal import Decimal
from time import monotonic
from typing import TypeVar, cast

import psycopg

from accounts.models import Customer
from billing.books.allowance import Overrun
from billing.models import Wallet
from proxy.admission.rule import Ask, Extension, NoMore, Short
from proxy.admission.settle_first import SettleFirst
from proxy.admission.writer import (
    Admitted,
    CommitUnknown,
    Extending,
    Grant,
    More,
    PolicyChanged,
    Waiter,
    Writer,
)
from proxy.batches.batcher import Bell
from proxy.errors import Refusal, unavailable
from proxy.models import Generation
from proxy.watch import metrics

__all__ = ["Admission", "Admitted", "Ask", "PolicyChanged"]

log = logging.getLogger(__name__)

MOST_WAITING = 2_000
MOST_IN_BATCH = 200
MOST_OF_ONE_CUSTOMER = 50
WAIT_SECONDS = 5.0
LOOK_SECONDS = 0.25
Prepared = TypeVar("Prepared")
Reason = Generation.Reason


def standing(customer_id: int) -> tuple[Decimal, bool]:
    """A customer's balance in USD, paid and bonus, and whether it may not spend; without a lock, for a first look."""
    wallet = Wallet.objects.only("paid", "bonus").get(pk=customer_id)
    return wallet.paid + wallet.bonus, Customer.objects.filter(pk=customer_id, suspended_at__isnull=False).exists()


class Admission:
    """Take requests, batch them fairly, and answer each with its committed hold or a `Refusal`."""

    def __init__(
        self,
        *,
        lease_id: int,
        overrun: Overrun,
        release: Callable[[str, str], None],
        settle_first: SettleFirst | None = None,
    ) -> None:
        """`release` gives a committed hold back, told its generation's id and why the request ended."""
        self._queues: dict[int, deque[Waiter | Extending]] = {}
        self._waiting: set[Waiter | Extending] = set()
        self._bell = Bell()
        self._locked: deque[Waiter | Extending] = deque()
        self._locked_bell = Bell()
        self._release = release
        self._settle_first = settle_first or SettleFirst()
        self._fast = Writer(lease_id=lease_id, overrun=overrun)
        self._slow = Writer(lease_id=lease_id, overrun=overrun)
        runs = (self._run_fast(), self._run_slow(), self._give_up())
        self._tasks = [asyncio.create_task(run) for run in runs]

    async def admit(
        self,
        ask: Ask,
        prepare: Callable[[Admitted], Prepared],
        *,
        closer: Callable[[Short], Awaitable[Ask | None]] | None = None,
        size: int = 0,
        has_left: Callable[[], bool] = bool,
    ) -> Prepared:
        """What `prepare` makes of the committed hold; it is called while that is being written, and changes nothing.
        `size` in bytes, of the body; `has_left` tells whether nobody waits for the answer.

        Raise `Refusal`, `ClientGone`, or `PolicyChanged` when the key has to be read again. Before it is refused for
        want of money `closer` may tell that it needs less. Where holds alone may be in its way, what its customer has
        metered is settled first.
        """
        try:
            return await self._admit(ask, prepare)
        except Short as short:
            refused = short
        if closer is not None and (better := await closer(refused)) is not None:
            ask = better
            try:
                return await self._admit(ask, prepare)
            except Short as short:
                refused = short
        if not refused.may_pass:
            raise refused
        return await self._settle_first.admit(
            ask, refused, lambda ask: self._admit(ask, prepare), size=size, has_left=has_left
        )

    async def extend(self, asked: Extension) -> Decimal | NoMore:
        """How much more, in USD, is held from now on for a stream under way, or why that is nothing.

        Raises `Refusal` where that is not known: more may be held then, and nothing counts on it.
        """
        extending = Extending(asked, asyncio.get_running_loop().create_future())
        self._put(extending)
        try:
            return await extending.future
        finally:
            self._waiting.discard(extending)

    def _put(self, waiter: Waiter | Extending) -> None:
        self._queues.setdefault(waiter.policy.customer_id, deque()).append(waiter)
        self._waiting.add(waiter)
        self._bell.ring()

    async def _admit(self, ask: Ask, prepare: Callable[[Admitted], Prepared]) -> Prepared:
        if len(self._waiting) >= MOST_WAITING:
            raise unavailable("The gateway is busy. Try again in a second.")
        waiter = Waiter(ask, asyncio.get_running_loop().create_future(), prepare)
        self._put(waiter)
        try:
            admitted = await waiter.future
        except asyncio.CancelledError:
            # Left just after the hold was committed: give it back at once.
            if waiter.future.done() and not waiter.future.cancelled() and waiter.future.exception() is None:
                self._release(waiter.future.result().generation_id, Reason.CLIENT_DISCONNECTED)
            raise
        finally:
            self._waiting.discard(waiter)
        metrics.observe(metrics.ADMISSION_SECONDS, monotonic() - waiter.since)
        if waiter.prepared is not None:
            return cast(Prepared, waiter.prepared)
        try:
            return prepare(admitted)
        except BaseException:
            self._release(admitted.generation_id, Reason.UPSTREAM_ERROR)
            raise

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._fast.close()
        self._slow.close()
        self._settle_first.close()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def _take(self) -> list[Waiter | Extending]:
        """A batch, customer by customer in turn."""
        batch: list[Waiter | Extending] = []
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
        return _still(batch)

    async def _give_up(self) -> None:
        """Who has waited too long is told so: a limit of its own for each wait would cost every request."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            too_early = monotonic() - WAIT_SECONDS
            late = [waiter for waiter in self._waiting if waiter.since <= too_early]
            self._fail(late, unavailable("The balance could not be reserved in time. Nothing was charged."))
            self._forget_those_gone()
            self._fast.give_up_silence()
            self._slow.give_up_silence()

    def _forget_those_gone(self) -> None:
        """Whole requests would stay in memory where nothing is taken out, as while a commit's outcome is unknown."""
        waiting = {customer_id: deque(_still(queue)) for customer_id, queue in self._queues.items()}
        self._queues = {customer_id: queue for customer_id, queue in waiting.items() if queue}
        self._locked = deque(_still(self._locked))

    async def _run_fast(self) -> None:
        while True:
            if not self._queues:
                await self._bell.wait()
            if 1 < len(self._waiting) < MOST_IN_BATCH:
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
            customer_id = self._locked[0].policy.customer_id
            mine = [w for w in self._locked if w.policy.customer_id == customer_id][:MOST_IN_BATCH]
            chosen = set(map(id, mine))
            self._locked = deque(w for w in self._locked if id(w) not in chosen)
            batch = _still(mine)
            if batch:
                await self._commit(self._slow, batch, wait_for_locks=True)

    async def _commit(self, writer: Writer, batch: list[Waiter | Extending], *, wait_for_locks: bool) -> None:
        try:
            grants, more, locked = await writer.write(batch, wait_for_locks=wait_for_locks)
        except CommitUnknown as unknown:
            self._fail([extending for extending, _ in unknown.more], unavailable("Nothing more could be reserved."))
            await self._find_out(writer, unknown.grants)
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
            await self._commit(writer, batch[:middle], wait_for_locks=wait_for_locks)
            await self._commit(writer, batch[middle:], wait_for_locks=wait_for_locks)
        else:
            self._answer(grants)
            _tell(more)
            if locked and wait_for_locks:
                self._fail(locked, Refusal(500, "internal_error", "The account has no wallet."))
            elif locked:
                self._try_later(locked)

    def _answer(self, grants: Sequence[Grant]) -> None:
        metrics.HOLDS.inc(len(grants))
        for waiter, admitted in grants:
            if waiter.future.done():
                left = waiter.future.cancelled()
                self._release(admitted.generation_id, Reason.CLIENT_DISCONNECTED if left else Reason.TIMEOUT)
            else:
                waiter.future.set_result(admitted)

    def _try_later(self, waiters: Sequence[Waiter | Extending]) -> None:
        self._locked.extend(waiter for waiter in waiters if monotonic() - waiter.since < WAIT_SECONDS)
        self._locked_bell.ring()

    @staticmethod
    def _fail(waiters: Sequence[Waiter | Extending], refusal: Refusal) -> None:
        for waiter in waiters:
            if not waiter.future.done():
                waiter.future.set_exception(refusal)

    async def _find_out(self, writer: Writer, grants: Sequence[Grant]) -> None:
        """COMMIT's outcome is unknown: ask until the database answers. Nothing can be admitted meanwhile anyway."""
        while grants:
            try:
                found = await writer.committed(grants)
            except (psycopg.Error, OSError):
                await asyncio.sleep(0.2)
                continue
            self._answer([grant for grant in grants if grant[1].generation_id in found])
            self._fail(
                [waiter for waiter, admitted in grants if admitted.generation_id not in found],
                unavailable("The balance could not be reserved. Nothing was charged."),
            )
            return


def _tell(more: Sequence[More]) -> None:
    """One that has ended meanwhile gives it back with the rest of its hold."""
    for extending, granted in more:
        if not extending.future.done():
            extending.future.set_result(granted)


def _still(waiters: Iterable[Waiter | Extending]) -> list[Waiter | Extending]:
    """Those that nobody has answered, and that have not left."""
    return [waiter for waiter in waiters if not waiter.future.done()]

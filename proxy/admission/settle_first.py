"""Before a refusal for want of money, settle what its customer has metered, and decide again.

A request holds the most it can cost until it is settled, which for a caller without `max_tokens` may be all there is.
Only a refusal comes here, and only where holds alone may be in its way. Where settling does not do, but what requests
under way hold would, it waits for a while: agents send their turns at once, and use a part of what is held.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import cache
from time import monotonic
from typing import Any, TypeVar

from django.db import OperationalError, connection

from accounts.limits.periods import Period
from accounts.limits.spending import Whose
from billing.books.money import ZERO
from core.clock import database_now
from core.records import value
from proxy.admission.rule import Ask, Short
from proxy.batches.threads import in_thread
from proxy.batches.timeouts import timeout
from proxy.errors import Refusal
from proxy.exchange import ClientGone
from proxy.settlement.settle import settle_customer

MOST_OF_ONE_CUSTOMER = 8
"""Who comes on top of these is told what is held, and is not waited for."""
MOST_IN_PROCESS = 200
WAIT_SECONDS = 2.0
PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 0.5
MOST_PATIENT_OF_ONE_CUSTOMER = 32
MOST_PATIENT_IN_PROCESS = 400
"""Requests that wait for others to end."""
PATIENT_SHARE = 4
"""They keep their bodies meanwhile, and pay nothing for it: a quarter of the memory that there is for bodies at most,
and a quarter of that for one customer's.
"""
MOST_VAIN_TRIES = 3
"""Holds may have come free between the decision and the look at them; this often a request is decided again for it."""
RETRY_AFTER_SECONDS = 5
THREADS = 4
Prepared = TypeVar("Prepared")

_REQUESTS = (
    "SELECT h.amount, g.state, g.cost, g.key_id,"
    " coalesce(g.counted_on, (g.created_at AT TIME ZONE 'UTC')::date) AS counted_on"
    " FROM billing_hold h JOIN proxy_generation g ON g.id = h.key"
    " WHERE h.customer_id = %s AND h.state = 'open' AND h.kind IN ('request', 'job')"
    " AND g.state IN ('held', 'metered')"  # a quarantined one is no longer under way: staff decide
)
_SUMS = (
    "SELECT {room}, count(*) FILTER (WHERE r.state = 'metered'),"
    " coalesce(sum(r.amount - coalesce(r.cost, 0)) FILTER (WHERE r.state = 'metered'), 0),"
    " count(*), coalesce(sum(r.amount), 0), coalesce(sum(r.amount - coalesce(r.cost, 0)), 0)"
)
OF_WALLET = (
    _SUMS.format(room="(SELECT paid + bonus - held FROM billing_wallet WHERE customer_id = %s)")
    + f" FROM ({_REQUESTS}) AS r"
)
OF_PURSE = (
    _SUMS.format(room="(SELECT amount - captured FROM billing_hold WHERE key = %s AND resolved_at IS NULL)")
    + f" FROM ({_REQUESTS} AND h.inside = %s) AS r"
)
METERS = {
    Whose.KEY: ("accounts_keymeter WHERE key_id", "r.key_id = %s"),
    Whose.MEMBER: (
        "accounts_membermeter WHERE membership_id",
        "EXISTS (SELECT FROM accounts_keymeter k WHERE k.key_id = r.key_id AND k.member_id = %s)",
    ),
}


@cache
def _of_cap(whose: Whose, period: Period) -> str:
    """The parameters: cap, first date of its period, meter, customer, meter, first date."""
    meter, is_own = METERS[whose]
    spent = f"CASE WHEN day >= %s THEN {period.name.lower()}_spent ELSE 0 END"
    sums = _SUMS.format(room=f"(SELECT %s - {spent} FROM {meter} = %s)")
    return f"{sums} FROM ({_REQUESTS}) AS r WHERE {is_own} AND r.counted_on >= %s"


@value
class Standing:
    """What is free, what settling would free and what requests hold, of a wallet or within a cap; in USD."""

    room: Decimal
    metered: int
    from_metered: Decimal
    requests: int
    held: Decimal
    may_come_free: Decimal

    def would_do(self, needed: Decimal) -> bool:
        """Whether `needed` fits, now or once the metered requests are settled."""
        return self.room + max(ZERO, self.from_metered) >= needed

    def may_do(self, needed: Decimal) -> bool:
        """Whether it may once the requests under way have ended."""
        return bool(self.requests) and self.room + self.may_come_free >= needed


def look(ask: Ask, short: Short) -> Standing:
    """Read the standing of what was short."""
    customer_id, cap = ask.policy.customer_id, short.cap
    query: tuple[str, list[Any]] = OF_WALLET, [customer_id, customer_id]
    if short.purse:
        query = OF_PURSE, [short.purse, customer_id, short.purse]
    elif cap is not None:
        whose = [cap.limit, cap.since, cap.meter_id, customer_id, cap.meter_id, cap.since]
        query = _of_cap(cap.whose, cap.period), whose
    with connection.cursor() as cursor:
        cursor.execute(*query)
        room, *figures = cursor.fetchone()
    return Standing(ZERO if room is None else room, *figures)  # None: the budget has ended


def _settle_customer(customer_id: int) -> None:
    settle_customer(customer_id=customer_id, now=database_now(), wait_ms=int(WAIT_SECONDS * 1000))


class StillShort(Exception):
    """Settling did not do."""

    def __init__(self, short: Short, standing: Standing | None) -> None:
        self.short = short
        self.standing = standing


class SettleFirst:
    """Decides again for the requests of a process that are short; a customer is settled for all of them at once."""

    def __init__(self, *, patience: float = 0, body_bytes: int = 512_000_000) -> None:
        """`patience`: for how many seconds a request waits for others of its customer to end; `body_bytes`: what the
        process has for all bodies.
        """
        self._patience = patience
        self._most_bytes = body_bytes // PATIENT_SHARE
        self._patient: Counter[int] = Counter()
        self._patient_bytes: Counter[int] = Counter()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="settle-first")
        self._look = in_thread(look, executor=self._threads)
        self._settle_customer = in_thread(_settle_customer, executor=self._threads)
        self._waiting: Counter[int] = Counter()
        self._settling: dict[int, asyncio.Task[None]] = {}
        self._looking: dict[tuple[object, ...], asyncio.Task[Standing]] = {}

    async def admit(
        self,
        ask: Ask,
        short: Short,
        admit: Callable[[Ask], Awaitable[Prepared]],
        *,
        size: int = 0,
        has_left: Callable[[], bool] = bool,
    ) -> Prepared:
        """As `admit`, which just raised `short`. Raises `Refusal` as `admit` does, and `ClientGone` where the caller
        left while it waited. `size` in bytes, of the body.
        """
        until = monotonic() + self._patience
        try:
            return await self._settled(ask, short, admit)
        except StillShort as still:
            short, standing = still.short, still.standing
        customer_id = ask.policy.customer_id
        if not self._may_wait(customer_id, size):
            raise held_by_requests(short, standing)
        self._patient[customer_id] += 1
        self._patient_bytes[customer_id] += size
        try:
            return await self._waited(ask, short, standing, admit, until=until, has_left=has_left)
        finally:
            self._patient[customer_id] -= 1
            self._patient_bytes[customer_id] -= size
            if not self._patient[customer_id]:
                del self._patient[customer_id], self._patient_bytes[customer_id]

    def _may_wait(self, customer_id: int, size: int) -> bool:
        if self._patient[customer_id] >= MOST_PATIENT_OF_ONE_CUSTOMER or (
            self._patient.total() >= MOST_PATIENT_IN_PROCESS
        ):
            return False
        own, all_of_them = self._patient_bytes[customer_id], self._patient_bytes.total()
        return own + size <= self._most_bytes // PATIENT_SHARE and all_of_them + size <= self._most_bytes

    async def _waited(
        self,
        ask: Ask,
        short: Short,
        standing: Standing | None,
        admit: Callable[[Ask], Awaitable[Prepared]],
        *,
        until: float,
        has_left: Callable[[], bool],
    ) -> Prepared:
        """Until requests under way have given back what it needs; one look is for all who wait for the same."""
        pause = PAUSE_SECONDS
        while monotonic() < until and (standing is None or standing.may_do(short.needed)):
            await asyncio.sleep(min(pause, max(0, until - monotonic())))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            if has_left():
                raise ClientGone
            standing = await self._figures(ask, short)
            if standing is not None and standing.would_do(short.needed):
                try:
                    return await self._settled(ask, short, admit)
                except StillShort as still:
                    short, standing = still.short, still.standing
        raise held_by_requests(short, standing)

    async def _settled(self, ask: Ask, short: Short, admit: Callable[[Ask], Awaitable[Prepared]]) -> Prepared:
        """Once what was metered is settled; 2 s at most. Raises `StillShort`, and `Refusal` as `admit` does."""
        customer_id = ask.policy.customer_id
        if self._waiting[customer_id] >= MOST_OF_ONE_CUSTOMER or self._waiting.total() >= MOST_IN_PROCESS:
            raise StillShort(short, await self._figures(ask, short))
        self._waiting[customer_id] += 1
        standing: Standing | None = None
        vain = 0
        try:
            with timeout(WAIT_SECONDS):
                while True:
                    standing = await self._look(ask, short)
                    if not standing.would_do(short.needed) or vain == MOST_VAIN_TRIES:
                        break
                    if standing.metered:
                        await self._settle(customer_id)
                    else:
                        vain += 1
                    try:
                        return await admit(ask)
                    except Short as again:
                        short = again
                    await asyncio.sleep(PAUSE_SECONDS)
        except TimeoutError:
            pass
        finally:
            self._waiting[customer_id] -= 1
            if not self._waiting[customer_id]:
                del self._waiting[customer_id]
        raise StillShort(short, standing)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _figures(self, ask: Ask, short: Short) -> Standing | None:
        """One look for all who wait for the same; None where it takes too long."""
        cap = short.cap
        what = (ask.policy.customer_id, short.purse, cap and (cap.whose, cap.meter_id, cap.period, cap.limit))
        task = self._looking.get(what)
        if task is None:
            task = self._looking[what] = asyncio.create_task(self._look_once(ask, short))
            task.add_done_callback(lambda done: self._looked(what, done))
        try:
            with timeout(WAIT_SECONDS):
                return await asyncio.shield(task)
        except TimeoutError:
            return None

    async def _look_once(self, ask: Ask, short: Short) -> Standing:
        return await self._look(ask, short)

    def _looked(self, what: tuple[object, ...], done: asyncio.Task[Standing]) -> None:
        del self._looking[what]
        if not done.cancelled():
            done.exception()  # read once, as those who waited may be gone

    async def _settle(self, customer_id: int) -> None:
        task = self._settling.get(customer_id)
        if task is None:
            task = self._settling[customer_id] = asyncio.create_task(self._settle_once(customer_id))
        await asyncio.shield(task)

    async def _settle_once(self, customer_id: int) -> None:
        try:
            await self._settle_customer(customer_id)
        except OperationalError:
            pass  # somebody keeps the wallet locked; whether the database is away shows the next look
        finally:
            del self._settling[customer_id]


def held_by_requests(short: Short, standing: Standing | None) -> Refusal:
    """The refusal itself, or, where holds of requests are all that is in the way, one that says so and to try again."""
    if standing is None:
        held = "Requests under way hold some of it"
    elif standing.may_do(short.needed):
        noun = "request" if standing.requests == 1 else "requests"
        held = f"${standing.held:f} is held by {standing.requests} {noun} under way"
    else:
        return short
    return Refusal(
        short.status,
        short.code,
        f"{short.finding} {held}; what is not used comes free as they end. Try again then.",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS), "x-should-retry": "true"},
    )

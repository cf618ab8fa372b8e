"""SETTLE: resolve the holds of metered requests and post their charges, in sets; release the holds of dead requests.

Each act is one short transaction in the order of docs/architecture.md, "Locks, in one order": generations, wallets,
meters, holds. Run twice or killed anywhere, it posts once: the hold's compare-and-set is the guard.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now

from accounts.limits import correcting
from accounts.limits.correcting import MeterChange, correct
from billing.books import chart, holds
from billing.books.holds import HoldError, Resolution
from billing.books.kinds import Kind
from billing.books.ledger import LOCK_BALANCES, Account, LedgerError, Posting, house_account, post_all
from billing.books.money import ZERO
from billing.models import LedgerAccount
from billing.warnings import spending
from core import states
from core.arrays import array, columns
from core.clock import database_now
from proxy.models import Generation, Job, Lease, PurchaseBatch
from proxy.settlement.counting import COUNT, COUNTED, day_of
from proxy.settlement.lease import alive

log = logging.getLogger(__name__)

MOST_IN_BATCH = 500
MOST_FAILURES = 5
LONGEST_REQUEST = timedelta(hours=2)
State = Generation.State

DUE = (
    "SELECT id, customer_id, key_id, held, coalesce(cost, 0), settlement_reason,"
    " coalesce(counted_on, (created_at AT TIME ZONE 'UTC')::date), ctid FROM proxy_generation"
)
OLDEST = f"{DUE} WHERE state = 'metered' AND id > %s ORDER BY id LIMIT %s FOR NO KEY UPDATE SKIP LOCKED"
METERED = f"{DUE} WHERE id = ANY(%s) AND state = 'metered' ORDER BY id FOR NO KEY UPDATE SKIP LOCKED"
METERED_OF = (
    f"{DUE} WHERE state = 'metered' AND id IN"
    " (SELECT key FROM billing_hold WHERE customer_id = %s AND state = 'open' AND kind IN ('request', 'job'))"
    " ORDER BY id LIMIT %s FOR NO KEY UPDATE SKIP LOCKED"
)
"""By its open holds, of which a customer has few, however many of others' requests wait."""
HELD = f"{DUE} WHERE id = ANY(%s) AND state = 'held' ORDER BY id FOR NO KEY UPDATE"
QUARANTINED = f"{DUE} WHERE id = ANY(%s) AND state = 'quarantined' ORDER BY id FOR NO KEY UPDATE"
IS_USED = "g.cost > 0 OR g.usage_source <> 'none'"
FINISH = f"""
WITH makers AS MATERIALIZED (SELECT id, created_by_id FROM accounts_apikey WHERE id = ANY(%s::bigint[])), done AS (
 UPDATE proxy_generation g SET settled_at = %s, maker_id = d.maker_id,
  state = CASE WHEN {IS_USED} THEN 'settled' ELSE 'released' END, charged_on = CASE WHEN {IS_USED} THEN d.day END
 FROM (SELECT place, day, m.created_by_id AS maker_id FROM unnest(%s::tid[], %s::bigint[], %s::date[])
  AS u(place, key_id, day) LEFT JOIN makers m ON m.id = key_id) d
 WHERE g.ctid = d.place RETURNING {COUNTED}
), counted AS ({COUNT})
SELECT count(*) FROM done"""
"""By the rows' places, which stay while they are locked: no index is looked through a second time. What is charged is
added to the sums of its day."""

TO_PURCHASE = "INSERT INTO proxy_purchasebatch (generations) VALUES (%s::text[])"
"""What their upstreams take for them is worked out and posted by a task of its own (proxy/purchases)."""


class Due(NamedTuple):
    """A locked generation as settlement needs it. `held` and `cost` in USD, `day` the one its hold counted on, `place`
    where PostgreSQL keeps the row.
    """

    pk: str
    customer_id: int
    key_id: int
    held: Decimal
    cost: Decimal
    reason: str
    day: date
    place: str


class Charged(NamedTuple):
    """A locked wallet's accounts, its bonus in USD before the charges, and its account's zone."""

    bonus: Decimal
    zone: str
    bonus_account: Account
    paid_account: Account


@dataclass(frozen=True, slots=True)
class Split:
    """A charge by balance, USD: bonus is spent first."""

    bonus: Decimal
    paid: Decimal


def split_charges(costs: Sequence[tuple[int, Decimal]], *, bonus: dict[int, Decimal]) -> list[Split]:
    """Split charges in order, each `(customer_id, cost)` taking what is left of its customer's `bonus` first."""
    left = dict(bonus)
    splits = []
    for customer_id, cost in costs:
        from_bonus = min(cost, left[customer_id])
        left[customer_id] -= from_bonus
        splits.append(Split(bonus=from_bonus, paid=cost - from_bonus))
    return splits


def settle(*, now: datetime, most: int = MOST_IN_BATCH) -> int:
    """Settle up to `most` metered generations, oldest first; return how many were dealt with.

    A batch that fails is halved until only the failing generation is left, which counts a failure; at the fifth it is
    quarantined, its hold kept, for staff to look at.
    """
    return len(_settle_after("", now=now, most=most))


def settle_all(*, now: datetime) -> int:
    """Settle until nothing is left that could be, each generation tried once; return how many.

    Each batch starts where the last one ended: the index still has the entries of what was settled, until a vacuum.
    """
    total, last = 0, ""
    while ids := _settle_after(last, now=now, most=MOST_IN_BATCH):
        total += len(ids)
        last = ids[-1]
        now = database_now()
    return total


def settle_customer(*, customer_id: int, now: datetime, wait_ms: int) -> int:
    """Settle a batch of one customer's metered generations that hold something; return how many were dealt with.

    What another settler has locked is left to it, and so is a batch with one that fails: a caller that tries again and
    again must not count its failures. Raises `OperationalError` where the wallet stays locked for `wait_ms`.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{wait_ms}ms"])
        ids, failure = _lock_and_try(METERED_OF, [customer_id, MOST_IN_BATCH], now=now)
    return len(ids) if failure is None else 0


def _lock_and_try(query: str, parameters: list[Any], *, now: datetime) -> tuple[list[str], Exception | None]:
    due = _lock(query, parameters)
    return [generation.pk for generation in due], _try(due, now=now)


def _settle_after(last: str, *, now: datetime, most: int) -> list[str]:
    """Settle a batch of ids beyond `last`; return those that were dealt with, in order."""
    with transaction.atomic():
        ids, failure = _lock_and_try(OLDEST, [last, most], now=now)
    if failure is not None:
        _divide(ids, failure, now=now)
    return ids


def _settle_again(ids: Sequence[str], *, now: datetime) -> None:
    with transaction.atomic():
        failure = _try(_lock(METERED, [list(ids)]), now=now)
    if failure is not None:
        _divide(ids, failure, now=now)


def _divide(ids: Sequence[str], failure: Exception, *, now: datetime) -> None:
    """One of them is bad: each half in a transaction of its own, down to the one."""
    if len(ids) == 1:
        _count_failure(ids[0], failure)
        return
    middle = len(ids) // 2
    _settle_again(ids[:middle], now=now)
    _settle_again(ids[middle:], now=now)


def _lock(query: str, parameters: list[Any]) -> list[Due]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return [Due(*row) for row in cursor.fetchall()]


def _try(due: Sequence[Due], *, now: datetime) -> Exception | None:
    """Settle locked generations; return what was wrong, nothing being written then."""
    if not due:
        return None
    try:
        with transaction.atomic():
            _settle(due, now=now)
    except OperationalError:
        raise
    except (DatabaseError, ArithmeticError, LookupError, ValueError, LedgerError, HoldError) as error:
        return error
    return None


def _count_failure(generation_id: str, error: Exception) -> None:
    log.error("generation %s could not be settled: %s", generation_id, error)
    metered = Generation.objects.filter(pk=generation_id, state=State.METERED)
    metered.update(failures=F("failures") + 1)
    states.move_all(metered.filter(failures__gte=MOST_FAILURES), to=State.QUARANTINED, is_flagged=True)


def _settle(due: Sequence[Due], *, now: datetime) -> None:
    wallets = _wallets({generation.customer_id for generation in due})
    splits = split_charges(
        [(generation.customer_id, generation.cost) for generation in due],
        bonus={customer_id: wallet.bonus for customer_id, wallet in wallets.items()},
    )
    charged = _correct_meters(due)
    # A request that cost nothing gives its hold back.
    resolutions = [
        Resolution(key=generation.pk, captured=generation.cost or None, reason=generation.reason)
        for generation in due
        if generation.held
    ]
    resolved = holds.resolve(resolutions, now=now, are_locked=True)
    if len(resolved) != len(resolutions):
        missing = sorted({resolution.key for resolution in resolutions} - resolved)
        raise LookupError(f"no open hold for {missing[0]}")
    post_all(_postings(due, splits, wallets), now=now, are_locked=True)
    with connection.cursor() as cursor:
        days = {customer_id: day_of(now, zone=wallet.zone) for customer_id, wallet in wallets.items()}
        rows = [(generation.place, generation.key_id, days[generation.customer_id]) for generation in due]
        cursor.execute(FINISH, [array({generation.key_id for generation in due}), now, *columns(rows)])
        if cursor.fetchone() != (len(due),):
            raise LookupError("a locked generation is not where it was")
        cursor.execute(TO_PURCHASE, [array([generation.pk for generation in due])])
    spending.tell(charged, now=now)


def _wallets(customer_ids: set[int]) -> dict[int, Charged]:
    with connection.cursor() as cursor:
        cursor.execute(LOCK_BALANCES, [array(customer_ids)])
        rows = cursor.fetchall()
    return {
        customer_id: Charged(
            bonus,
            zone,
            Account(bonus_account, LedgerAccount.Kind.BONUS.value, customer_id),
            Account(paid_account, LedgerAccount.Kind.PAID.value, customer_id),
        )
        for customer_id, bonus, bonus_account, paid_account, zone in rows
    }


def _postings(due: Sequence[Due], splits: Sequence[Split], wallets: dict[int, Charged]) -> list[Posting]:
    usage, bonus = house_account(chart.USAGE), house_account(chart.BONUS_USED)
    postings = []
    for generation, split in zip(due, splits, strict=True):
        wallet = wallets[generation.customer_id]
        if split.bonus:
            key = f"{generation.pk}:bonus"
            postings.append(Posting(key, Kind.USAGE_BONUS, wallet.bonus_account, bonus, split.bonus))
        if split.paid:
            postings.append(Posting(f"{generation.pk}:paid", Kind.USAGE, wallet.paid_account, usage, split.paid))
    return postings


def _correct_meters(due: Iterable[Due]) -> list[correcting.Charged]:
    """What was counted as spent was the hold; make it the cost, on the day it was counted on."""
    return correct(MeterChange(used.key_id, used.day, used.cost - used.held, used.cost) for used in due)


def release(generation_ids: Sequence[str], *, reason: str, now: datetime, flag: bool = False) -> list[str]:
    """Give back the holds of requests that used nothing; return the ids this call released.

    One compare-and-set with METER: a generation that is no longer `held` is left alone.
    """
    with transaction.atomic():
        ids = _give_back(_lock(HELD, [list(generation_ids)]), reason=reason, now=now)
        released = Generation.objects.filter(pk__in=ids)
        released.update(settlement_reason=reason, upstream_cost=ZERO)
        if flag:
            released.update(is_flagged=True)
    return ids


def release_quarantined(generation_id: str, *, now: datetime) -> bool:
    """Give back the hold of a request that could not be settled, uncharged and flagged; False where it is none.

    What it used stays on its row, and so does what its upstream takes for it: the house's loss.
    """
    with transaction.atomic():
        ids = _give_back(_lock(QUARANTINED, [[generation_id]]), reason="quarantined", now=now)
        Generation.objects.filter(pk__in=ids).update(is_flagged=True)
        if ids:
            PurchaseBatch.objects.create(generations=ids)
    return bool(ids)


def _give_back(locked: Sequence[Due], *, reason: str, now: datetime) -> list[str]:
    """Release the holds of locked generations, which cost nothing; return their ids."""
    due = [generation._replace(cost=ZERO) for generation in locked]
    if not due:
        return []
    _wallets({generation.customer_id for generation in due})
    _correct_meters(due)
    holds.resolve([Resolution(key=g.pk, captured=None, reason=reason) for g in due if g.held], now=now)
    ids = [generation.pk for generation in due]
    states.move_all(Generation.objects.filter(pk__in=ids), to=State.RELEASED, cost=ZERO, settled_at=now)
    return ids


def sweep(*, now: datetime, most: int = 500) -> int:
    """Release the requests of processes that are gone, one a transaction; return how many. They cost nothing.

    A process is gone when its lease was not renewed for 60 s, or was given back; no request outlives two hours. Both go
    by PostgreSQL's clock; `now` is only written down.
    """
    # One query: whatever it sees in flight, it sees the lease of, which was there before.
    is_alive = Exists(Lease.objects.filter(alive(), pk=OuterRef("lease_id")))
    is_job = Job.objects.filter(pk=OuterRef("pk"), ended_at=None)  # which no gateway has to live for
    orphans = (
        Generation.objects.filter(state=State.HELD)
        .filter(~is_alive | Q(created_at__lt=Now() - LONGEST_REQUEST), ~Exists(is_job))
        .order_by("id")
        .values_list("pk", "lease_id")[:most]
    )
    swept = 0
    found = list(orphans)
    dead = Lease.objects.filter(~alive(), pk__in={lease_id for _, lease_id in found})
    dead.filter(swept_at=None).update(swept_at=Now())
    for generation_id, _lease_id in found:
        swept += len(release([generation_id], reason=Generation.Reason.ABANDONED, now=now, flag=True))
    if swept:
        log.warning("released %s requests that their gateway left behind", swept)
    Lease.objects.filter(renewed_at__lt=Now() - LONGEST_REQUEST).delete()
    return swept

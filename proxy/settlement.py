"""SETTLE: resolve the holds of metered requests and post their charges, in sets; release the holds of dead requests.

Each act is one short transaction in the house's lock order: generations, wallets, meters, holds. Run twice or killed
anywhere, it posts once: the hold's compare-and-set is the guard.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models import F, Q

from accounts import limits
from billing import holds
from billing.holds import HoldError, Resolution
from billing.ledger import LedgerError, Posting, house_account, lock_wallets, post
from billing.models import Wallet
from billing.money import ZERO
from proxy.lease import SWEPT_AFTER
from proxy.models import Generation, Lease

log = logging.getLogger(__name__)

MOST_IN_BATCH = 500
MOST_FAILURES = 5
LONGEST_REQUEST = timedelta(hours=2)
State = Generation.State


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


def settle(*, now: datetime, limit: int = MOST_IN_BATCH) -> int:
    """Settle up to `limit` metered generations, oldest first; return how many were dealt with.

    A batch that fails is halved until only the failing generation is left, which counts a failure; at the fifth it is
    quarantined, its hold kept, for staff to look at.
    """
    with transaction.atomic():
        due = list(
            Generation.objects.select_for_update(skip_locked=True, no_key=True)
            .filter(state=State.METERED)
            .order_by("id")[:limit]
        )
        if not due:
            return 0
        try:
            with transaction.atomic():
                _settle(due, now=now)
            return len(due)
        except OperationalError:
            raise
        except (DatabaseError, ArithmeticError, LookupError, ValueError, LedgerError, HoldError) as error:
            failure = error
    if len(due) == 1:
        _count_failure(due[0].pk, failure)
        return 1
    # One of them is bad: settle them one by one, in transactions of their own.
    return sum(_settle_one(generation.pk, now=now) for generation in due)


def settle_all(*, now: datetime) -> int:
    """Settle until nothing is left that could be; return how many."""
    total = 0
    while done := settle(now=now):
        total += done
        now = datetime.now(UTC)
    return total


def _settle_one(generation_id: str, *, now: datetime) -> int:
    try:
        with transaction.atomic():
            generation = (
                Generation.objects.select_for_update(skip_locked=True, no_key=True)
                .filter(pk=generation_id, state=State.METERED)
                .first()
            )
            if generation is None:
                return 0
            _settle([generation], now=now)
    except OperationalError:
        raise
    except Exception as error:
        _count_failure(generation_id, error)
    return 1


def _count_failure(generation_id: str, error: Exception) -> None:
    log.error("generation %s could not be settled: %s", generation_id, error)
    metered = Generation.objects.filter(pk=generation_id, state=State.METERED)
    metered.update(failures=F("failures") + 1)
    metered.filter(failures__gte=MOST_FAILURES).update(state=State.QUARANTINED, is_flagged=True)


def _settle(due: Sequence[Generation], *, now: datetime) -> None:
    wallets = lock_wallets(generation.customer_id for generation in due)
    costs = [generation.cost or ZERO for generation in due]
    splits = split_charges(
        [(generation.customer_id, cost) for generation, cost in zip(due, costs, strict=True)],
        bonus={customer_id: wallet.bonus for customer_id, wallet in wallets.items()},
    )
    _correct_meters(due, costs)
    held = [generation for generation in due if generation.held]
    resolved = holds.resolve(
        [_resolution(generation) for generation in held],
        now=now,
    )
    if len(resolved) != len(held):
        missing = sorted({generation.pk for generation in held} - resolved)
        raise LookupError(f"no open hold for {missing[0]}")
    post(_postings(due, splits, wallets), now=now)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE proxy_generation SET settled_at = %s,"
            " state = CASE WHEN cost > 0 OR usage_source <> 'none' THEN 'settled' ELSE 'released' END"
            " WHERE id = ANY(%s)",
            [now, [generation.pk for generation in due]],
        )


def _resolution(generation: Generation) -> Resolution:
    charged = generation.cost or None  # a request that cost nothing gives its hold back
    return Resolution(key=generation.pk, captured=charged, reason=generation.settlement_reason)


def _postings(due: Sequence[Generation], splits: Sequence[Split], wallets: dict[int, Wallet]) -> list[Posting]:
    usage, bonus = house_account("revenue:usage"), house_account("revenue:bonus")
    postings = []
    for generation, split in zip(due, splits, strict=True):
        wallet = wallets[generation.customer_id]
        if split.bonus:
            key = f"{generation.pk}:bonus"
            postings.append(Posting(key, "usage_bonus", wallet.bonus_account, bonus, split.bonus))
        if split.paid:
            postings.append(Posting(f"{generation.pk}:paid", "usage", wallet.paid_account, usage, split.paid))
    return postings


def _correct_meters(due: Iterable[Generation], costs: Iterable[Decimal]) -> None:
    """What was counted as spent was the hold; make it the cost, on the day it was counted on."""
    changes: dict[tuple[date, int], Decimal] = defaultdict(lambda: ZERO)
    for generation, cost in zip(due, costs, strict=True):
        changes[generation.created_at.astimezone(UTC).date(), generation.key_id] += cost - generation.held
    by_day: dict[date, dict[int, Decimal]] = defaultdict(dict)
    for (day, key_id), change in changes.items():
        by_day[day][key_id] = change
    with connection.cursor() as cursor:
        # Keys in order within a statement is the planner's choice; their wallets are locked, so nobody competes.
        for day, keys in by_day.items():
            cursor.execute(limits.CORRECT_KEY_METERS, [list(keys), [day] * len(keys), list(keys.values())])


def release(generation_ids: Sequence[str], *, reason: str, now: datetime, flag: bool = False) -> list[str]:
    """Give back the holds of requests that used nothing; return the ids this call released.

    One compare-and-set with METER: a generation that is no longer `held` is left alone.
    """
    with transaction.atomic():
        due = list(
            Generation.objects.select_for_update(no_key=True)
            .filter(pk__in=generation_ids, state=State.HELD)
            .order_by("id")
        )
        if not due:
            return []
        lock_wallets(generation.customer_id for generation in due)
        _correct_meters(due, [ZERO] * len(due))
        holds.resolve(
            [Resolution(key=g.pk, captured=None, reason=reason) for g in due if g.held],
            now=now,
        )
        ids = [generation.pk for generation in due]
        Generation.objects.filter(pk__in=ids).update(
            state=State.RELEASED, settlement_reason=reason, cost=ZERO, upstream_cost=ZERO, settled_at=now
        )
        if flag:
            Generation.objects.filter(pk__in=ids).update(is_flagged=True)
    return ids


def sweep(*, now: datetime, limit: int = 500) -> int:
    """Release the requests of processes that are gone, one a transaction; return how many. They cost nothing.

    A process is gone when its lease was not renewed for 60 s, or was given back; no request outlives two hours.
    """
    alive = Lease.objects.filter(renewed_at__gt=now - SWEPT_AFTER).values_list("pk", flat=True)
    orphans = (
        Generation.objects.filter(state=State.HELD)
        .filter(~Q(lease_id__in=list(alive)) | Q(created_at__lt=now - LONGEST_REQUEST))
        .order_by("id")
        .values_list("pk", flat=True)[:limit]
    )
    swept = 0
    for generation_id in list(orphans):
        swept += len(release([generation_id], reason=Generation.Reason.ABANDONED, now=now, flag=True))
    if swept:
        log.warning("released %s requests that their gateway left behind", swept)
    Lease.objects.filter(renewed_at__lt=now - LONGEST_REQUEST).delete()
    return swept

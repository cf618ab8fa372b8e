"""Wallets whose level somebody watches: as one falls below its line a fact is written, in the transaction of the move.

The level is what may be spent in the long run: paid and bonus, less what refunds and disputes hold. What requests hold
comes back, or is charged and moves the wallet then.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from django.db.models import F, Sum

from billing.books.money import ZERO
from billing.models import Hold, Wallet
from billing.outbox import events
from billing.outbox.kinds import Fact
from billing.warnings import low

KEPT_BACK = (Hold.Kind.REFUND, Hold.Kind.DISPUTE)


def kept_back(customer_id: int) -> Decimal:
    """What refunds and disputes hold of a wallet, USD."""
    held = Hold.objects.filter(customer_id=customer_id, state=Hold.State.OPEN, kind__in=KEPT_BACK)
    return held.aggregate(sum=Sum(F("amount") - F("captured")))["sum"] or ZERO


def level_of(wallet: Wallet) -> Decimal:
    """USD; may be below zero."""
    return wallet.paid + wallet.bonus - kept_back(wallet.pk)


def judge(moves: Mapping[int, Decimal], *, now: datetime) -> dict[int, datetime | None]:
    """Write what there is to tell of wallets that have moved, by customer so many USD, and return what changed of who
    is low since when. They are locked.
    """
    held = Hold.objects.filter(customer_id__in=moves, state=Hold.State.OPEN, kind__in=KEPT_BACK)
    kept = dict(held.values_list("customer_id").annotate(sum=Sum(F("amount") - F("captured"))).order_by())
    lows = {}
    for wallet in Wallet.objects.filter(pk__in=moves).order_by("pk"):
        after = wallet.paid + wallet.bonus - kept.get(wallet.pk, ZERO)
        before = after - moves[wallet.pk]
        if wallet.watched_below is not None and after < wallet.watched_below <= before:
            _tell_crossed(wallet.pk, line=wallet.watched_below, level=after, now=now)
        if wallet.low_below is not None:
            lows[wallet.pk] = low.Level(wallet.low_below, wallet.low_since, before, after)
    return low.judge(lows, now=now)


def _tell_crossed(customer_id: int, *, line: Decimal, level: Decimal, now: datetime) -> None:
    events.record(
        Fact.BALANCE_CROSSED,
        key=f"balance:{customer_id}:crossed",
        subject=f"balance:{customer_id}",
        data={"line": str(line), "level": str(level)},
        now=now,
        customer_id=customer_id,
        may_come_again=True,
    )

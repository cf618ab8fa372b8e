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

KEPT_BACK = (Hold.Kind.REFUND, Hold.Kind.DISPUTE)


def kept_back(customer_id: int) -> Decimal:
    """What refunds and disputes hold of a wallet, USD."""
    held = Hold.objects.filter(customer_id=customer_id, state=Hold.State.OPEN, kind__in=KEPT_BACK)
    return held.aggregate(sum=Sum(F("amount") - F("captured")))["sum"] or ZERO


def level_of(wallet: Wallet) -> Decimal:
    """USD; may be below zero."""
    return wallet.paid + wallet.bonus - kept_back(wallet.pk)


def tell(moves: Mapping[int, tuple[Decimal, Decimal, Decimal]], *, now: datetime) -> None:
    """Write a fact for each wallet that fell below its line: by customer, the line, the balance after, the change.

    The caller holds the wallets' locks.
    """
    for customer_id, (line, balance, change) in moves.items():
        level = balance - kept_back(customer_id)
        if level < line <= level - change:
            events.record(
                Fact.BALANCE_CROSSED,
                key=f"balance:{customer_id}:crossed",
                subject=f"balance:{customer_id}",
                data={"line": str(line), "level": str(level)},
                now=now,
                customer_id=customer_id,
                may_come_again=True,
            )

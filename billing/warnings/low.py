"""Low balance: a wallet that falls below the line that its owners named is told of once, until it was up again.

The level is what may be spent in the long run (`billing/levels.py`). What requests hold does not count.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from accounts.models import Customer
from accounts.people.customers import language_of
from billing.books.money import api_amount
from billing.models import Wallet
from billing.outbox.kinds import Fact
from billing.warnings import notices
from core.records import value

UP_AGAIN = Decimal("1.1")
"""Of the line: so far above it the next fall is told again, so that a balance at the line is not told of for each
request."""


@value
class Level:
    """A locked wallet's, USD: the line, when it was told of, the level before and after a move."""

    line: Decimal
    since: datetime | None
    before: Decimal
    after: Decimal


def judge(levels: Mapping[int, Level], *, now: datetime) -> dict[int, datetime | None]:
    """By customer; return since when those are low, None for no longer, of whom that has changed. The caller holds the
    wallets' locks, and writes it down (`ledger.mark_low`).
    """
    changed: dict[int, datetime | None] = {}
    for customer_id, level in levels.items():
        is_up = max(level.before, level.after) > UP_AGAIN * level.line
        was_told = level.since is not None and not is_up
        if level.since is not None and is_up:
            notices.end(customer_id=customer_id, about=subject_of(customer_id), now=now)
            changed[customer_id] = None
        if level.after < level.line and not was_told:
            _tell(customer_id, level, now=now)
            changed[customer_id] = now
    return changed


def _tell(customer_id: int, level: Level, *, now: datetime) -> None:
    locale = language_of(Customer(pk=customer_id))
    notices.tell(
        Fact.BALANCE_LOW,
        key=f"balance:{customer_id}:low",
        subject=subject_of(customer_id),
        data={"line": api_amount(level.line), "level": api_amount(level.after), "locale": locale},
        now=now,
        customer_id=customer_id,
        about=Wallet.objects.get(pk=customer_id),
        ends_at=None,
        may_come_again=True,
    )


def subject_of(customer_id: int) -> str:
    return f"low balance {customer_id}"

"""Bonus: money the house gives. It is spent first and never refunded."""

from datetime import datetime
from decimal import Decimal

from accounts.models import Customer
from billing.books import chart
from billing.books.kinds import Kind
from billing.books.ledger import Posting, house_account, open_wallet, post
from billing.books.money import usd
from billing.models import Transfer


def grant_bonus(
    *, customer: Customer, amount: Decimal, key: str, reason: str, now: datetime, actor_id: int | None = None
) -> Transfer:
    """Give `amount` USD of bonus once per `key`; raises `TransferConflict` if the key granted something else."""
    wallet = open_wallet(customer=customer)
    posting = Posting(
        key=key,
        kind=Kind.GRANT,
        debit=house_account(chart.BONUS_GIVEN),
        credit=wallet.bonus_account,
        amount=usd(amount),
        memo=reason[:300],
    )
    return post([posting], now=now, group=key, actor_id=actor_id)[key]

from decimal import Decimal

from django.db import connection, transaction

from billing.books import holds
from billing.books.holds import Resolution
from billing.books.ledger import Posting, house_account, lock_wallets, post
from billing.models import Budget, Hold, Wallet
from core.arrays import columns
from tests.conftest import NOW


def hold_inside(budget: Budget, key: str, amount: str) -> None:
    """As admission does."""
    row = (key, budget.customer_id, Decimal(amount), Decimal(amount), NOW, budget.hold_key)
    with transaction.atomic(), connection.cursor() as cursor:
        lock_wallets([budget.customer_id])
        cursor.execute(holds.PLACE_HOLDS_INSIDE, columns([row]))
        cursor.execute(holds.TAKE_FROM_PURSES, columns([(budget.hold_key, Decimal(amount))]))


def settle_inside(budget: Budget, key: str, cost: str) -> None:
    """As settlement does; of the paid balance."""
    with transaction.atomic():
        wallet = lock_wallets([budget.customer_id])[budget.customer_id]
        assert holds.resolve([Resolution(key, Decimal(cost) or None, "completed")], now=NOW)
        if Decimal(cost):
            usage = house_account("revenue:usage")
            post([Posting(f"{key}:paid", "usage", wallet.paid_account, usage, Decimal(cost))], now=NOW)


def standing(budget: Budget) -> tuple[str, str, str]:
    """What is taken out of the budget's hold, what the wallet holds, and what is available there."""
    wallet = Wallet.objects.get(pk=budget.customer_id)
    taken = Hold.objects.get(pk=budget.hold_key).captured
    return f"{taken:.2f}", f"{wallet.held:.2f}", f"{wallet.available:.2f}"

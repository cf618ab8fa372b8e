from datetime import timedelta
from decimal import Decimal

import pytest

from billing.audit.run import audit, register
from billing.bonus.audit import check_grants
from billing.books.grants import grant_bonus
from billing.books.ledger import Posting, house_account, post
from billing.models import BonusGrant, Transfer, Wallet
from tests.conftest import NOW

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _audited(_billing_alone):
    register("bonus", check_grants)


@pytest.fixture
def bare(make_customer) -> Wallet:
    """A wallet with nothing in it."""
    return Wallet.objects.get(customer=make_customer())


def given(wallet: Wallet, amount: str, *, days: int | None, at=NOW, key: str = "") -> BonusGrant:
    """Bonus that ends so many days after `at`, or never."""
    ends_at = None if days is None else at + days * DAY
    key = key or f"grant:{Transfer.objects.count()}"
    made = grant_bonus(
        customer=wallet.customer, amount=Decimal(amount), key=key, reason="test", now=at, ends_at=ends_at
    )
    return BonusGrant.objects.get(transfer=made)


def spend(wallet: Wallet, amount: str, *, request: str = "") -> None:
    """Of the bonus, as settlement does."""
    key = f"{request or f'gen-{Transfer.objects.count()}'}:bonus"
    revenue = house_account("revenue:bonus")
    post([Posting(key, "usage_bonus", wallet.bonus_account, revenue, Decimal(amount))], now=NOW)


def bonus(wallet: Wallet) -> str:
    assert audit().drifts == []
    wallet.refresh_from_db()
    return f"{wallet.bonus:.2f}"

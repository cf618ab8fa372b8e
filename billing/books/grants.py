"""Bonus: money the house gives. It is spent first and never refunded, and it may end (docs/ledger.md)."""

from datetime import datetime
from decimal import Decimal

from django.db import transaction

from accounts.models import Customer
from billing.books import chart
from billing.books.kinds import Kind
from billing.books.ledger import Posting, TransferConflict, house_account, lock_wallets, open_wallet, post
from billing.books.money import usd
from billing.models import BonusGrant, Transfer


def grant_bonus(
    *,
    customer: Customer,
    amount: Decimal,
    key: str,
    reason: str,
    now: datetime,
    ends_at: datetime | None = None,
    actor_id: int | None = None,
) -> Transfer:
    """Give `amount` USD of bonus once per `key`; what is left of it at `ends_at` is taken back then.

    Raises `TransferConflict` if the key granted something else, or until another day.
    """
    if ends_at is not None and ends_at <= now:
        raise ValueError("a grant ends after it is given")
    with transaction.atomic():
        wallet = open_wallet(customer=customer)
        lock_wallets([customer.pk])
        was_there = Transfer.objects.filter(key=key).exists()
        posting = Posting(
            key=key,
            kind=Kind.GRANT,
            debit=house_account(chart.BONUS_GIVEN),
            credit=wallet.bonus_account,
            amount=usd(amount),
            memo=reason[:300],
        )
        transfer = post([posting], now=now, group=key, actor_id=actor_id)[key]
        if was_there:
            first = BonusGrant.objects.filter(transfer=transfer).first()
            if (first and first.ends_at) != ends_at:
                raise TransferConflict(f"{key} granted until another day")
            return transfer
        BonusGrant.objects.create(
            transfer=transfer,
            customer=customer,
            amount=transfer.amount,
            created_at=now,
            ends_at=ends_at,
            due_at=ends_at,
        )
    return transfer

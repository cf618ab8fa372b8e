"""Debts too small to pursue: wallets a little below zero that nothing has moved for a month."""

from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import OuterRef, Q, QuerySet, Subquery

from billing.models import Transfer, Wallet

MOST = Decimal("1.00")
"""USD; the most that usage can leave by default (OVERRUN_LIMIT)."""
AGE = timedelta(days=30)


def small_debts(*, now: datetime) -> QuerySet[Wallet]:
    """Wallets that finance may write off."""
    last_out, last_in = (
        Subquery(Transfer.objects.filter(**{side: OuterRef("paid_account")}).order_by("-id").values("created_at")[:1])
        for side in ("debit", "credit")
    )
    found = Wallet.objects.filter(paid__lt=0, paid__gte=-MOST).annotate(last_out=last_out, last_in=last_in)
    return found.filter(Q(last_in=None) | Q(last_in__lte=now - AGE), last_out__lte=now - AGE)

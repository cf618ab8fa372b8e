"""Bonus whose time is up is taken back, and announced a week before. docs/ledger.md, "Bonus that ends"."""

import logging
from datetime import datetime, timedelta

from django.db import transaction

from accounts.people.customers import language_of
from billing.bonus.remaining import endings
from billing.books import chart
from billing.books.kinds import Kind
from billing.books.ledger import Posting, house_account, lock_wallets, post
from billing.books.money import ZERO
from billing.models import BonusGrant
from billing.outbox import events
from billing.outbox.kinds import Fact
from core.amounts import written

log = logging.getLogger(__name__)

NOTICE = timedelta(days=7)
LOOK_AGAIN = timedelta(minutes=1)


def end(*, grant_id: int, now: datetime) -> bool:
    """Take what is left of a grant whose time is up, as far as it is not held; whether it is over then.

    What is held waits until requests have said what they cost; it is looked at again after `LOOK_AGAIN`.
    """
    with transaction.atomic():
        rows = BonusGrant.objects.select_for_update(no_key=True, skip_locked=True).select_related(None)
        grant = rows.filter(pk=grant_id, due_at__isnull=False, ends_at__lte=now).first()
        if grant is None:
            return False
        wallet = lock_wallets([grant.customer_id])[grant.customer_id]
        left = next(one.left for one in endings(grant.customer_id) if one.grant.pk == grant.pk)
        taken = min(left, wallet.bonus, max(wallet.available, ZERO))
        if taken > 0:
            grant.takes += 1
            grant.expired += taken
            key = f"{grant}:expired" if grant.takes == 1 else f"{grant}:expired:{grant.takes}"
            house = house_account(chart.BONUS_GIVEN)
            posting = Posting(key, Kind.BONUS_EXPIRED, wallet.bonus_account, house, taken)
            post([posting], now=now, group=f"{grant}:expired")
        grant.due_at = None if taken == left else now + LOOK_AGAIN
        grant.save(update_fields=["takes", "expired", "due_at"])
        return grant.due_at is None


def tell(*, grant_id: int, now: datetime) -> bool:
    """Write the fact that a grant ends within `NOTICE`, once, where something of it is left; whether it was written."""
    with transaction.atomic():
        rows = BonusGrant.objects.select_for_update(no_key=True, skip_locked=True).select_related("customer")
        grant = rows.filter(pk=grant_id, told_at=None, due_at__isnull=False, ends_at__gt=now).first()
        if grant is None or grant.ends_at is None:
            return False
        BonusGrant.objects.filter(pk=grant_id).update(told_at=now)
        left = next(one.left for one in endings(grant.customer_id) if one.grant.pk == grant_id)
        if left <= 0 or grant.ends_at - grant.created_at <= NOTICE:
            return False
        return events.record(
            Fact.BONUS_ENDS,
            key=f"{grant}:ends",
            subject=str(grant),
            data={
                "left": written(left, places=4),
                "at": f"{grant.ends_at:%Y-%m-%d %H:%M} UTC",
                "locale": language_of(grant.customer),
            },
            now=now,
            customer_id=grant.customer_id,
        )


def end_due(*, now: datetime, most: int = 500) -> int:
    """Announce what ends within a week, and end what is due by PostgreSQL's clock; return how many are over. Each in a
    transaction of its own; one that fails keeps no other.
    """
    waiting = BonusGrant.objects.filter(due_at__isnull=False)
    untold = waiting.filter(told_at=None, ends_at__gt=now, ends_at__lte=now + NOTICE).order_by("ends_at")
    for pk in list(untold.values_list("pk", flat=True)[:most]):
        try:
            tell(grant_id=pk, now=now)
        except Exception:
            log.exception("the end of bonus %s could not be announced", pk)
    ended = 0
    for pk in list(waiting.filter(due_at__lte=now).order_by("due_at").values_list("pk", flat=True)[:most]):
        try:
            ended += end(grant_id=pk, now=now)
        except Exception:
            log.exception("bonus %s could not be ended", pk)
    return ended

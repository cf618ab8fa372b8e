"""Giving an unpaid order up: it is closed at its provider, and credited should it be paid all the same."""

import logging
from datetime import datetime, timedelta

from django.db.models import Value
from django.db.models.functions import Least

from payments.models import TopUp
from payments.providers import registry
from payments.providers.base import ProviderError
from payments.topups.orders import Result, TopUpNotMovable, end, settle_topup

log = logging.getLogger(__name__)

AGAIN = timedelta(seconds=3)
"""When the poller looks after one whose provider did not answer."""


def give_up(topup: TopUp, *, now: datetime) -> Result:
    """Close at the provider, then look once more: it may have been paid in between."""
    try:
        registry.get(topup.method).close(number=topup.number, reference=topup.reference)
    except ProviderError as error:
        log.warning("top-up %s cannot be closed: %s", topup.number, error)
        return Result.UNKNOWN
    result = settle_topup(topup_id=topup.pk, now=now)
    if result is not Result.PENDING:
        return result
    end(topup, to=TopUp.State.EXPIRED, now=now)
    return Result.CLOSED


def cancel(*, topup_id: int, now: datetime) -> Result:
    """The customer gives an order up: its time is over now, and it is closed at its provider.

    UNKNOWN: the provider gave no answer, and the poller goes on closing it. CREDITED, REPEATED: it was paid before it
    was closed. One whose time is over already, as after a second click or no answer, is closed the same way. Raises
    `TopUpNotMovable` for one that is not open, or was made by automatic top-up.
    """
    topup = TopUp.objects.get(pk=topup_id)
    mine = TopUp.objects.open().filter(pk=topup_id, automatic__isnull=True)
    # The expiry is kept to the second, and after the order was made.
    over = max(now.replace(microsecond=0), topup.created_at)
    if not mine.update(expires_at=Least("expires_at", Value(over)), next_poll_at=now + AGAIN):
        raise TopUpNotMovable(f"{topup.number} is not open")
    topup.refresh_from_db()
    return give_up(topup, now=now)

"""Looking after orders by asking: nobody waits for a notification that was lost.

The list of what is due stands in PostgreSQL. An order is asked about every few seconds while a page watches it, every
20 seconds while it is young, then slower; after it was given up, a few times more, as it may have been paid then.
"""

import logging
from datetime import datetime, timedelta

from django.db import transaction

from payments.automatic import attempts
from payments.inbox.retrying import retry_delay
from payments.models import TopUp
from payments.topups import closing
from payments.topups.orders import Result, TopUpError, end, settle_topup, start_checkout

log = logging.getLogger(__name__)

WATCHED = timedelta(seconds=15)
"""How long after a page last asked an order counts as watched."""
WHILE_WATCHED, WHILE_YOUNG, LATER, WITH_A_PROBLEM = (
    timedelta(seconds=3),
    timedelta(seconds=20),
    timedelta(minutes=2),
    timedelta(hours=1),
)
YOUNG = timedelta(minutes=10)
GRACE = timedelta(seconds=30)
"""After its time an order is closed at the provider only so much later: a payer may be typing the password."""
AFTERWARDS = (timedelta(minutes=5), timedelta(hours=1), timedelta(hours=24), timedelta(days=3))
"""When after its expiry an order that was given up is asked about again."""


def watch(*, topup: TopUp, now: datetime) -> None:
    """A page is looking: ask the provider often while it does."""
    TopUp.objects.open().filter(pk=topup.pk).update(watched_until=now + WATCHED)
    TopUp.objects.open().filter(pk=topup.pk, problem="", next_poll_at__gt=now + WHILE_WATCHED).update(
        next_poll_at=now + WHILE_WATCHED
    )


def poll(*, topup_id: int, now: datetime) -> Result:
    """Look after one order: settle it and what follows, start its checkout if that failed, close it when it is over."""
    topup = TopUp.objects.get(pk=topup_id)
    if topup.automatic_id is not None:
        return attempts.carry_on(topup_id=topup_id, now=now)
    is_open = topup.state == TopUp.State.OPEN
    if is_open and not topup.has_checkout and topup.expires_at > now:
        try:
            start_checkout(topup=topup, now=now)
        except TopUpError:
            return Result.CLOSED
    result = settle_topup(topup_id=topup_id, now=now)
    if is_open and result is Result.PENDING and topup.expires_at + GRACE <= now:
        return closing.give_up(topup, now=now)
    return result


def claim_due(*, now: datetime, most: int = 200) -> list[int]:
    """Orders whose turn it is, their next turn set, so that two pollers take different ones."""
    with transaction.atomic():
        due = list(TopUp.objects.due(now=now).select_for_update(skip_locked=True, no_key=True)[:most])
        for topup in due:
            TopUp.objects.filter(pk=topup.pk).update(next_poll_at=next_turn(topup, now=now), polls=topup.polls + 1)
    return [topup.pk for topup in due]


def next_turn(topup: TopUp, *, now: datetime) -> datetime | None:
    """When to ask about it next; None for never again."""
    if topup.failures or topup.is_late:
        return now + retry_delay(attempts=topup.failures)
    if topup.state == TopUp.State.PAID:
        return None
    if topup.state != TopUp.State.OPEN:
        return next((at for after in AFTERWARDS if (at := topup.expires_at + after) > now), None)
    if topup.problem:
        return now + WITH_A_PROBLEM
    if topup.watched_until is not None and topup.watched_until > now:
        return now + WHILE_WATCHED
    is_young = now - topup.created_at < YOUNG
    return now + (WHILE_YOUNG if is_young or topup.expires_at <= now else LATER)


def put_aside(*, topup_id: int, now: datetime) -> bool:
    """Staff have looked at what does not fit: an open order is given up. False if there is nothing to put aside."""
    with transaction.atomic():
        topup = TopUp.objects.select_for_update(no_key=True).get(pk=topup_id)
        if not topup.problem:
            return False
        if topup.state == TopUp.State.OPEN:
            end(topup, to=TopUp.State.FAILED, now=now, next_poll_at=None)
        TopUp.objects.filter(pk=topup_id).update(problem="")
    return True

"""An approved re-rating: whoever it takes something from is told, and 7 days pass before it posts."""

from datetime import datetime, timedelta

from django.db import transaction

from accounts.people.customers import language_of
from billing.outbox.events import record
from billing.outbox.kinds import Fact
from core import states
from proxy.models import Rerate, RerateShare
from proxy.rerating.rows import locked, save

NOTICE = timedelta(days=7)
MOST = 100
"""Customers told in one transaction."""


def announce(rerate_id: int, *, now: datetime) -> bool:
    """Tell the next customers, or begin to post once it is time; False where there is nothing to do yet."""
    with transaction.atomic():
        rerate = locked(rerate_id, Rerate.State.APPROVED)
        if rerate is None:
            return False
        if rerate.posts_from is None:
            _tell(rerate, now=now)
            return True
        if rerate.posts_from > now:
            return False
        states.move_all(
            Rerate.objects.filter(pk=rerate.pk), to=Rerate.State.POSTING, cursor=rerate.first_id, problem=""
        )
    return True


def _tell(rerate: Rerate, *, now: datetime) -> None:
    losing = RerateShare.objects.filter(rerate=rerate, up__gt=0)
    shares = list(losing.filter(announced_at=None).select_related("customer").order_by("customer_id")[:MOST])
    for share in shares:
        record(
            Fact.RERATE_ANNOUNCED,
            key=f"{rerate.key}:{share.customer_id}:announced",
            subject=rerate.key,
            data={
                "locale": language_of(share.customer),
                "model": rerate.model.slug,
                "first": str(rerate.first_day),
                "last": str(rerate.last_day),
                "amount": f"{share.up:f}",
                "back": f"{share.back:f}",
                "from": str((now + NOTICE).date()),
            },
            now=now,
            customer_id=share.customer_id,
        )
    RerateShare.objects.filter(pk__in=[share.pk for share in shares]).update(announced_at=now)
    if not losing.filter(announced_at=None).exists():
        save(rerate, posts_from=now + NOTICE if losing.exists() else now)

"""A warning is a fact, which mail and webhooks read, and a notice on the pages, both written in one transaction."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from billing.models import Notice
from billing.outbox import events
from billing.outbox.kinds import Fact

KEPT = timedelta(days=400)


def tell(
    kind: Fact,
    *,
    key: str,
    subject: str,
    data: Mapping[str, Any],
    now: datetime,
    customer_id: int,
    about: object,
    ends_at: datetime | None,
    may_come_again: bool = False,
) -> bool:
    """Write both, in the caller's transaction; False where the fact stands already. The notice stands until `ends_at`;
    None for until it is put away, or what it is about is over.
    """
    is_new = events.record(
        kind,
        key=key,
        subject=subject,
        data=data,
        now=now,
        customer_id=customer_id,
        about=about,
        may_come_again=may_come_again,
    )
    if is_new and (ends_at is None or ends_at > now):
        Notice.objects.create(
            customer_id=customer_id, kind=kind, about=subject, data=dict(data), created_at=now, ends_at=ends_at
        )
    return is_new


def end(*, customer_id: int, about: str, now: datetime) -> None:
    """What they warned of is over."""
    Notice.objects.standing(customer_id=customer_id, now=now).filter(about=about).update(ends_at=now)


def dismiss(*, customer_id: int, notice_id: int, now: datetime) -> bool:
    """An owner has seen it; False where it is gone already, or is another account's."""
    mine = Notice.objects.filter(pk=notice_id, customer_id=customer_id, dismissed_at__isnull=True)
    return bool(mine.update(dismissed_at=now))


def forget(*, now: datetime, limit: int = 5000) -> int:
    """Throw away those of long ago that no page shows; return how many."""
    old = Notice.objects.filter(created_at__lt=now - KEPT).exclude(ends_at__isnull=True, dismissed_at__isnull=True)
    return Notice.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:limit])).delete()[0]

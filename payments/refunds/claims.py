"""Whose turn it is: requests to send and parts to ask about, each taken by one worker."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet

from billing.models import RefundRequest
from payments.models import RefundPart

State = RefundPart.State
LOOKS = (5, 15, 30, 60, 300, 900, 3600, 6 * 3600)
"""Seconds until a part under way is asked about again; the last one repeats."""
AFTERWARDS = (timedelta(days=1), timedelta(days=7), timedelta(days=30))
"""When a part that is over is asked about again: a bank may send it back, or its provider pay it after all."""
DAILY = timedelta(days=1)
"""How often a parked part is asked about: its provider may pay it yet."""
FINAL_WITHIN, CARD_FINAL_WITHIN, MOST_ASKS = timedelta(days=3), timedelta(days=7), 50
"""Without a final answer for so long, or after so many asks, a part is staff's. A bank card may take days."""
AGAIN = timedelta(minutes=2)
"""How long a request may take to be sent before another worker takes it up."""


def claim_requests(*, now: datetime, most: int = 100) -> list[int]:
    """Approved requests whose turn it is, their next turn set, so that two workers take different ones."""
    with transaction.atomic():
        due = RefundRequest.objects.filter(
            state__in=(RefundRequest.State.APPROVED, RefundRequest.State.SENDING), attempt_at__lte=now
        ).select_for_update(skip_locked=True, no_key=True)
        ids = [request.pk for request in due.order_by("attempt_at")[:most]]
        RefundRequest.objects.filter(pk__in=ids).update(attempt_at=now + AGAIN)
    return ids


def claim_parts(*, now: datetime, most: int = 200) -> list[int]:
    """Parts that are to be asked about, their next turn set."""
    with transaction.atomic():
        due = RefundPart.objects.filter(look_at__lte=now).select_for_update(skip_locked=True, no_key=True)
        parts = list(due.order_by("look_at")[:most])
        for part in parts:
            RefundPart.objects.filter(pk=part.pk).update(look_at=next_look(part, now=now))
    return [part.pk for part in parts]


def next_look(part: RefundPart, *, now: datetime) -> datetime | None:
    """When to ask about a part again; None for never."""
    if part.state == State.SENDING:
        return now + timedelta(seconds=LOOKS[min(part.attempts + 1, len(LOOKS) - 1)])
    if part.state == State.PARKED:
        return now + DAILY
    over_at = part.done_at if part.state == State.DONE else part.failed_at
    if part.state not in (State.DONE, State.FAILED) or over_at is None:
        return None
    return next((at for after in AFTERWARDS if (at := over_at + after) > now), None)


def final_within(part: RefundPart) -> timedelta:
    """How long a part may go without a final answer."""
    return CARD_FINAL_WITHIN if part.to_bank_card else FINAL_WITHIN


def is_overdue(part: RefundPart, *, now: datetime) -> bool:
    """Whether a part on its way has been asked about long or often enough."""
    return part.attempts >= MOST_ASKS or (part.sent_at is not None and part.sent_at + final_within(part) <= now)


def on_the_way(*, now: datetime, longer_than: float = 0) -> QuerySet[RefundPart]:
    """Parts that left and have not arrived for more than that share of their time; 1 is all of it."""
    return RefundPart.objects.filter(
        Q(to_bank_card=False, sent_at__lt=now - FINAL_WITHIN * longer_than)
        | Q(to_bank_card=True, sent_at__lt=now - CARD_FINAL_WITHIN * longer_than),
        state=State.SENDING,
    )


def contradicted() -> QuerySet[RefundPart]:
    """Parts whose provider says something against the books that nobody has looked at."""
    return RefundPart.objects.filter(contradicted_at__isnull=False, seen_by__isnull=True)

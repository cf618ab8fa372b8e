"""What failed is tried again, ever later, and staff see what fails several times in a row."""

import logging
from datetime import datetime, timedelta

from django.db import DatabaseError

from core.clock import backoff
from payments.models import TopUp

log = logging.getLogger(__name__)

FIRST_RETRY, SLOWEST_RETRY = timedelta(seconds=5), timedelta(hours=1)


def retry_delay(*, attempts: int) -> timedelta:
    """5 s, doubled with each attempt, up to an hour."""
    return backoff(attempts, first=FIRST_RETRY, slowest=SLOWEST_RETRY)


def count_failure(topup_id: int, error: Exception, *, now: datetime) -> None:
    """Staff see an order that fails `MOST_FAILURES` times; its next turn comes ever later."""
    try:
        failures = TopUp.objects.values_list("failures", flat=True).get(pk=topup_id) + 1
        TopUp.objects.filter(pk=topup_id).update(
            failures=min(failures, 1000),
            failure=f"{type(error).__name__}: {error}".replace("\0", "")[:200],
            next_poll_at=now + retry_delay(attempts=failures),
        )
    except DatabaseError as gone:
        log.warning("a failure of top-up %s was not counted: %s", topup_id, type(gone).__name__)

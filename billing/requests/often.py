"""How often, and how much at once, a customer may ask: each request is mailed about and read by people."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils.translation import gettext as _

DAY = timedelta(days=1)
MOST_OPEN = 10
"""Refunds, and invoices, of one customer that wait for people at once. An invoice may cover any number of payments."""
WHILE_OPEN = 3600
"""Seconds after which to ask again where others are open: nobody knows when one of them is finished."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one more may not be asked now: words for the customer, and seconds until it may do."""

    message: str
    retry_after: int


def refusal(asked: QuerySet[Any], *, open_states: Iterable[str], now: datetime) -> Refusal | None:
    """What stands against one more. `asked` are one customer's own, taken back or not, whose wallet is locked."""
    if asked.filter(state__in=open_states).count() >= MOST_OPEN:
        text = _("At most %(most)s requests can be open at once. Wait until one is finished, or write to support.")
        return Refusal(text % {"most": MOST_OPEN}, retry_after=WHILE_OPEN)
    most = settings.MOST_REQUESTS_PER_DAY
    lately = asked.filter(created_at__gt=now - DAY).order_by("-created_at")
    times = list(lately.values_list("created_at", flat=True)[:most])
    if len(times) < most:
        return None
    text = _("At most %(most)s requests a day can be asked. Wait a while, or write to support.")
    wait = max(1, int((times[-1] + DAY - now).total_seconds()) + 1)
    return Refusal(text % {"most": most}, retry_after=wait)

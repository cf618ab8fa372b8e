"""How often a customer may ask: each request is mailed about and read by people, those taken back too."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils.translation import gettext as _

DAY = timedelta(days=1)


def seconds_to_wait(asked: QuerySet[Any], *, now: datetime) -> int:
    """Seconds until one more may be asked; 0 for now. `asked` are one customer's own, whose wallet is locked."""
    most = settings.MOST_REQUESTS_PER_DAY
    lately = asked.filter(created_at__gt=now - DAY).order_by("-created_at")
    times = list(lately.values_list("created_at", flat=True)[:most])
    return max(1, int((times[-1] + DAY - now).total_seconds()) + 1) if len(times) == most else 0


def words() -> str:
    text = _("At most %(most)s requests a day can be asked. Wait a while, or write to support.")
    return text % {"most": settings.MOST_REQUESTS_PER_DAY}

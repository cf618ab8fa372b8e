"""Exchange rates: dated rows set by staff, the first one from USD_CNY_RATE."""

from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings

from payments.models import ExchangeRate


class NoRate(Exception):
    """There is no rate, or it is too old to sell at."""


def current_rate(*, now: datetime) -> ExchangeRate:
    """The rate to lock into an order; raises `NoRate`."""
    rate = ExchangeRate.objects.filter(created_at__lte=now).order_by("-created_at", "-id").first()
    if rate is None:
        if not settings.USD_CNY_RATE:
            raise NoRate("USD_CNY_RATE is not set and staff have set no rate")
        rate = ExchangeRate.objects.create(rate=settings.USD_CNY_RATE, source="USD_CNY_RATE", created_at=now)
    limit = settings.FX_RATE_MAX_AGE_DAYS
    if limit and rate.set_by_id is not None and rate.created_at < now - timedelta(days=limit):
        raise NoRate(f"the rate is older than {limit} days")
    return rate


def has_moved(stored: Decimal | None, *, now: datetime) -> bool:
    """Whether the rate is `LATE_RATE_DRIFT` or more away from a stored one; with no rate to sell at, it has moved."""
    if stored is None:
        return False
    try:
        rate = current_rate(now=now).rate
    except NoRate:
        return True
    return abs(rate - stored) >= stored * settings.LATE_RATE_DRIFT

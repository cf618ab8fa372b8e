"""Exchange rates: dated rows set by staff, the first one from USD_CNY_RATE; what an order is sold at."""

import logging
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from accounts.models import User
from payments.models import ExchangeRate

log = logging.getLogger(__name__)
VARIABLE = "USD_CNY_RATE"
PLACES = Decimal("0.000001")
A_DAY = timedelta(days=1)
LIVE = Q(dropped_at__isnull=True) & (Q(needs_second=False) | Q(confirmed_by__isnull=False))


class NoRate(Exception):
    """There is no rate, or it is too old to sell at."""


class RateError(ValueError):
    """Who may not confirm, or what is no longer there to confirm, in words for staff."""


def current_rate(*, now: datetime) -> ExchangeRate:
    """The rate of the day; raises `NoRate`. An order is made at `sold_at` of it."""
    rate = latest(now=now)
    if rate is None:
        raise NoRate("USD_CNY_RATE is not set and staff have set no rate")
    ends = ends_at(rate)
    if ends is not None and ends < now:
        raise NoRate(f"the rate is older than {settings.FX_RATE_MAX_AGE_DAYS} days")
    return rate


def sold_at(rate: ExchangeRate) -> Decimal:
    """Yuan that a dollar of credit costs: the rate and FX_SPREAD on it."""
    return (rate.rate * (1 + settings.FX_SPREAD)).quantize(PLACES)


def latest(*, now: datetime) -> ExchangeRate | None:
    """The newest live rate, however old. USD_CNY_RATE makes a row where it says something new: first, or changed."""
    _take_variable(now=now)
    return _live(now=now).first()


def newest(now: datetime) -> Decimal | None:
    """Yuan a dollar by the newest live rate, however old; None where there is none."""
    rate = latest(now=now)
    return None if rate is None else rate.rate


def waiting() -> QuerySet[ExchangeRate]:
    """Rates that a second person has to confirm."""
    return ExchangeRate.objects.filter(needs_second=True, confirmed_by__isnull=True, dropped_at__isnull=True)


def ends_at(rate: ExchangeRate) -> datetime | None:
    """When nothing can be sold at it any more; None where ages do not count (FX_RATE_MAX_AGE_DAYS 0)."""
    limit = settings.FX_RATE_MAX_AGE_DAYS
    return rate.created_at + timedelta(days=limit) if limit else None


def is_jump(rate: Decimal, *, now: datetime) -> bool:
    """Whether it is further than FX_JUMP, a share, from a rate of the last day or the one before it.

    A jump cut into small steps is as large. What two have confirmed is where it begins anew.
    """
    for last in _live(now=now):
        if abs(rate - last.rate) > last.rate * settings.FX_JUMP:
            return True
        if last.needs_second or last.created_at <= now - A_DAY:
            break
    return False


def set_rate(rate: Decimal, *, source: str, by: User | None, now: datetime) -> ExchangeRate:
    """A new rate, live at once unless it jumps."""
    return ExchangeRate.objects.create(
        rate=rate, source=source, set_by=by, needs_second=is_jump(rate, now=now), created_at=now
    )


def confirm(*, rate_id: int, by: User, now: datetime) -> ExchangeRate:
    """A second person makes it live, from now on; raises `RateError`."""
    rate = waiting().select_for_update(no_key=True).filter(pk=rate_id).first()
    if rate is None:
        raise RateError(_("This rate waits for nobody any more."))
    if rate.set_by_id == by.pk:
        raise RateError(_("You set it: somebody else has to confirm."))
    rate.confirmed_by, rate.created_at = by, now
    rate.save(update_fields=["confirmed_by", "created_at"])
    return rate


def drop(*, rate_id: int, now: datetime) -> None:
    """Nobody will confirm it; raises `RateError`."""
    if not waiting().filter(pk=rate_id).update(dropped_at=now):
        raise RateError(_("This rate waits for nobody any more."))


def has_moved(stored: Decimal | None, *, now: datetime) -> bool:
    """Whether a dollar costs `LATE_RATE_DRIFT` or more apart from a stored rate; with none to sell at, it does."""
    if stored is None:
        return False
    try:
        rate = sold_at(current_rate(now=now))
    except NoRate:
        return True
    return abs(rate - stored) >= stored * settings.LATE_RATE_DRIFT


def _live(*, now: datetime) -> QuerySet[ExchangeRate]:
    return ExchangeRate.objects.filter(LIVE, created_at__lte=now).order_by("-created_at", "-id")


def _take_variable(*, now: datetime) -> None:
    told = settings.USD_CNY_RATE
    if not told:
        return
    last = ExchangeRate.objects.filter(source=VARIABLE, created_at__lte=now).order_by("-created_at", "-id").first()
    is_first = last is None and not ExchangeRate.objects.filter(created_at__lte=now).exists()
    if is_first or (last is not None and last.rate != told):
        made = set_rate(told, source=VARIABLE, by=None, now=now)
        if made.needs_second:
            log.error("USD_CNY_RATE jumps to %s: somebody of finance has to confirm it", told)

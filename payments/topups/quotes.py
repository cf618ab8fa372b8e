"""What may be topped up by which method, and what is paid for it."""

import logging
import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.utils.translation import gettext as _

from billing.books.money import ZERO, InvalidAmount, cents, convert_to_cny, fee_on
from payments.models import Method
from payments.providers import registry
from payments.topups import fx

log = logging.getLogger(__name__)

WRITTEN = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,2})?")


class TopUpError(Exception):
    """A top-up that cannot be opened as asked; `field` is at fault, the text is for the customer."""

    def __init__(self, message: str, *, field: str, status: int = 400, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.status = status
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Quote:
    """What is paid for a credit: `charge` in `currency`, `fee` among it, at `rate` yuan a dollar where it is CNY."""

    charge: Decimal
    currency: str
    fee: Decimal
    rate: Decimal | None = None
    source: str = ""
    at: datetime | None = None


def methods() -> list[str]:
    """The methods that are on, in the order in which they are offered."""
    return [method for method in Method.values if method in registry.providers()]


def checked_method(method: str) -> str:
    """A method that is on; raises `TopUpError`."""
    if method not in methods():
        offered = ", ".join(methods()) or _("none")
        raise TopUpError(_("Choose one of these methods: %(methods)s.") % {"methods": offered}, field="method")
    return method


def quote(*, amount: Decimal, method: str, now: datetime) -> Quote:
    """Raises `TopUpError` when the method cannot be offered now."""
    if registry.SPECS[method].currency == "USD":
        fee = _fee(amount, method)
        return Quote(charge=amount + fee, currency="USD", fee=fee)
    try:
        rate = fx.current_rate(now=now)
    except fx.NoRate as error:
        log.error("no CNY top-ups: %s", error)
        raise TopUpError(
            _("Payments in yuan are paused until the exchange rate is renewed. Please pay by card."), field="method"
        ) from None
    sold_at = fx.sold_at(rate)
    base = convert_to_cny(amount, rate=sold_at)
    fee = _fee(base, method)
    return Quote(charge=base + fee, currency="CNY", fee=fee, rate=sold_at, source=rate.source, at=rate.created_at)


def _fee(base: Decimal, method: str) -> Decimal:
    percent, fixed = fee_rule(method)
    return fee_on(base, percent=percent, fixed=fixed)


def fee_rule(method: str) -> tuple[Decimal, Decimal]:
    """Percent of the base, and what is added in the charged currency."""
    return settings.TOPUP_FEES.get(method, (ZERO, ZERO))


def least(method: str) -> Decimal:
    """The smallest top-up by a method, USD."""
    return max(settings.TOPUP_MIN, settings.TOPUP_MIN_BY_METHOD.get(method, settings.TOPUP_MIN))


def checked_amount(value: object, *, method: str) -> Decimal:
    """An amount that may be topped up by a method, USD; raises `TopUpError` naming the field.

    A text is taken as it is written: `"1.000"` has three decimals, and `"1e2"` is no amount.
    """
    try:
        if not isinstance(value, str | int | Decimal):
            raise InvalidAmount
        if isinstance(value, str) and not WRITTEN.fullmatch(value.strip()):
            raise InvalidAmount
        amount = cents(value)
    except InvalidAmount:
        raise TopUpError(_("Enter an amount in USD with at most two decimals."), field="amount") from None
    if amount < settings.TOPUP_MIN:
        raise TopUpError(_("A top-up is at least $%(least)s.") % {"least": settings.TOPUP_MIN}, field="amount")
    if amount < least(method):
        words = _("A top-up by this method (%(method)s) is at least $%(least)s.")
        name = Method(method).label
        raise TopUpError(words % {"method": name, "least": least(method)}, field="amount")
    if amount > settings.TOPUP_MAX:
        raise TopUpError(_("A top-up is at most $%(most)s.") % {"most": settings.TOPUP_MAX}, field="amount")
    return amount

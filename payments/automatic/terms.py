"""What an owner agrees to, and the text of it. Who changes the text changes `VERSION`: both are kept with each yes."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.limits import periods
from accounts.models import Customer
from billing.books.money import InvalidAmount, cents_as_written
from payments.topups.quotes import TopUpError, checked_amount, quote

VERSION = "1"
CEILING = Decimal("100.00")
"""A month, USD, unless another is named."""
LONGEST = timedelta(days=3 * 366)
USUALLY = timedelta(days=365)
MOST = Decimal("1000000.00")


class AutoTopUpError(Exception):
    """What cannot be agreed to like this; `field` is at fault, the text is for the customer."""

    def __init__(self, message: str, *, field: str = "", status: int = 400) -> None:
        super().__init__(message)
        self.field = field
        self.status = status


@dataclass(frozen=True, slots=True)
class Terms:
    """USD with cents; the last day in the account's zone."""

    amount: Decimal
    threshold: Decimal
    ceiling: Decimal
    until: date


def ends_at(terms: Terms, customer: Customer) -> datetime:
    """The midnight after the last day."""
    return periods.start_of(terms.until + timedelta(days=1), zone=periods.zone_of(customer.time_zone))


def last_day(at: datetime, customer: Customer) -> date:
    """The last day of what ends then."""
    return (at - timedelta(microseconds=1)).astimezone(periods.zone_of(customer.time_zone)).date()


def month_began(now: datetime, customer: Customer) -> datetime:
    """When the account's calendar month began."""
    zone = periods.zone_of(customer.time_zone)
    return periods.start_of(now.astimezone(zone).date().replace(day=1), zone=zone)


def checked(
    *, amount: Any, threshold: Any, ceiling: Any, until: Any, method: str, customer: Customer, now: datetime
) -> Terms:
    """Raises `AutoTopUpError` naming the field."""
    try:
        credit = checked_amount(amount, method=method)
        charge = quote(amount=credit, method=method, now=now).charge
    except TopUpError as error:
        raise AutoTopUpError(str(error), field="amount") from None
    below = _sum(threshold, "threshold")
    if below > settings.TOPUP_MAX:
        raise AutoTopUpError(_("At most $%(most)s.") % {"most": settings.TOPUP_MAX}, field="threshold")
    lift = quote(amount=max(credit, below), method=method, now=now).charge
    most = _sum(ceiling, "ceiling")
    if most < charge:
        words = _("One top-up costs $%(charge)s: the month's ceiling has to be at least that.")
        raise AutoTopUpError(words % {"charge": charge}, field="ceiling")
    if most > MOST:
        raise AutoTopUpError(_("At most $%(most)s.") % {"most": MOST}, field="ceiling")
    if most < lift:
        words = _(
            "To lift an empty balance to $%(threshold)s costs $%(charge)s, and the month's ceiling is $%(ceiling)s:"
            " that top-up would never be made. Lower this, or raise the ceiling to at least $%(charge)s."
        )
        said = {"threshold": below, "charge": lift, "ceiling": most}
        raise AutoTopUpError(words % said, field="threshold")
    return Terms(credit, below, most, _day(until, customer=customer, now=now))


def consent(terms: Terms, *, customer: Customer, locale: str) -> str:
    """What is agreed to, in words."""
    values = {
        "site": urlsplit(settings.SITE_URL).netloc,
        "account": customer.name,
        "amount": terms.amount,
        "threshold": terms.threshold,
        "ceiling": terms.ceiling,
        "zone": customer.time_zone,
        "until": terms.until.isoformat(),
    }
    with translation.override(locale):
        return (
            " ".join(
                (
                    _(
                        "I allow %(site)s to charge the card that I save, without asking me each time, whenever the"
                        " balance of the account “%(account)s” is below $%(threshold)s."
                    ),
                    _("Each time it brings $%(amount)s, or more where that is needed to reach $%(threshold)s."),
                    _(
                        "Fees included, at most $%(ceiling)s is charged in a calendar month (%(zone)s), and nothing"
                        " after %(until)s."
                    ),
                    _("I can switch this off at any time."),
                    _("I know that an API key without a cap of its own can spend up to this ceiling."),
                )
            )
            % values
        )


def _sum(value: Any, field: str) -> Decimal:
    try:
        amount = cents_as_written(value)
    except InvalidAmount:
        amount = Decimal(0)
    if amount <= 0:
        raise AutoTopUpError(_("Enter an amount in USD with at most two decimals."), field=field)
    return amount


def _day(value: Any, *, customer: Customer, now: datetime) -> date:
    try:
        day = value if isinstance(value, date) else date.fromisoformat(str(value))
    except ValueError:
        raise AutoTopUpError(_("Enter a day such as 2027-12-31."), field="until") from None
    today = now.astimezone(periods.zone_of(customer.time_zone)).date()
    if not today < day <= today + LONGEST:
        raise AutoTopUpError(_("The last day lies after today, within three years."), field="until")
    return day

"""When the saved card is charged, and with how much: a pure rule over what stands in the books now."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_UP, Decimal

from billing.books.money import CENT
from payments.models import AutoTopUp

APART = timedelta(minutes=10)
"""At least so long from the beginning of one attempt to that of the next."""
Wait = AutoTopUp.Wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """USD. `level` is paid and bonus less what refunds and disputes hold; `spent` what was begun this month, with fees;
    `daily_room` what a new customer may still top up today, None for no limit.
    """

    level: Decimal
    threshold: Decimal
    amount: Decimal
    most: Decimal
    ceiling: Decimal
    spent: Decimal
    daily_room: Decimal | None
    is_suspended: bool
    is_disputed: bool
    """A payment is, or one was and the balance is below zero by it."""
    wants_refund: bool
    is_method_on: bool
    is_unresolved: bool
    """An automatic attempt is; other open orders do not count."""
    begun_at: datetime | None
    """The last attempt."""


def never(standing: Standing) -> Wait | None:
    """What forbids a charge, however low the balance is."""
    if standing.is_suspended:
        return Wait.SUSPENDED
    if standing.is_disputed:
        return Wait.DISPUTED
    if standing.wants_refund:
        return Wait.REFUND
    return None if standing.is_method_on else Wait.METHOD_OFF


def wanted(standing: Standing) -> Decimal:
    """The credit of an attempt: it lifts the balance at least to the threshold."""
    lacking = (standing.threshold - standing.level).quantize(CENT, rounding=ROUND_UP)
    return max(standing.amount, lacking)


def decide(standing: Standing, *, now: datetime) -> Wait | None:
    """None: an attempt may begin, if its charge is within the ceiling; else why not."""
    if (no := never(standing)) is not None:
        return no
    if standing.is_unresolved:
        return Wait.UNRESOLVED
    if standing.level >= standing.threshold:
        return Wait.ENOUGH
    if standing.begun_at is not None and now < standing.begun_at + APART:
        return Wait.TOO_SOON
    amount = wanted(standing)
    if amount > standing.most:
        return Wait.TOO_MUCH
    if standing.daily_room is not None and amount > standing.daily_room:
        return Wait.DAILY_LIMIT
    return None


def is_within_ceiling(standing: Standing, *, charge: Decimal) -> bool:
    """`charge` is what the card would pay, with the fee."""
    return standing.spent + charge <= standing.ceiling

"""How far usage may take a customer's wallet below zero: a part of what was paid in and not taken back.

The rule is in docs/ledger.md, "Wallets and holds".
"""

from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from billing.books.money import ZERO
from core.records import value

SHARE = Decimal("0.05")


@value
class Overrun:
    """The settings: at most `limit` USD, `after` so long a time from the first payment on."""

    limit: Decimal
    after: timedelta


@value
class Payments:
    """What a wallet tells of a customer's payments; amounts in USD.

    `paid_again`: a second payment came on a later day than the first.
    """

    paid_in: Decimal
    first_paid_at: datetime | None
    paid_again: bool
    disputed: Decimal
    written_off: Decimal


class NoAllowance(StrEnum):
    """Why a customer has none."""

    OFF = "off"
    """By the setting."""
    NEVER_PAID = "never paid"
    DISPUTED = "disputed"
    WRITTEN_OFF = "written off"
    TAKEN_BACK = "taken back"
    TOO_NEW = "too new"
    """The first payment, and no second on a later day."""


def why_none(payments: Payments, *, overrun: Overrun, now: datetime) -> NoAllowance | None:
    """None where there is an allowance."""
    first = payments.first_paid_at
    if first is None:
        return NoAllowance.NEVER_PAID
    if payments.disputed:
        return NoAllowance.DISPUTED
    if payments.written_off:
        return NoAllowance.WRITTEN_OFF
    if payments.paid_in <= 0:
        return NoAllowance.TAKEN_BACK
    if not payments.paid_again and now < first + overrun.after:
        return NoAllowance.TOO_NEW
    return None if overrun.limit else NoAllowance.OFF


def allowance(payments: Payments, *, overrun: Overrun, now: datetime) -> Decimal:
    """What all open requests together may cost beyond their holds, USD.

    Whoever pays and takes it back, by a refund or a dispute, has none of it left, and who left a debt gets none.
    """
    if why_none(payments, overrun=overrun, now=now) is not None:
        return ZERO
    return min(SHARE * payments.paid_in, overrun.limit)

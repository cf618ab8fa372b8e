"""A means of payment that a provider keeps, a card above all, and what is asked and known of its charges."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import ClassVar

from payments.providers.base import Outcome, PaymentFact


@dataclass(frozen=True, slots=True)
class KeepOrder:
    """A page to enter a card on, which its bank is to confirm; the number is ours. `payer` is the provider's number of
    who enters it, where an earlier card made one.
    """

    number: str
    currency: str
    expires_at: datetime
    return_url: str
    email: str = ""
    locale: str = "en"
    payer: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """A card as its provider keeps it. `fingerprint` is the same wherever the card is entered."""

    payer: str
    reference: str
    brand: str
    last4: str
    exp_month: int
    exp_year: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class KeptFact:
    """OK with the card; PENDING while nobody entered one; REJECTED: the page is over; UNKNOWN is no answer."""

    outcome: Outcome
    card: Kept | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ChargeOrder:
    """A charge of a kept card. `amount` is in `currency`, 2 places; the number is ours, and what makes it once."""

    SAME_FOR: ClassVar[timedelta] = timedelta(hours=20)
    """How long a provider surely knows the number as the same order; afterwards its list alone tells."""
    number: str
    amount: Decimal
    currency: str
    subject: str
    payer: str
    reference: str


class No(Enum):
    """Why a kept card was not charged."""

    DECLINED = "declined"
    AUTHENTICATION = "authentication"
    CARD_GONE = "card_gone"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class ChargeFact:
    """What is known of a charge: `payment.outcome` OK, PENDING, REJECTED or UNKNOWN; `is_missing`: there is none.

    A REJECTED one says `why`. If `payment_id` is there too, the payment waits for another card or for its holder, and
    is to be called off.
    """

    payment: PaymentFact
    why: No | None = None
    payment_id: str = ""
    is_missing: bool = False

    @property
    def outcome(self) -> Outcome:
        return self.payment.outcome

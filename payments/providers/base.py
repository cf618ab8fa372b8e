"""What a payment provider is to us: a small Protocol that returns frozen facts and never sees our tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Protocol


class ProviderError(Exception):
    """A provider did not do what was asked; the text is for the log."""


class ProviderUnavailable(ProviderError):
    """No clear answer: what was asked may have happened or not. Ask before doing anything else."""


class ProviderRefused(ProviderError):
    """A clear no."""


class BadSignature(Exception):
    """A notification that its provider did not sign, or that is not one."""


class Outcome(Enum):
    """What is known of a payment. UNKNOWN is no answer at all, and never a no."""

    OK = "ok"
    PENDING = "pending"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CheckoutOrder:
    """An order to be paid. `amount` is in `currency`, 2 places; the number is ours and unique at the provider."""

    number: str
    amount: Decimal
    currency: str
    subject: str
    created_at: datetime
    expires_at: datetime
    notify_url: str
    return_url: str
    email: str = ""
    locale: str = "en"


@dataclass(frozen=True, slots=True)
class Checkout:
    """Where to pay: a page to go to, or a text to show as a QR code. `reference` is the provider's name for it."""

    reference: str = ""
    checkout_url: str = ""
    qr_code: str = ""


@dataclass(frozen=True, slots=True)
class PaymentFact:
    """What the provider says of an order now. `is_ours`: it names our own account as the payee."""

    outcome: Outcome
    order_number: str = ""
    transaction_id: str = ""
    amount: Decimal = Decimal(0)
    currency: str = ""
    is_ours: bool = False
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """A verified notification: which order it is about, and its own name, to recognise a repeat by."""

    kind: str
    key: str
    order_number: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


class Provider(Protocol):
    """Sync, without tables. `start_checkout` may be repeated with the same order; it opens one checkout."""

    code: str
    currency: str

    def start_checkout(self, order: CheckoutOrder) -> Checkout: ...
    def fetch_payment(self, *, number: str, reference: str) -> PaymentFact: ...
    def close(self, *, number: str, reference: str) -> None: ...
    def read_notification(self, body: bytes, headers: Mapping[str, str]) -> Notice: ...

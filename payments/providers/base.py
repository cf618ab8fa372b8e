"""What a payment provider is to us: a small Protocol that returns frozen facts and never sees our tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    from payments.providers.keeping import ChargeFact, ChargeOrder, KeepOrder, KeptFact

REFUND_KEY_PREFIX = "part_"
"""What our numbers of refunds begin with; a notification about one names it in place of the order."""


EXTERNAL_KEY_PREFIX = "external_"
"""What we call a refund begun at the provider whose own number is another's here."""


class ProviderError(Exception):
    """A provider did not do what was asked; the text is for the log."""


class ProviderUnavailable(ProviderError):
    """No clear answer: what was asked may have happened or not. Ask before doing anything else."""


class ProviderRefused(ProviderError):
    """A clear no."""


class BadSignature(Exception):
    """A notification that its provider did not sign, or that is not one."""


class BadNotice(BadSignature):
    """A notification that its provider signed and that is not what it should be; nothing of it is believed."""


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
    three_d_secure: bool = False
    """The card's holder is to confirm the payment with the bank."""


@dataclass(frozen=True, slots=True)
class Checkout:
    """Where to pay: a page to go to, or a text to show as a QR code. `reference` is the provider's name for it."""

    MOST_QR_CODE: ClassVar[int] = 1024
    """Characters."""
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
    paid_at: datetime | None = None
    """By the provider's clock, where it tells."""


class RefundOutcome(Enum):
    """What is known of a refund. PARKED waits for staff; MISSING was never made; UNKNOWN is no answer, never a no."""

    DONE = "done"
    PENDING = "pending"
    FAILED = "failed"
    PARKED = "parked"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class RefundOrder:
    """Money to go back to a payment. `amount` of `total`, both in `currency`, 2 places.

    `key` is our number for it, unique at the provider: the same order asked again moves nothing twice.
    """

    key: str
    order_number: str
    transaction_id: str
    amount: Decimal
    total: Decimal
    currency: str
    notify_url: str
    reason: str = "Refund"
    refund_id: str = ""
    """The provider's own number for it, once it is known."""


@dataclass(frozen=True, slots=True)
class RefundFact:
    """What the provider says of a refund now; `detail` is in the provider's words, for staff."""

    outcome: RefundOutcome
    refund_id: str = ""
    amount: Decimal | None = None
    detail: str = ""
    to_bank_card: bool = False
    """It goes to a bank card, by way of the bank: that takes days."""
    is_proof: bool = True
    """Of what MISSING says. Without proof the same number may be sent again, and nothing be paid in its place."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A verified notification: which order it is about, and its own name, to recognise a repeat by."""

    kind: str
    key: str
    order_number: str = ""
    reference: str = ""
    """The provider's number of what it is about, where that is no order: a dispute, a warning, a refund."""
    transaction_id: str = ""
    """The provider's number of the payment, of an order that was paid."""


@dataclass(frozen=True, slots=True)
class ProviderRefund:
    """A refund as its provider knows it, whoever began it; `key` is the number that it was asked for with. `amount` is
    nothing where its currency is not known."""

    refund_id: str
    key: str
    amount: Decimal
    currency: str
    outcome: RefundOutcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Movement:
    """A row on our account there: `amount` below zero was taken, above zero given back; `fee` was taken besides."""

    row_id: str
    amount: Decimal
    fee: Decimal
    currency: str
    at: datetime


@dataclass(frozen=True, slots=True)
class DisputeFact:
    """A dispute as its provider tells it now. `amount` in `currency`, nothing if that is not known; movements in any
    order."""

    dispute_id: str
    payment_id: str
    status: str
    reason: str
    amount: Decimal
    currency: str
    opened_at: datetime
    evidence_due_at: datetime | None
    movements: tuple[Movement, ...]
    unknown: tuple[str, ...] = ()
    """Rows in currencies that the books do not know, in words."""
    card: str = ""
    """The fingerprint of the card that paid, where it is told."""


@dataclass(frozen=True, slots=True)
class WarningFact:
    """An early fraud warning of a card network."""

    warning_id: str
    payment_id: str
    kind: str
    card: str = ""
    """The fingerprint of the card that paid, where it is told."""


@dataclass(frozen=True, slots=True)
class Happened:
    """What happened at the provider lately, by its numbers; each refund with the payment it belongs to."""

    disputes: tuple[str, ...]
    warnings: tuple[str, ...]
    refunds: tuple[tuple[str, ProviderRefund], ...]


@dataclass(frozen=True, slots=True)
class BillRow:
    """One line. `amount` is what it adds to our account at the provider before `fee`; both in `currency`, as cash."""

    key: str
    kind: str
    """payment, refund, refund_failure, dispute, payout, fee or other."""
    amount: Decimal
    fee: Decimal
    currency: str
    transaction_id: str
    refund_id: str
    """The provider's number of the refund, or of the dispute."""
    number: str
    """Ours: of the order, or of the refund."""
    at: datetime
    charge_amount: Decimal | None = None
    """What the payer paid or got back, signed as `amount`, where the account settles in another currency."""
    charge_currency: str = ""
    detail: str = ""
    """The provider's words for it, for staff."""


@dataclass(frozen=True, slots=True)
class Bill:
    """A day's statement: the file as it came, or a zip of several, and its lines."""

    raw: bytes
    rows: list[BillRow] = field(default_factory=list)
    unreadable: "list[Unreadable]" = field(default_factory=list)
    may_come: bool = False
    """Of a bill that is not there its provider says the same whether it comes later or is empty."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line of a statement that could not be read: its number, what is wrong and its text; `bill`: of which."""

    line: int
    text: str
    bill: str = ""

    @property
    def key(self) -> str:
        return f"{self.bill} line {self.line}".strip()


class Provider(Protocol):
    """Sync, without tables. `start_checkout` may be repeated with the same order; it opens one checkout."""

    def start_checkout(self, order: CheckoutOrder) -> Checkout: ...
    def fetch_payment(self, *, number: str, reference: str) -> PaymentFact: ...
    def close(self, *, number: str, reference: str) -> None: ...
    def send_refund(self, order: RefundOrder) -> RefundFact: ...
    def fetch_refund(self, order: RefundOrder) -> RefundFact: ...
    def fetch_statement(self, day: date) -> Bill: ...  # whatever moved on our account there; raises ProviderError
    def read_notification(self, body: bytes, headers: Mapping[str, str]) -> Notice: ...

    def find_refunds(self, *, order_number: str, transaction_id: str, key: str) -> list[ProviderRefund]:
        """The refunds of a payment, where the provider lists them; else the one of this number, `key`.

        Raises `ProviderError`.
        """
        ...

    def find_payment(self, payment_id: str) -> PaymentFact:
        """A payment by the provider's own number of it, with the order's number that it keeps: "" if it keeps none, or
        knows no such payment. Raises `ProviderError`."""
        ...


@runtime_checkable
class DisputingProvider(Protocol):
    """A provider whose payments may be disputed. Every method raises `ProviderError`."""

    def fetch_dispute(self, dispute_id: str) -> DisputeFact: ...
    def fetch_warning(self, warning_id: str) -> WarningFact: ...
    def happened(self, *, since: datetime) -> Happened: ...


@runtime_checkable
class SettlingProvider(Protocol):
    """A provider whose account may be in other currencies than it charges in."""

    def settles_in(self) -> tuple[str, ...]:
        """The currencies it holds for us. Raises `ProviderError`."""
        ...


@runtime_checkable
class KeepingProvider(Protocol):
    """A provider that keeps a means of payment, and charges it while its holder is away; see `keeping.py`."""

    def start_keeping(self, order: "KeepOrder") -> Checkout:
        """Where the holder enters it; the same order opens one page. Raises `ProviderError`."""
        ...

    def fetch_kept(self, reference: str) -> "KeptFact":
        """What became of that page."""
        ...

    def stop_keeping(self, reference: str) -> None:
        """Close that page; one that is over is left as it is. Raises `ProviderError`."""
        ...

    def charge(self, order: "ChargeOrder") -> "ChargeFact":
        """Charge a kept means: the same order, asked again within `ChargeOrder.SAME_FOR`, charges nothing twice."""
        ...

    def find_charge(self, order: "ChargeOrder") -> "ChargeFact":
        """What became of that order, by the payer's list of payments: MISSING if none of them is for it."""
        ...

    def call_off(self, payment_id: str) -> "ChargeFact":
        """See to it that a payment that is not made never is; what is known of it then."""
        ...

    def forget(self, reference: str) -> None:
        """Keep a means no longer; nothing if it is not kept. Raises `ProviderError`."""
        ...

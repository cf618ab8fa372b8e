"""What is particular about a provider: whoever is outside its folder asks its spec, and names no provider."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from typing import Any

from payments.providers.base import Provider

Values = Mapping[str, str]
"""The payment variables by name, "" where one is not set."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider is answered when it notifies us. A body that is an object goes out as JSON."""

    status: int
    body: str | Mapping[str, Any] = ""
    content_type: str = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Letter:
    """A test notification. `signed_with` is the variable that signs it, "" where the provider alone can sign."""

    body: bytes
    headers: Mapping[str, str]
    signed_with: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSpec:
    """One provider. Reading it loads no SDK: a gateway and the settings read it, too."""

    code: str
    """Its name in rows, addresses and accounts (`clearing:CODE:USD`), as `payments.models.Method` has it."""
    currency: str
    """What it charges in: USD, or CNY at the day's rate."""
    is_card: bool = False
    """Cards are tried in numbers: a customer confirms an address first, and the first payment at the bank."""

    variable_prefix: str
    """Of its variables, also of `_TOPUP_MIN`, `_TOPUP_FEE_PERCENT`, `_TOPUP_FEE_FIXED` and `_REFUND_WINDOW_DAYS`."""
    required: tuple[str, ...]
    """Its account's variables: with none of them the provider is off, some alone stop the start."""
    address: str
    """The variable that names another address of its API, such as a sandbox's."""
    account: Callable[[Values], dict[str, str]]
    """What `adapter` is given, checked; raises `ImproperlyConfigured`."""
    adapter: Callable[[Mapping[str, str]], Provider]
    """Loads the SDK, and makes the provider of an account."""
    loggers: tuple[str, ...]
    """Of its SDK: they log whole requests and answers, which hold order and account data."""

    order_life: timedelta
    """How long an order may be paid."""
    checkout_origin: str = ""
    """Where its checkout pages are, which our form leads to; "" where a QR code is shown."""
    refund_window_days: int
    """How long after a payment it takes a refund, unless `PREFIX_REFUND_WINDOW_DAYS` says otherwise."""
    numbers_refunds_by_payment: bool = False
    """Our numbers of refunds are unique there within a payment alone."""
    dispute_page: str = ""
    """Where staff see a dispute there, `{}` being its number; "" where payments are not disputed."""
    statement_zone: tzinfo
    """By which a day of its statements begins and ends."""

    notify_path: str
    """Where it tells of payments."""
    refund_notify_path: str
    """Where it tells of refunds; may be the same."""
    accepted: Answer
    refused: Answer
    """To what it did not sign. What it signed and nobody can read is answered by the same body with status 400."""
    signature_header: str
    """A header of its notifications that must come through as it was sent."""

    letter: Callable[[Values], Letter]
    console: Callable[[Values, str, str], list[str]]
    """Lines for its console: of the variables, and the whole addresses for payments and for refunds."""
    payment_number: str
    """A pattern of what it calls a payment, as its console and its customers' receipts show it."""
    unknown_reference: str = ""
    """A reference in the right form that it does not know, where it goes by references of its own."""

    @property
    def variables(self) -> tuple[str, ...]:
        return (*self.required, self.address)

    @property
    def notify_paths(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.notify_path, self.refund_notify_path)))

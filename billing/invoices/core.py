"""What every step of an invoice stands on: its row's lock, its moves, and errors that name a field."""

import secrets
import string
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import Customer, Membership, User
from billing.ledger import lock_wallets
from billing.models import InvoiceRequest

State = InvoiceRequest.State
ALPHABET = string.ascii_letters + string.digits
DAYS = 3
"""Business days within which a request is decided."""
ENGLISH, CHINESE = "en", "zh-hans"


class InvoiceError(Exception):
    """An invoice that cannot be asked for, decided or credited like this; the text is for whoever asked."""

    def __init__(self, message: str, *, field: str = "amount", retry_after: int | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.retry_after = retry_after  # seconds, where asking again later may do


class NotMovable(InvoiceError):
    """The request is in a state that does not lead there: somebody else was faster."""


class NotAllowed(InvoiceError):
    """This member of staff may not decide this request."""


def new_number() -> str:
    """What customers know a request by."""
    return "invoice_" + "".join(secrets.choice(ALPHABET) for _ in range(20))


def language(locale: str) -> str:
    """The language of a document and its mail: Chinese for any Chinese, else English."""
    return CHINESE if locale.lower().startswith("zh") else ENGLISH


@contextmanager
def locked(request_id: int) -> Iterator[InvoiceRequest]:
    """The request's row, then its wallet's: whoever changes what is invoiced or frozen for a customer holds that."""
    with transaction.atomic():
        request = (
            InvoiceRequest.objects.select_for_update(no_key=True, of=("self",))
            .select_related("customer")
            .get(pk=request_id)
        )
        lock_wallets([request.customer_id])
        yield request


def move(request: InvoiceRequest, to: str, *, now: datetime, **fields: object) -> None:
    """Change a locked request's state; raises `NotMovable`."""
    if request.state not in InvoiceRequest.ALLOWED_FROM[to]:
        raise NotMovable(
            _("This request is %(state)s already.") % {"state": request.get_state_display()}, field="state"
        )
    values = {"state": to, "changed_at": now, **fields}
    for name, value in values.items():
        setattr(request, name, value)
    request.save(update_fields=list(values))


def must_not_be_own(user: User, customer: Customer) -> None:
    """Raises `NotAllowed` for staff who belong to the customer."""
    if Membership.objects.filter(user=user, customer=customer).exists():
        raise NotAllowed(_("You belong to this customer: somebody else has to decide."), field="state")


def must_say_why(words: str, *, field: str = "words", most: int = 1000) -> str:
    """The words without what surrounds them; raises `InvoiceError` if there are none or too many."""
    words = words.strip()
    if not words:
        raise InvoiceError(_("Say why."), field=field)
    if len(words) > most:
        raise InvoiceError(_("At most %(most)s characters, please.") % {"most": most}, field=field)
    return words

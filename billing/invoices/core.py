"""What every step of an invoice stands on: its row's lock, its moves, and errors that name a field."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.utils.translation import gettext as _

from billing.books.ledger import lock_wallets
from billing.models import InvoiceRequest
from billing.requests.steps import RequestError, Requests

State = InvoiceRequest.State
ENGLISH, CHINESE = "en", "zh-hans"


class InvoiceError(RequestError):
    """An invoice that cannot be asked for, decided or credited like this."""


class NotMovable(InvoiceError):
    """The request is in a state that does not lead there: somebody else was faster."""


class NotAllowed(InvoiceError):
    """This member of staff may not decide this request."""


INVOICES = Requests(
    InvoiceRequest, prefix="invoice_", error=InvoiceError, not_movable=NotMovable, not_allowed=NotAllowed
)
move, must_not_be_own = INVOICES.move, INVOICES.must_not_be_own


def language(locale: str) -> str:
    """The language of a document and its mail: Chinese for any Chinese, else English."""
    return CHINESE if locale.lower().startswith("zh") else ENGLISH


@contextmanager
def locked(request_id: int) -> Iterator[InvoiceRequest]:
    """The request's row, then its wallet's: whoever changes what is invoiced or frozen for a customer holds that."""
    with INVOICES.locked(request_id) as request:
        lock_wallets([request.customer_id])
        yield request


def must_say_why(words: str, *, field: str = "words", most: int = 1000) -> str:
    """The words without what surrounds them; raises `InvoiceError` if there are none or too many."""
    words = words.strip()
    if not words:
        raise InvoiceError(_("Say why."), field=field)
    if len(words) > most:
        raise InvoiceError(_("At most %(most)s characters, please.") % {"most": most}, field=field)
    return words

"""What the steps of a customer's requests stand on, refunds and invoices alike: a number, a row's lock, moves, and who
may decide. Errors name the field at fault; their text is for whoever asked.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

from django.db import transaction
from django.db.models import QuerySet
from django.utils.crypto import get_random_string
from django.utils.translation import gettext as _

from accounts.models import Customer, User
from billing.books.money import InvalidAmount, cents_as_written
from billing.models import InvoiceRequest, RefundRequest
from billing.requests import often
from billing.requests.four_eyes import objection
from core import states

DAYS = 3
"""Business days within which a request is decided."""
Row = TypeVar("Row", RefundRequest, InvoiceRequest)


class RequestError(Exception):
    """A request that cannot be made, decided or carried out like this."""

    def __init__(self, message: str, *, field: str = "amount", retry_after: int | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.retry_after = retry_after  # seconds, where asking again later may do
        self.others: Sequence[RequestError] = ()

    @property
    def faults(self) -> "Sequence[RequestError]":
        """This one and what else is wrong with the same request, a field once."""
        return [self, *self.others]


class Faults:
    """All that is wrong with a request: each `with` of it takes a fault, `raise_all` tells of them together."""

    def __init__(self) -> None:
        self.found: list[RequestError] = []

    def __enter__(self) -> "Faults":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, RequestError) or error.retry_after is not None:
            return False
        known = {fault.field for fault in self.found}
        self.found += [fault for fault in error.faults if fault.field not in known]
        return True

    def raise_all(self) -> None:
        """Raises the first, which knows the `others`; nothing where nothing is wrong."""
        if self.found:
            first, *others = self.found
            first.others = others
            raise first


@dataclass(frozen=True, slots=True)
class Requests(Generic[Row]):
    """One kind of request: its rows, what its numbers begin with, and its errors.

    `not_movable`, an `error`: the request is in a state that does not lead there. `not_allowed`, an `error` too: this
    member of staff may not decide it.
    """

    model: type[Row]
    prefix: str
    error: type[RequestError]
    not_movable: type[RequestError]
    not_allowed: type[RequestError]

    def new_number(self) -> str:
        """What customers know a request by."""
        return self.prefix + get_random_string(20)

    @contextmanager
    def locked(self, pk: int) -> Iterator[Row]:
        """A transaction with the request's row locked."""
        with transaction.atomic():
            rows: QuerySet[Row] = self.model._default_manager.select_for_update(no_key=True, of=("self",))
            yield rows.select_related("customer").get(pk=pk)

    def is_already(self, row: Row) -> RequestError:
        """What says that a request is not where the caller thinks."""
        words = _("This request is %(state)s already.") % {"state": row.get_state_display()}
        return self.not_movable(words, field="state")

    def move(self, row: Row, to: str, *, now: datetime, **fields: object) -> None:
        """Change a locked request's state; raises `not_movable`."""
        states.move(row, to=to, error=self.is_already, changed_at=now, **fields)

    def checked_amount(self, value: object, *, words: str) -> Decimal:
        """An amount of at least a cent with at most 2 decimals; raises `error`, saying `words` where it is none."""
        try:
            amount = cents_as_written(value)
        except InvalidAmount:
            raise self.error(words) from None
        if amount <= 0:
            raise self.error(_("Enter an amount above zero."))
        return amount

    def must_not_be_own(self, by: User, customer: Customer) -> None:
        """Raises `not_allowed` for staff who belong to the customer."""
        if words := objection(by=by, customer_id=customer.pk):
            raise self.not_allowed(words, field="state")

    def must_be_new(self, customer: Customer, reference: str) -> None:
        """The same mail is entered once; the caller holds the wallet's lock."""
        entered = self.model._default_manager.filter(
            customer=customer, entered_by__isnull=False, reference=reference.strip()[:200]
        )
        if reference.strip() and (first := entered.first()) is not None:
            words = _("This mail is entered already: %(number)s.") % {"number": first.number}
            raise self.error(words, field="reference")

    def must_not_be_often(self, asked: QuerySet[Any], *, open_states: Iterable[str], now: datetime) -> None:
        """Raises `error` with the time to wait if one more may not be asked; `asked` as `often.refusal` wants them."""
        if refusal := often.refusal(asked, open_states=open_states, now=now):
            raise self.error(refusal.message, retry_after=refusal.retry_after)

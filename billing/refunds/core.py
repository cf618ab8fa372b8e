"""What every step of a refund stands on: its row's lock, its moves, its freeze and what fits."""

import secrets
import string
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import F, Sum
from django.utils.translation import gettext as _

from billing import holds
from billing.ledger import Posting, house_account, lock_wallets, post
from billing.models import Hold, RefundRequest, Wallet
from billing.money import ZERO, floor_cents
from billing.workdays import due_after

State = RefundRequest.State
ALPHABET = string.ascii_letters + string.digits
DAYS = 3
"""Business days within which a request is decided."""
IN_TRANSIT = "refunds:in_transit"


class RefundError(Exception):
    """A refund that cannot be asked, decided or sent like this; the text is for whoever asked."""

    def __init__(self, message: str, *, field: str = "amount", retry_after: int | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.retry_after = retry_after  # seconds, where asking again later may do


class NotMovable(RefundError):
    """The request is in a state that does not lead there: somebody else was faster."""


class NotAllowed(RefundError):
    """This member of staff may not decide this request."""


def new_number() -> str:
    """What customers know a request by."""
    return "refund_" + "".join(secrets.choice(ALPHABET) for _ in range(20))


def most_now(refund: RefundRequest) -> Decimal:
    """What of a request could be sent now, USD at 2 places: its own freeze counts as free."""
    wallet = Wallet.objects.get(pk=refund.customer_id)
    return min(fit(wallet, held_by_kind(refund.customer_id), own=own_left(refund)), refund.amount - refund.sent)


@contextmanager
def locked(refund_id: int) -> Iterator[RefundRequest]:
    with transaction.atomic():
        refund = (
            RefundRequest.objects.select_for_update(no_key=True, of=("self",))
            .select_related("customer")
            .get(pk=refund_id)
        )
        yield refund


def move(refund: RefundRequest, to: str, *, now: datetime, **fields: object) -> None:
    if refund.state not in RefundRequest.ALLOWED_FROM[to]:
        raise NotMovable(_("This request is %(state)s already.") % {"state": refund.get_state_display()}, field="state")
    values = {"state": to, "changed_at": now, **fields}
    for name, value in values.items():
        setattr(refund, name, value)
    refund.save(update_fields=list(values))


def send_back(refund: RefundRequest, *, problem: str, now: datetime) -> None:
    due = due_after(now, days=DAYS)
    move(
        refund,
        State.RETURNED,
        now=now,
        problem=problem[:300],
        due_at=due,
        attempt_at=None,
        proposed=None,
        proposed_by=None,
    )


def post_for(postings: list[Posting], refund: RefundRequest, now: datetime) -> None:
    post(postings, now=now, group=refund.key, actor_id=refund.decided_by_id)


def arrival(
    refund: RefundRequest, part: int, step: str, amount: Decimal, clearing: str, charge: Decimal, currency: str
) -> list[Posting]:
    key, memo = f"{refund.key}:part:{part}:{step}", refund.number
    transit, out = house_account(IN_TRANSIT), house_account(clearing)
    if currency == "USD":
        return [Posting(key, "refund_done", transit, out, amount, memo)]
    fx = [Posting(f"{key}:USD", "refund_done", transit, house_account("fx:USD"), amount, memo)]
    if charge > 0:
        fx.append(Posting(f"{key}:{currency}", "refund_charge", house_account(f"fx:{currency}"), out, charge, memo))
    return fx


def held_by_kind(customer_id: int) -> dict[str, Decimal]:
    rows = (
        Hold.objects.filter(customer_id=customer_id, state=Hold.State.OPEN)
        .values_list("kind")
        .annotate(left=Sum(F("amount") - F("captured")))
    )
    return dict.fromkeys(Hold.Kind.values, ZERO) | dict(rows)


def fit(wallet: Wallet, held: dict[str, Decimal], *, own: Decimal) -> Decimal:
    free_of_paid = wallet.paid - held[Hold.Kind.REFUND] - held[Hold.Kind.DISPUTE] + own
    return floor_cents(max(ZERO, min(free_of_paid, wallet.available + own)))


def hold_key(refund: RefundRequest) -> str:
    return refund.key if refund.freezes <= 1 else f"{refund.key}:{refund.freezes}"


def own_left(refund: RefundRequest) -> Decimal:
    hold = Hold.objects.filter(pk=hold_key(refund), state=Hold.State.OPEN).first()
    return hold.amount - hold.captured if hold is not None else ZERO


def thaw(refund: RefundRequest, *, now: datetime) -> None:
    holds.resolve([holds.Resolution(hold_key(refund), None, refund.state)], now=now)


def freeze(refund: RefundRequest, amount: Decimal, *, now: datetime, as_much_as_fits: bool = False) -> None:
    """The request's one open hold becomes `amount`, under the wallet's lock."""
    wallet = lock_wallets([refund.customer_id])[refund.customer_id]
    own = own_left(refund)
    if own == amount:
        return
    if as_much_as_fits:
        amount = min(amount, fit(wallet, held_by_kind(refund.customer_id), own=own))
    if own:
        holds.resolve([holds.Resolution(hold_key(refund), None, "frozen anew")], now=now)
    if amount <= 0:
        return
    refund.freezes += 1
    refund.save(update_fields=["freezes"])
    try:
        holds.place(customer_id=refund.customer_id, key=hold_key(refund), kind=Hold.Kind.REFUND, amount=amount, now=now)
    except holds.InsufficientBalance:
        raise RefundError(_("The balance no longer covers it.")) from None

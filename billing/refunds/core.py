"""What every step of a refund stands on: its row's lock, its moves, its freeze and what fits."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import F, Sum
from django.utils.translation import gettext as _

from billing.books import chart, holds
from billing.books.kinds import Kind
from billing.books.ledger import Posting, house_account, lock_wallets, post
from billing.books.money import ZERO, floor_cents
from billing.models import Hold, RefundRequest, Wallet
from billing.outbox.kinds import Fact
from billing.refunds.facts import tell
from billing.requests.steps import DAYS, RequestError, Requests
from billing.requests.workdays import due_after

State = RefundRequest.State
Stopped = Callable[[int, datetime], None]
"""Given a request's id and the time: what is to happen when it is sent no longer."""
_stopped: list[Stopped] = []


class RefundError(RequestError):
    """A refund that cannot be asked, decided or sent like this."""


class NotMovable(RefundError):
    """The request is in a state that does not lead there: somebody else was faster."""


class NotAllowed(RefundError):
    """This member of staff may not decide this request."""


REFUNDS = Requests(RefundRequest, prefix="refund_", error=RefundError, not_movable=NotMovable, not_allowed=NotAllowed)
locked, new_number = REFUNDS.locked, REFUNDS.new_number


def when_stopped(act: Stopped) -> None:
    """Let an app give up what it planned for a request that is denied, cancelled or back at the desk.

    It runs in that transaction, under the request's lock; a repeat changes nothing.
    """
    if act not in _stopped:
        _stopped.append(act)


def most_now(refund: RefundRequest) -> Decimal:
    """What of a request could be sent now, USD at 2 places: its own freeze counts as free."""
    most = refundable_now(Wallet.objects.get(pk=refund.customer_id), own=own_left(refund))
    return min(most, floor_cents(max(ZERO, refund.amount - refund.sent)))


def refundable_now(wallet: Wallet, *, own: Decimal = ZERO) -> Decimal:
    """What may be asked back or sent, USD at 2 places: what fits, less what the customer owes for refunds."""
    return fit_less_owed(wallet, held_by_kind(wallet.pk), owed_by(wallet.pk), own=own)


def fit_less_owed(wallet: Wallet, held: dict[str, Decimal], owed: Decimal, *, own: Decimal = ZERO) -> Decimal:
    """As `fit`, less what the customer owes for refunds; USD at 2 places, never below zero."""
    return floor_cents(max(ZERO, fit(wallet, held, own=own) - owed))


def owed_by(customer_id: int) -> Decimal:
    """What a customer owes for refunds that were paid after they had failed, USD."""
    owed = RefundRequest.objects.filter(customer_id=customer_id, excess__gt=0)
    return owed.aggregate(sum=Sum("excess"))["sum"] or ZERO


def move(refund: RefundRequest, to: str, *, now: datetime, **fields: object) -> None:
    """Change a locked request's state, and stop what is sent no longer; raises `NotMovable`."""
    REFUNDS.move(refund, to, now=now, **fields)
    if to not in (State.APPROVED, State.SENDING):
        for stop in _stopped:
            stop(refund.pk, now)


def mark_returned(refund: RefundRequest, *, problem: str, now: datetime) -> None:
    """A locked request is the desk's again, due anew, with what went wrong in words."""
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
    tell(refund, Fact.REFUND_RETURNED, now=now)


def post_for(postings: list[Posting], refund: RefundRequest, now: datetime) -> None:
    """Post a request's transfers as one group, in the name of who decided it; raises what `post` raises."""
    post(postings, now=now, group=refund.key, actor_id=refund.decided_by_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartMoney:
    """What a part moves: `amount` is USD of the balance, `charge_amount` what its provider pays in `currency`.

    `clearing` names the account that leaves, such as `clearing:stripe:USD` or `bank:CNY`. `fee` is as much of
    `charge_amount` as is the top-up's fee, which the house gives back.
    """

    amount: Decimal
    charge_amount: Decimal
    currency: str
    clearing: str
    fee: Decimal = ZERO


def arrival(refund: RefundRequest, part: int | str, money: PartMoney) -> list[Posting]:
    """What a part moves as it arrives: `refunds:in_transit -> clearing`, for CNY by way of the exchange accounts."""
    key, memo, currency = f"{refund.key}:part:{part}:done", refund.number, money.currency
    transit, out = house_account(chart.IN_TRANSIT), house_account(money.clearing)
    fees = []
    if money.fee > 0:
        own = house_account(chart.topup_fees(currency))
        fees = [Posting(f"{key}:fee", Kind.REFUND_FEE, own, out, money.fee, memo)]
    if not money.amount:
        return fees
    if currency == "USD":
        return [Posting(key, Kind.REFUND_DONE, transit, out, money.amount, memo), *fees]
    fx = [Posting(f"{key}:USD", Kind.REFUND_DONE, transit, house_account(chart.fx("USD")), money.amount, memo)]
    if base := money.charge_amount - money.fee:
        fx.append(Posting(f"{key}:{currency}", Kind.REFUND_CHARGE, house_account(chart.fx(currency)), out, base, memo))
    return [*fx, *fees]


def way_back(refund: RefundRequest, part: int | str, money: PartMoney) -> list[Posting]:
    """What `arrival` posted, the other way: the money is in transit again."""
    done = arrival(refund, part, money)
    return [Posting(p.key.replace(":done", ":bounced"), p.kind, p.credit, p.debit, p.amount, p.memo) for p in done]


def add(refund: RefundRequest, *, now: datetime, **amounts: Decimal) -> None:
    """Add to the request's sums, by their fields' names."""
    RefundRequest.objects.filter(pk=refund.pk).update(
        **{name: F(name) + amount for name, amount in amounts.items()}, changed_at=now
    )
    refund.refresh_from_db(fields=[*amounts, "changed_at"])


def held_by_kind(customer_id: int) -> dict[str, Decimal]:
    """What is left of a customer's open holds, USD, by kind; zero for a kind without one."""
    rows = (
        Hold.objects.filter(customer_id=customer_id, state=Hold.State.OPEN)
        .values_list("kind")
        .annotate(left=Sum(F("amount") - F("captured")))
    )
    return dict.fromkeys(Hold.Kind.values, ZERO) | dict(rows)


def fit(wallet: Wallet, held: dict[str, Decimal], *, own: Decimal) -> Decimal:
    """What of the paid balance neither other refunds, disputes nor open requests need, USD at 2 places.

    `own` is what the request itself has frozen.
    """
    free_of_paid = wallet.paid - held[Hold.Kind.REFUND] - held[Hold.Kind.DISPUTE] + own
    return floor_cents(max(ZERO, min(free_of_paid, wallet.available - wallet.exposure + own)))


def hold_key(refund: RefundRequest) -> str:
    """The key of the hold that a request freezes its money with: each freeze has a hold of its own."""
    return refund.key if refund.freezes <= 1 else f"{refund.key}:{refund.freezes}"


def own_left(refund: RefundRequest) -> Decimal:
    """What is left of a request's own hold, USD; zero without one."""
    hold = Hold.objects.filter(pk=hold_key(refund), state=Hold.State.OPEN).first()
    return hold.amount - hold.captured if hold is not None else ZERO


def thaw(refund: RefundRequest, *, now: datetime) -> None:
    """What is left of a request's hold is the customer's again."""
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

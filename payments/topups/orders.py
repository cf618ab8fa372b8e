"""Orders: stored, given a checkout, settled once, given up when their time is over.

Success page, poller and notification all call `settle_topup`. The provider is never called inside a transaction.
"""

import hashlib
import logging
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.crypto import get_random_string
from django.utils.translation import gettext as _

from accounts.models import Customer, User
from billing.books import chart
from billing.books.kinds import Kind
from billing.books.ledger import Posting, house_account, lock_wallets, post
from billing.outbox.kinds import Fact
from core import states
from payments.inbox.retrying import FIRST_RETRY, count_failure
from payments.models import AutoTopUp, TopUp
from payments.providers import registry
from payments.providers.base import CheckoutOrder, Outcome, PaymentFact, ProviderError, ProviderRefused
from payments.topups import late
from payments.topups.facts import tell
from payments.topups.quotes import Quote
from payments.topups.quotes import TopUpError as TopUpError

log = logging.getLogger(__name__)

FIRST_LOOK = timedelta(seconds=3)
CLOCKS_APART = timedelta(hours=1)
AS_THE_FIRST = (
    *("customer", "created_by", "method", "amount", "charge_amount", "charge_currency", "fee_amount", "returns_fee"),
    *("fx_rate", "fx_source", "fx_rate_at", "request", "created_at", "expires_at"),
)
"""What a second payment of an order takes over from it."""


class TopUpNotMovable(Exception):
    """The order is in a state that does not lead there."""


class Result(StrEnum):
    """What `settle_topup` found. UNKNOWN: the provider gave no answer, so ask again; the rest is as in the inbox."""

    CREDITED = "credited"
    REPEATED = "repeated"
    PENDING = "pending"
    CLOSED = "closed"
    MISMATCH = "mismatch"
    UNKNOWN = "unknown"


def new_order(
    *,
    customer: Customer,
    amount: Decimal,
    method: str,
    quoted: Quote,
    locale: str,
    life: timedelta,
    now: datetime,
    user: User | None = None,
    network: str = "",
    three_d_secure: bool = False,
    automatic: AutoTopUp | None = None,
) -> TopUp:
    """Store an order with all that its provider will be asked; who may have one is decided before."""
    return TopUp.objects.create(
        customer=customer,
        created_by=user,
        automatic=automatic,
        number="topup_" + get_random_string(20),
        method=method,
        amount=amount,
        charge_amount=quoted.charge,
        charge_currency=quoted.currency,
        fee_amount=quoted.fee,
        returns_fee=settings.TOPUP_FEE_REFUNDED,
        fx_rate=quoted.rate,
        fx_source=quoted.source,
        fx_rate_at=quoted.at,
        network_hash=network,
        request={
            "subject": f"Chuizi ${amount}",
            "email": user.email if user is not None else "",
            "locale": locale,
            "site": settings.SITE_URL,
            "three_d_secure": three_d_secure,
        },
        expires_at=(now + life).replace(microsecond=0),
        created_at=now,
        changed_at=now,
        next_poll_at=now + FIRST_LOOK,
    )


def start_checkout(*, topup: TopUp, now: datetime) -> None:
    """Ask the provider where to pay; a clear no fails the order and raises `TopUpError`, no clear answer leaves it
    open without a checkout: the poller asks again under the same number.
    """
    try:
        checkout = registry.get(topup.method).start_checkout(order_of(topup))
    except ProviderRefused as error:
        log.error("top-up %s was refused: %s", topup.number, error)
        end(topup, to=TopUp.State.FAILED, now=now)
        refused = _("The payment provider refused this order. Nothing was charged.")
        raise TopUpError(refused, field="method", status=502) from None
    except (ProviderError, LookupError) as error:
        log.warning("top-up %s has no checkout yet: %s", topup.number, error)
        return
    values = {"reference": checkout.reference, "checkout_url": checkout.checkout_url, "qr_code": checkout.qr_code}
    if TopUp.objects.open().filter(pk=topup.pk).update(**values):
        for name, value in values.items():
            setattr(topup, name, value)


def expect_checkout(*, topup: TopUp, now: datetime) -> None:
    """Fail an order that has no checkout by now, for who cannot wait for one; raises `TopUpError`.

    Nobody was led to it, so nobody pays it; should it have been made there, it is watched like any ended one.
    """
    topup.refresh_from_db()
    if topup.state == TopUp.State.OPEN and not topup.has_checkout:
        end(topup, to=TopUp.State.FAILED, now=now)
    if not topup.has_checkout:
        silent = _("The payment provider does not answer. Nothing was charged; please try again.")
        raise TopUpError(silent, field="method", status=503)


def order_of(topup: TopUp) -> CheckoutOrder:
    """The order as the provider is asked for it, the same each time."""
    asked, path = topup.request, registry.SPECS[topup.method].notify_path
    return CheckoutOrder(
        number=topup.number,
        amount=topup.charge_amount,
        currency=topup.charge_currency,
        subject=asked["subject"],
        created_at=topup.created_at,
        expires_at=topup.expires_at,
        notify_url=f"{asked['site']}{path}",
        return_url=f"{asked['site']}/console/topup/{topup.number}",
        email=asked["email"],
        locale=asked["locale"],
        three_d_secure=asked.get("three_d_secure", False),
    )


def settle_topup(*, topup_id: int, now: datetime, payment_id: str = "") -> Result:
    """Ask the provider what became of the payment and, if it was made, credit the wallet, once.

    `payment_id` is the provider's number of a payment that somebody told of: where another one has paid the order, it
    is asked about by itself. An error travels on, is counted on the order, and the poller tries again.
    """
    topup = TopUp.objects.get(pk=topup_id)
    try:
        result = _settle(topup, now=now, payment_id=payment_id)
    except Exception as error:
        count_failure(topup_id, error, now=now)
        raise
    if topup.failures and result not in (Result.CREDITED, Result.UNKNOWN):
        TopUp.objects.filter(pk=topup_id, is_late=False).update(failures=0, failure="")
    return result


def _settle(topup: TopUp, *, now: datetime, payment_id: str) -> Result:
    fact = None
    if topup.state == TopUp.State.PAID:
        if topup.is_late:
            _follow_up(topup.pk, now=now)
        if payment_id in ("", topup.transaction_id):
            return Result.REPEATED
        fact = _find(topup, payment_id)
    fact = fact or _fetch(topup)
    if fact.outcome is Outcome.OK:
        return credit(topup_id=topup.pk, fact=fact, now=now)
    if fact.outcome is Outcome.REJECTED:
        if topup.automatic_id is not None:
            return Result.PENDING  # why it was not made is the room of automatic top-ups' to find out
        if topup.state == TopUp.State.OPEN:
            end(topup, to=TopUp.State.EXPIRED if topup.expires_at <= now else TopUp.State.FAILED, now=now)
        return Result.CLOSED
    return Result.PENDING if fact.outcome is Outcome.PENDING else Result.UNKNOWN


def _fetch(topup: TopUp) -> PaymentFact:
    try:
        return registry.get(topup.method).fetch_payment(number=topup.number, reference=topup.reference)
    except LookupError:
        return PaymentFact(Outcome.UNKNOWN, detail=f"{topup.method} is switched off")


def _find(topup: TopUp, payment_id: str) -> PaymentFact:
    try:
        return registry.get(topup.method).find_payment(payment_id)
    except (ProviderError, LookupError) as error:
        return PaymentFact(Outcome.UNKNOWN, detail=str(error))


def credit(*, topup_id: int, fact: PaymentFact, now: datetime, problem: str = "") -> Result:
    """Compare what was paid with what was ordered, and post it, in one transaction with the order's state.

    What follows has a transaction of its own: its failure is counted and tried again, and undoes nothing. `problem` is
    what staff are to look at besides. A second payment of one order is credited as a top-up of its own.
    """
    result = _credit(topup_id, fact, now=now, problem=problem)
    if result is None:
        return _credit_second(topup_id, fact, now=now)
    if result is Result.CREDITED:
        _follow_up(topup_id, now=now)
    return result


def _credit(topup_id: int, fact: PaymentFact, *, now: datetime, problem: str) -> Result | None:
    """None if another payment has paid it."""
    with transaction.atomic():
        topup = TopUp.objects.select_for_update(no_key=True).get(pk=topup_id)
        if topup.state == TopUp.State.PAID:
            return Result.REPEATED if fact.transaction_id in ("", topup.transaction_id) else None
        if wrong := mismatch(topup, fact):
            return flag(topup, wrong)
        is_late = topup.state != TopUp.State.OPEN and topup.fx_rate is not None
        try:
            with transaction.atomic():
                move(
                    topup,
                    to=TopUp.State.PAID,
                    now=now,
                    transaction_id=fact.transaction_id,
                    paid_at=_paid_at(topup, fact, now=now),
                    problem=problem,
                    is_late=is_late,
                    next_poll_at=now + FIRST_RETRY if is_late else None,
                    failures=0,
                    failure="",
                )
        except IntegrityError:
            return flag(topup, f"transaction {fact.transaction_id} has paid another order")
        _post(topup, now=now)
        tell(topup, Fact.TOPUP_PAID, now=now)
    return Result.CREDITED


def _credit_second(topup_id: int, fact: PaymentFact, *, now: datetime) -> Result:
    """An order that was paid was paid again: the money came, so it is credited, at the same quote and as a late one is,
    and staff ask the customer whether it was meant.
    """
    first = TopUp.objects.get(pk=topup_id)
    if wrong := mismatch(first, fact):
        return flag(first, f"{fact.transaction_id} has paid it a second time: {wrong}")
    mark = hashlib.sha256(f"{first.method}:{fact.transaction_id}".encode()).hexdigest()[:20]
    copied = {name: getattr(first, name) for name in AS_THE_FIRST}
    second, _made = TopUp.objects.get_or_create(
        number=f"topup_{mark}",
        defaults=copied | {"second_of": first, "state": TopUp.State.EXPIRED, "changed_at": now, "next_poll_at": None},
    )
    log.error("top-up %s was paid a second time, by %s", first.number, fact.transaction_id)
    return credit(topup_id=second.pk, fact=fact, now=now, problem=f"{first.number} was paid a second time by this")


def _paid_at(topup: TopUp, fact: PaymentFact, *, now: datetime) -> datetime:
    """By the provider's clock, unless that is beside the time of the order; else when we noticed."""
    at = fact.paid_at
    return at if at is not None and topup.created_at - CLOCKS_APART <= at <= now else now


def _follow_up(topup_id: int, *, now: datetime) -> None:
    try:
        late.decide(topup_id=topup_id, now=now)
    except Exception as error:
        log.exception("what follows the payment of top-up %s failed", topup_id)
        count_failure(topup_id, error, now=now)


def flag(topup: TopUp, problem: str) -> Result:
    """A payment that does not fit credits nothing; staff see why. Always MISMATCH."""
    log.error("top-up %s: %s", topup.number, problem)
    TopUp.objects.filter(pk=topup.pk).update(problem=problem[:200])
    return Result.MISMATCH


def mismatch(topup: TopUp, fact: PaymentFact) -> str:
    """What does not fit between a payment and the order, or ""."""
    if not fact.is_ours:
        return "the payment names another merchant"
    if fact.order_number != topup.order_number:
        return f"the payment is for order {fact.order_number[:40]}"
    if (fact.amount, fact.currency) != (topup.charge_amount, topup.charge_currency):
        return f"paid {fact.amount} {fact.currency[:3]}, ordered {topup.charge_amount} {topup.charge_currency}"
    return "" if fact.transaction_id else "the payment has no transaction id"


def _post(topup: TopUp, *, now: datetime) -> None:
    """`clearing -> paid`, for CNY by way of the two exchange accounts, and the fee; keys state the fact."""
    wallet = lock_wallets([topup.customer_id])[topup.customer_id]
    clearing = house_account(chart.clearing(topup.method, topup.charge_currency))
    group = f"topup:{topup.pk}"
    postings = []
    if topup.fee_amount:
        fees = house_account(chart.topup_fees(topup.charge_currency))
        postings.append(Posting(f"{group}:fee", Kind.TOPUP_FEE, clearing, fees, topup.fee_amount, topup.number))
    if topup.charge_currency == "USD":
        postings += [Posting(group, Kind.TOPUP, clearing, wallet.paid_account, topup.credit, topup.number)]
    else:
        cny, usd = house_account(chart.fx("CNY")), house_account(chart.fx("USD"))
        postings += [
            Posting(f"{group}:CNY", Kind.TOPUP_CHARGE, clearing, cny, topup.base_amount, topup.number),
            Posting(f"{group}:USD", Kind.TOPUP, usd, wallet.paid_account, topup.credit, topup.number),
        ]
    post(postings, now=now, group=group)


def move(topup: TopUp, *, to: str, now: datetime, **fields: object) -> None:
    """Change the state by compare-and-set; raises `TopUpNotMovable`."""
    refused = TopUpNotMovable(f"{topup.number} cannot become {to}")
    states.move(topup, to=to, error=lambda _topup: refused, changed_at=now, **fields)


def end(topup: TopUp, *, to: str, now: datetime, **fields: object) -> bool:
    """Give an open order up; False if it was paid or given up meanwhile."""
    with transaction.atomic():
        try:
            move(topup, to=to, now=now, **fields)
        except TopUpNotMovable:
            return False
        if to == TopUp.State.FAILED:
            tell(topup, Fact.TOPUP_FAILED, now=now)
    return True

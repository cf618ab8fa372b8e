"""Top-ups: open an order, settle it once, give it up when its time is over.

Success page, poller and notification all call `settle_topup`. The provider is never called inside a transaction.
"""

import logging
import re
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.customers import language_of
from accounts.models import Customer, User
from billing import refunds
from billing.ledger import Posting, house_account, lock_wallets, mark_topped_up, post
from billing.money import InvalidAmount, cents, convert_to_cny
from payments import abuse, fx
from payments.models import CARD_VALIDITY, CNY_VALIDITY, Method, TopUp
from payments.providers import registry
from payments.providers.base import CheckoutOrder, Outcome, PaymentFact, ProviderError, ProviderRefused

log = logging.getLogger(__name__)

ALPHABET = string.ascii_letters + string.digits
WRITTEN = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,2})?")
FIRST_LOOK = timedelta(seconds=3)


class TopUpError(Exception):
    """A top-up that cannot be opened as asked; `field` is at fault, the text is for the customer."""

    def __init__(self, message: str, *, field: str, status: int = 400, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.status = status
        self.retry_after = retry_after


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


@dataclass(frozen=True, slots=True)
class Quote:
    """What is paid for a credit: `charge` in `currency`, at `rate` yuan a dollar where it is CNY."""

    charge: Decimal
    currency: str
    rate: Decimal | None = None
    source: str = ""
    at: datetime | None = None


def methods() -> list[str]:
    """The methods that are on, in the order in which they are offered."""
    return [method for method in Method.values if method in registry.providers()]


def quote(*, amount: Decimal, method: str, now: datetime) -> Quote:
    """Raises `TopUpError` when the method cannot be offered now."""
    if registry.get(method).currency == "USD":
        return Quote(charge=amount, currency="USD")
    try:
        rate = fx.current_rate(now=now)
    except fx.NoRate as error:
        log.error("no CNY top-ups: %s", error)
        raise TopUpError(
            _("Alipay and WeChat Pay are paused until the exchange rate is renewed. Please pay by card."),
            field="method",
        ) from None
    sold_at = fx.sold_at(rate)
    charge = convert_to_cny(amount, rate=sold_at)
    return Quote(charge=charge, currency="CNY", rate=sold_at, source=rate.source, at=rate.created_at)


def checked_amount(value: object) -> Decimal:
    """An amount that may be topped up, USD; raises `TopUpError` naming the field.

    A text is taken as it is written: `"1.000"` has three decimals, and `"1e2"` is no amount.
    """
    try:
        if not isinstance(value, str | int | Decimal):
            raise InvalidAmount
        if isinstance(value, str) and not WRITTEN.fullmatch(value.strip()):
            raise InvalidAmount
        amount = cents(value)
    except InvalidAmount:
        raise TopUpError(_("Enter an amount in USD with at most two decimals."), field="amount") from None
    if amount < settings.TOPUP_MIN:
        raise TopUpError(_("A top-up is at least $%(least)s.") % {"least": settings.TOPUP_MIN}, field="amount")
    if amount > settings.TOPUP_MAX:
        raise TopUpError(_("A top-up is at most $%(most)s.") % {"most": settings.TOPUP_MAX}, field="amount")
    return amount


def open_topup(
    *,
    customer: Customer,
    amount: object,
    method: str,
    now: datetime,
    user: User | None = None,
    locale: str = "",
    address: str = "",
    in_transaction: Callable[[str], None] | None = None,
) -> TopUp:
    """Make the order, then ask the provider for a checkout; raises `TopUpError`.

    `address` is the client's; its network is counted. `in_transaction` is called with the order's number in the
    transaction that creates it. When the provider gives no clear answer the order stays open without a checkout, and
    the poller asks again.
    """
    checked = checked_amount(amount)
    if method not in methods():
        offered = ", ".join(methods()) or _("none")
        raise TopUpError(_("Choose one of these methods: %(methods)s.") % {"methods": offered}, field="method")
    with transaction.atomic():
        topup = _create(
            customer=customer,
            amount=checked,
            method=method,
            now=now,
            user=user,
            locale=locale or language_of(customer),
            network=abuse.network_hash(address),
        )
        if in_transaction is not None:
            in_transaction(topup.number)
    start_checkout(topup=topup, now=now)
    return topup


def _create(
    *, customer: Customer, amount: Decimal, method: str, now: datetime, user: User | None, locale: str, network: str
) -> TopUp:
    lock_wallets([customer.pk])  # counts one customer's openings one after another
    if no := abuse.refusal(customer=customer, amount=amount, method=method, network=network, now=now):
        status = 429 if no.retry_after is not None else 400
        raise TopUpError(no.message, field=no.field, status=status, retry_after=no.retry_after)
    quoted = quote(amount=amount, method=method, now=now)
    validity = CARD_VALIDITY if quoted.currency == "USD" else CNY_VALIDITY
    email = user.email if user is not None else ""
    return TopUp.objects.create(
        customer=customer,
        created_by=user,
        number="topup_" + "".join(secrets.choice(ALPHABET) for _ in range(20)),
        method=method,
        amount=amount,
        charge_amount=quoted.charge,
        charge_currency=quoted.currency,
        fx_rate=quoted.rate,
        fx_source=quoted.source,
        fx_rate_at=quoted.at,
        network_hash=network,
        request={
            "subject": f"Chuizi ${amount}",
            "email": email,
            "locale": locale,
            "site": settings.SITE_URL,
            "three_d_secure": abuse.wants_three_d_secure(customer=customer, method=method),
        },
        expires_at=(now + validity).replace(microsecond=0),
        created_at=now,
        changed_at=now,
        next_poll_at=now + FIRST_LOOK,
    )


def start_checkout(*, topup: TopUp, now: datetime) -> None:
    """Ask the provider where to pay; a clear no fails the order, no clear answer leaves it as it is."""
    try:
        checkout = registry.get(topup.method).start_checkout(order_of(topup))
    except ProviderRefused as error:
        log.error("top-up %s was refused: %s", topup.number, error)
        end(topup, to=TopUp.State.FAILED, now=now)
        refused = _("The payment provider refused this order. Nothing was charged.")
        raise TopUpError(refused, field="method", status=502) from None
    except ProviderError as error:
        log.warning("top-up %s has no checkout yet: %s", topup.number, error)
        return
    TopUp.objects.filter(pk=topup.pk).update(
        reference=checkout.reference, checkout_url=checkout.checkout_url, qr_code=checkout.qr_code
    )
    topup.reference, topup.checkout_url = checkout.reference, checkout.checkout_url
    topup.qr_code = checkout.qr_code


def order_of(topup: TopUp) -> CheckoutOrder:
    """The order as the provider is asked for it, the same each time."""
    asked, path = topup.request, NOTIFY_PATHS[topup.method]
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


NOTIFY_PATHS = {
    "stripe": "/payments/stripe/webhook",
    "alipay": "/payments/alipay/notify",
    "wechat": "/payments/wechat/notify",
}


def settle_topup(*, topup_id: int, now: datetime) -> Result:
    """Ask the provider what became of the payment and, if it was made, credit the wallet, once."""
    topup = TopUp.objects.get(pk=topup_id)
    if topup.state == TopUp.State.PAID:
        return Result.REPEATED
    fact = _fetch(topup)
    if fact.outcome is Outcome.OK:
        return credit(topup_id=topup_id, fact=fact, now=now)
    if fact.outcome is Outcome.REJECTED:
        if topup.state == TopUp.State.OPEN:
            end(topup, to=TopUp.State.EXPIRED if topup.expires_at <= now else TopUp.State.FAILED, now=now)
        return Result.CLOSED
    return Result.PENDING if fact.outcome is Outcome.PENDING else Result.UNKNOWN


def _fetch(topup: TopUp) -> PaymentFact:
    try:
        return registry.get(topup.method).fetch_payment(number=topup.number, reference=topup.reference)
    except LookupError:
        return PaymentFact(Outcome.UNKNOWN, detail=f"{topup.method} is switched off")


def credit(*, topup_id: int, fact: PaymentFact, now: datetime) -> Result:
    """Compare what was paid with what was ordered, and post it, in one transaction with the order's state."""
    with transaction.atomic():
        topup = TopUp.objects.select_for_update(no_key=True).get(pk=topup_id)
        if topup.state == TopUp.State.PAID:
            return Result.REPEATED
        if problem := mismatch(topup, fact):
            return _flag(topup, problem)
        has_moved = topup.state != TopUp.State.OPEN and fx.has_moved(topup.fx_rate, now=now)
        try:
            with transaction.atomic():
                move(
                    topup,
                    to=TopUp.State.PAID,
                    now=now,
                    transaction_id=fact.transaction_id,
                    paid_at=now,
                    problem="",
                    next_poll_at=None,
                )
        except IntegrityError:
            return _flag(topup, f"transaction {fact.transaction_id} has paid another order")
        _post(topup, now=now)
        if has_moved:
            _send_back(topup, now=now)
    return Result.CREDITED


def _send_back(topup: TopUp, *, now: datetime) -> None:
    """A payment that came late, after the rate had moved: it goes back whole, and cannot be spent meanwhile."""
    with translation.override(topup.request.get("locale")):
        reason = _("Your payment for %(number)s came after its time, and the exchange rate had moved.") % {
            "number": topup.number
        }
    refunds.send_back(
        customer=topup.customer,
        amount=topup.amount,
        reason=reason,
        reference=topup.number,
        locale=topup.request.get("locale", "en"),
        now=now,
    )


def _flag(topup: TopUp, problem: str) -> Result:
    """A payment that does not fit credits nothing; staff see why."""
    log.error("top-up %s: %s", topup.number, problem)
    TopUp.objects.filter(pk=topup.pk).update(problem=problem[:200])
    return Result.MISMATCH


def mismatch(topup: TopUp, fact: PaymentFact) -> str:
    """What does not fit between a payment and the order, or ""."""
    if not fact.is_ours:
        return "the payment names another merchant"
    if fact.order_number != topup.number:
        return f"the payment is for order {fact.order_number[:40]}"
    if (fact.amount, fact.currency) != (topup.charge_amount, topup.charge_currency):
        return f"paid {fact.amount} {fact.currency[:3]}, ordered {topup.charge_amount} {topup.charge_currency}"
    return "" if fact.transaction_id else "the payment has no transaction id"


def _post(topup: TopUp, *, now: datetime) -> None:
    """`clearing -> paid`, for CNY by way of the two exchange accounts; keys state the fact."""
    wallet = lock_wallets([topup.customer_id])[topup.customer_id]
    clearing = house_account(f"clearing:{topup.method}:{topup.charge_currency}")
    group = f"topup:{topup.pk}"
    if topup.charge_currency == "USD":
        postings = [Posting(group, "topup", clearing, wallet.paid_account, topup.credit, topup.number)]
    else:
        cny, usd = house_account("fx:CNY"), house_account("fx:USD")
        postings = [
            Posting(f"{group}:CNY", "topup_charge", clearing, cny, topup.charge_amount, topup.number),
            Posting(f"{group}:USD", "topup", usd, wallet.paid_account, topup.credit, topup.number),
        ]
    post(postings, now=now, group=group)
    mark_topped_up(customer_id=topup.customer_id)


def move(topup: TopUp, *, to: str, now: datetime, **fields: object) -> None:
    """Change the state by compare-and-set; raises `TopUpNotMovable`."""
    allowed = TopUp.objects.filter(pk=topup.pk, state__in=TopUp.ALLOWED_FROM[to])
    if not allowed.update(state=to, changed_at=now, **fields):
        raise TopUpNotMovable(f"{topup.number} cannot become {to}")
    topup.state = to


def end(topup: TopUp, *, to: str, now: datetime) -> bool:
    """Give an open order up; False if it was paid or given up meanwhile."""
    try:
        move(topup, to=to, now=now)
    except TopUpNotMovable:
        return False
    return True

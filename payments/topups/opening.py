"""Top-ups that a person or a program opens: who may, which open one does for it, and which older ones go.

The provider is never called inside a transaction, nor while the wallet is locked.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import Customer, User
from accounts.people.customers import language_of
from billing.books.ledger import lock_wallets
from payments.models import TopUp
from payments.providers import registry
from payments.topups import abuse, closing
from payments.topups.orders import TopUpNotMovable, new_order, start_checkout
from payments.topups.quotes import Quote, TopUpError, checked_amount, checked_method, quote

log = logging.getLogger(__name__)

TIME_TO_PAY = timedelta(minutes=2)
"""An open order with less time left is not offered again."""


def open_topup(
    *,
    customer: Customer,
    amount: object,
    method: str,
    now: datetime,
    user: User | None = None,
    locale: str = "",
    address: str = "",
    may_reuse: bool = False,
    in_transaction: Callable[[str], None] | None = None,
) -> TopUp:
    """Make the order, then ask the provider for a checkout; raises `TopUpError`.

    `address` is the client's; its network is counted. `in_transaction` is called with the order's number in the
    transaction that creates it. When the provider gives no clear answer the order stays open without a checkout, and
    the poller asks again. With `may_reuse` an unpaid one that the same person opened, over the same sum, does for it.
    Of more than `TOPUP_MOST_OPEN` unpaid ones the oldest are closed.
    """
    checked = checked_amount(amount, method=method)
    checked_method(method)
    with transaction.atomic():
        lock_wallets([customer.pk])  # counts one customer's openings one after another
        if Customer.objects.filter(pk=customer.pk, suspended_at__isnull=False).exists():
            raise TopUpError(_("This account is suspended. Write to support."), field="", status=403)
        quoted = quote(amount=checked, method=method, now=now)
        topup = None
        if may_reuse:
            topup = _same(customer=customer, user=user, amount=checked, method=method, quoted=quoted, now=now)
        if topup is None:
            topup = _create(
                customer=customer,
                amount=checked,
                method=method,
                quoted=quoted,
                now=now,
                user=user,
                locale=locale or language_of(customer),
                network=abuse.network_hash(address),
            )
        if in_transaction is not None:
            in_transaction(topup.number)
    if not topup.has_checkout:
        start_checkout(topup=topup, now=now)
    _close_oldest(customer, now=now)
    return topup


def _same(
    *, customer: Customer, user: User | None, amount: Decimal, method: str, quoted: Quote, now: datetime
) -> TopUp | None:
    """The person's unpaid order that costs the same and leaves time to pay."""
    unpaid = TopUp.objects.unpaid(now=now + TIME_TO_PAY).filter(customer=customer, created_by=user, problem="")
    same = unpaid.filter(method=method, amount=amount, charge_amount=quoted.charge, charge_currency=quoted.currency)
    return same.order_by("-id").first()


def _create(
    *,
    customer: Customer,
    amount: Decimal,
    method: str,
    quoted: Quote,
    now: datetime,
    user: User | None,
    locale: str,
    network: str,
) -> TopUp:
    if no := abuse.refusal(customer=customer, amount=amount, method=method, network=network, now=now):
        status = 429 if no.retry_after is not None else 400
        raise TopUpError(no.message, field=no.field, status=status, retry_after=no.retry_after)
    return new_order(
        customer=customer,
        amount=amount,
        method=method,
        quoted=quoted,
        locale=locale,
        life=registry.SPECS[method].order_life,
        user=user,
        network=network,
        three_d_secure=abuse.wants_three_d_secure(customer=customer, method=method),
        now=now,
    )


def _close_oldest(customer: Customer, *, now: datetime) -> None:
    """Close the oldest unpaid orders, so that no more are left than may be, nor than a new customer's day has room
    for. The newest stays. Where a provider does not answer, the poller goes on closing.
    """
    room = abuse.daily_room(customer=customer, now=now, with_unpaid=False)
    for number, topup in enumerate(TopUp.objects.unpaid(now=now).filter(customer=customer).order_by("-id")):
        if room is not None:
            room -= topup.amount
        if number == 0 or (number < settings.TOPUP_MOST_OPEN and (room is None or room >= 0)):
            continue
        try:
            closing.cancel(topup_id=topup.pk, now=now)
        except TopUpNotMovable:
            continue  # paid or closed meanwhile
        except Exception:
            log.exception("top-up %s was not closed yet", topup.number)

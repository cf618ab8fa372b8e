"""Early fraud warnings: a card network says that a payment was probably fraud.

Spending stops, and a refund in full is proposed to the desk; a refund costs less than the dispute that follows.
Lock order: the top-up, the wallet, the customer's suspension, then holds.
"""

import logging
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_noop

from accounts.people import customers
from billing import refunds
from billing.books.ledger import lock_wallets
from billing.models import RefundRequest
from payments.automatic import cards
from payments.disputes.cases import provider_of, topup_of
from payments.models import AutoTopUp, FraudWarning, TopUp

log = logging.getLogger(__name__)

SUSPENDED = gettext_noop("the card issuer reports a payment as fraud") + " ({number})"


def settle_warning(*, provider: str, warning_id: str, now: datetime) -> FraudWarning | None:
    """Act on a warning, once; a repeat returns the first. None if the payment is none of ours.

    Raises `ProviderError`, `LookupError`, and `disputes.NotYet` while the payment is not credited but may be.
    """
    known = FraudWarning.objects.filter(provider=provider, provider_id=warning_id).first()
    if known is not None:
        return known
    fact = provider_of(provider).fetch_warning(warning_id)
    topup = topup_of(provider=provider, payment_id=fact.payment_id, now=now)
    warned = AutoTopUp.Off.FRAUD_WARNING  # first, as a warning that is known is not fetched again
    cards.distrust(provider=provider, fingerprint=fact.card, topup=topup, reason=warned, now=now)
    if topup is None:
        log.error("early fraud warning %s is about the unknown payment %s", warning_id, fact.payment_id)
        return None
    with transaction.atomic():
        topup = TopUp.objects.select_for_update(no_key=True).get(pk=topup.pk)
        lock_wallets([topup.customer_id])
        warning, is_new = FraudWarning.objects.get_or_create(
            provider=provider,
            provider_id=warning_id,
            defaults={"topup": topup, "customer_id": topup.customer_id, "kind": fact.kind[:60], "created_at": now},
        )
        if is_new:
            _act(warning, topup, now=now)
    return warning


def _act(warning: FraudWarning, topup: TopUp, *, now: datetime) -> None:
    customer = topup.customer
    if not customer.is_suspended:
        customers.suspend(customer=customer, reason=SUSPENDED.format(number=topup.number), now=now)
    wanted = topup.amount - topup.refunded
    amount = min(wanted, refunds.refundable(customer_id=customer.pk).amount)
    if topup.disputed > 0:
        warning.problem = "the payment is disputed already"
    elif amount <= 0:
        warning.problem = "nothing of the payment is left to refund"
    else:
        warning.refund = refunds.ask(
            customer=customer,
            amount=amount,
            reason=f"Early fraud warning ({warning.kind or 'unknown'}) for {topup.number}",
            reference=warning.provider_id,
            origin=RefundRequest.Origin.FRAUD_WARNING,
            now=now,
        )
        if amount < wanted:
            warning.problem = f"only {amount} of {wanted} USD are left in the wallet"
    warning.save(update_fields=["problem", "refund"])

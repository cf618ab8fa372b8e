"""A provider is asked what became of a part, and told to pay it if it never was."""

import logging
from datetime import datetime

from django.conf import settings
from django.db.models import F, QuerySet

from accounts.models import Customer
from billing.models import RefundRequest
from payments.models import RefundPart
from payments.providers import registry
from payments.providers.base import EXTERNAL_KEY_PREFIX, RefundFact, RefundOrder, RefundOutcome
from payments.refunds.booking import PartError, book

log = logging.getLogger(__name__)

State = RefundPart.State
MOST_ATTEMPTS = 5


def look(*, part_id: int, now: datetime, is_first: bool = False) -> RefundOutcome:
    """Find out what became of a part, and send it if it was never made; book the outcome.

    A part on its first way is sent without asking: its number is new. One that failed here is asked about too. What
    somebody booked while the answer was on its way may be newer than it: then it is asked for again. No trace without
    proof is UNKNOWN to who asks.
    """
    for _attempt in range(MOST_ATTEMPTS):
        part = RefundPart.objects.select_related("topup", "refund").get(pk=part_id)
        if not part.was_with_provider or part.state == State.PLANNED:
            return RefundOutcome.MISSING
        if not is_first:
            RefundPart.objects.filter(pk=part.pk).update(attempts=F("attempts") + 1)
        fact = _ask(part, is_first=is_first)
        if book(part_id=part_id, fact=fact, now=now, seen=part):
            return fact.outcome if fact.is_proof else RefundOutcome.UNKNOWN
        is_first = False
    return RefundOutcome.UNKNOWN


def _ask(part: RefundPart, *, is_first: bool) -> RefundFact:
    order = order_of(part)
    method = part.topup.method if part.topup is not None else ""
    try:
        provider = registry.get(method)
    except LookupError:
        log.warning("part %s waits for %s, which is switched off", part.key, method)
        return RefundFact(RefundOutcome.UNKNOWN, detail=f"{method} is switched off")
    try:
        fact = RefundFact(RefundOutcome.MISSING) if is_first else provider.fetch_refund(order)
        if fact.outcome is RefundOutcome.MISSING and part.state == State.SENDING:
            fact = provider.send_refund(order)
    except Exception as error:  # whatever it was, the money may have moved: it is no answer
        log.exception("part %s: %s gave no answer that can be read", part.key, method)
        return RefundFact(RefundOutcome.UNKNOWN, detail=f"{method}: {type(error).__name__}")
    return fact


def look_by_key(*, key: str, now: datetime) -> RefundOutcome:
    """A notification speaks of a part; what it says itself is believed in nothing. Raises `RefundPart.DoesNotExist`."""
    return look(part_id=RefundPart.objects.values_list("pk", flat=True).get(key=key), now=now)


def order_of(part: RefundPart) -> RefundOrder:
    """The part as its provider is asked for it, the same each time."""
    topup = part.topup
    if topup is None or part.charge_amount is None:
        raise PartError("this part has no way back through a provider")
    path = registry.SPECS[topup.method].refund_notify_path
    return RefundOrder(
        # Where numbers are unique within a payment alone, a refund begun there may go by one that was taken.
        key=part.provider_id if part.key.startswith(EXTERNAL_KEY_PREFIX) else part.key,
        order_number=topup.order_number,
        transaction_id=topup.transaction_id,
        amount=part.charge_amount,
        total=topup.charge_amount,
        currency=part.charge_currency,
        notify_url=f"{topup.request.get('site', settings.SITE_URL)}{path}",
        refund_id=part.provider_id,
    )


def of_customer(customer: Customer) -> QuerySet[RefundRequest]:
    """A customer's refund requests with what is shown of them."""
    return RefundRequest.objects.filter(customer=customer).prefetch_related("parts__topup")

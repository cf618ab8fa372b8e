"""Disputes, warnings and refunds begun at a provider whose notifications never came: its own lists tell of them."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from django.db.models import Q

from payments.disputes.cases import NotYet, settle_dispute, topup_of
from payments.disputes.fraud_warnings import settle_warning
from payments.models import Dispute, FraudWarning, RefundPart
from payments.providers import registry
from payments.providers.base import DisputingProvider, Happened, ProviderError, ProviderRefund, RefundOutcome
from payments.refunds.external import DoesNotFit, settle_refunds

log = logging.getLogger(__name__)

LATELY = timedelta(days=3)
"""How far back lists are read: as long as a provider repeats a notification."""
OLDEST = timedelta(days=180)
"""A dispute that is undecided for longer is left to its own events."""


def look_for_events(*, now: datetime) -> None:
    """Settle what happened lately, and what is undecided, at each provider that lists it."""
    for code, provider in registry.providers().items():
        if not isinstance(provider, DisputingProvider):
            continue
        try:
            happened = provider.happened(since=now - LATELY)
        except ProviderError as error:
            log.warning("%s does not say what happened: %s", code, error)
            continue
        for name, act in _acts(code, happened, now=now):
            try:
                act()
            except (ProviderError, NotYet, DoesNotFit) as error:
                log.warning("%s: %s", name, error)


def _acts(code: str, happened: Happened, *, now: datetime) -> list[tuple[str, Callable[[], object]]]:
    undecided = Dispute.objects.filter(provider=code, opened_at__gt=now - OLDEST).exclude(status__in=Dispute.OVER)
    disputes = {*happened.disputes, *undecided.values_list("provider_id", flat=True)}
    known = FraudWarning.objects.filter(provider=code, provider_id__in=happened.warnings)
    warnings = {*happened.warnings} - {*known.values_list("provider_id", flat=True)}
    payments = {payment for payment, refund in happened.refunds if payment and not _is_settled(refund)}
    return [
        *((name, partial(settle_dispute, provider=code, dispute_id=name, now=now)) for name in sorted(disputes)),
        *((name, partial(settle_warning, provider=code, warning_id=name, now=now)) for name in sorted(warnings)),
        *((name, partial(_settle_payment, code, name, now)) for name in sorted(payments)),
    ]


def _is_settled(refund: ProviderRefund) -> bool:
    """Whether our parts tell the same of it already; one that failed and was never booked needs nothing."""
    parts = RefundPart.objects.filter(Q(provider_id=refund.refund_id) | Q(key=refund.key or refund.refund_id))
    if refund.outcome is RefundOutcome.FAILED:
        return not parts.filter(state__in=RefundPart.STANDING).exists()
    by_provider = Q(confirmed_by__isnull=True) | Q(paid_there=True)
    return refund.outcome is RefundOutcome.DONE and parts.filter(by_provider, state=RefundPart.State.DONE).exists()


def _settle_payment(code: str, payment_id: str, now: datetime) -> None:
    topup = topup_of(provider=code, payment_id=payment_id, now=now)
    if topup is not None:
        settle_refunds(topup_id=topup.pk, key="", now=now)

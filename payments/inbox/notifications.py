"""The inbox: verify, store, acknowledge; the work is done afterwards, by what is stored."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import F
from prometheus_client import Counter

from accounts.models import User
from payments import refunds
from payments.automatic import cards
from payments.disputes.cases import NotYet, settle_dispute, topup_of
from payments.disputes.fraud_warnings import settle_warning
from payments.inbox import refused
from payments.inbox.retrying import FIRST_RETRY, retry_delay
from payments.models import Notification, RefundPart, SavedCard, TopUp
from payments.providers import registry
from payments.providers.base import (
    REFUND_KEY_PREFIX,
    BadSignature,
    ProviderRefused,
    ProviderUnavailable,
    RefundOutcome,
)
from payments.refunds.external import DoesNotFit, settle_refunds
from payments.topups.orders import Result, flag, settle_topup

log = logging.getLogger(__name__)

MOST_BYTES = 256_000
MOST_ATTEMPTS = 80
"""Nearly three days at the slowest pace; after that staff may process it again."""
ABOUT_PAYMENTS = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "TRADE_",
    "TRANSACTION.",
)
PAID_KINDS = ("checkout.session.completed", "checkout.session.async_payment_succeeded", "TRADE_SUCCESS", "TRANSACTION.")
Found = tuple[str, str, TopUp | None]
"""An outcome, its detail, and the top-up it is about."""
Act = Callable[["Notification", datetime], Found]
RECEIVED = Counter("chuizi_notifications_total", "Verified notifications by provider.", ["provider"])


def receive(*, provider: str, body: bytes, headers: Mapping[str, str], now: datetime) -> Notification:
    """Verify and store; a repeat is counted. Raises `BadSignature`, and `LookupError` for a provider that is off."""
    reader = registry.get(provider)
    try:
        notice = reader.read_notification(body, headers)
    except BadSignature as error:
        refused.count(provider=provider, reason=str(error), body=body, headers=headers, now=now)
        raise
    RECEIVED.labels(provider).inc()
    key = notice.key
    try:
        with transaction.atomic():
            return Notification.objects.create(
                provider=provider,
                key=key,
                kind=notice.kind,
                order_number=notice.order_number[:64],  # a longer one is another shop's
                reference=notice.reference,
                transaction_id=notice.transaction_id,
                headers=refused.without_secrets(headers),
                body=body.decode("utf-8", "replace").replace("\0", ""),  # PostgreSQL knows no NUL
                received_at=now,
                retry_at=now + FIRST_RETRY,
            )
    except IntegrityError:
        Notification.objects.filter(provider=provider, key=key).update(repeats=F("repeats") + 1)
        return Notification.objects.get(provider=provider, key=key)


def process(*, notification_id: int, now: datetime) -> Notification:
    """Fetch the payment it speaks of again and settle it; what it says itself is believed in nothing.

    Without the provider's answer it stays unprocessed and is taken up again, ever later; an exception travels on.
    """
    # Beforehand, so that whatever ends this attempt, the next one comes.
    Notification.objects.filter(pk=notification_id).update(attempts=F("attempts") + 1)
    notification = Notification.objects.get(pk=notification_id)
    found = _outcome(notification, now=now)
    if found is None:
        retry_at = now + retry_delay(attempts=notification.attempts)
        Notification.objects.filter(pk=notification_id, processed_at__isnull=True).update(
            retry_at=retry_at, detail="the provider has not confirmed it yet"
        )
    else:
        outcome, detail, topup = found
        Notification.objects.filter(pk=notification_id).update(
            processed_at=now, outcome=outcome, detail=detail[:200], topup=topup
        )
    notification.refresh_from_db()
    return notification


def _outcome(notification: Notification, *, now: datetime) -> Found | None:
    """What to record, or None when it cannot be known yet."""
    if notification.order_number.startswith(REFUND_KEY_PREFIX):
        found = _of_refund(notification, now=now)
        if found is None or found[0] != Notification.Outcome.UNKNOWN_ORDER:
            return found
    if notification.reference:
        for kinds, act in BEGUN_THERE:
            if notification.kind.startswith(kinds):
                return _of_provider(notification, act, now=now)
    if not notification.kind.startswith(ABOUT_PAYMENTS):
        return Notification.Outcome.IGNORED, notification.kind, None
    topup = TopUp.objects.filter(number=notification.order_number).first()
    card = SavedCard.objects.filter(number=notification.order_number, provider=notification.provider).first()
    if card is not None:
        return Notification.Outcome.BOOKED, f"card {cards.look(card_id=card.pk, now=now).state}", None
    if topup is None:
        return Notification.Outcome.UNKNOWN_ORDER, notification.order_number, None
    if topup.method != notification.provider:
        problem = f"{notification.provider} tells of it, and it is to be paid by {topup.method}"
        if notification.kind.startswith(PAID_KINDS):
            flag(topup, problem)
        return Notification.Outcome.MISMATCH, problem, topup
    payment_id = notification.transaction_id if notification.kind.startswith(PAID_KINDS) else ""
    result = settle_topup(topup_id=topup.pk, now=now, payment_id=payment_id)
    if result is Result.UNKNOWN or (result is Result.PENDING and topup.state != TopUp.State.OPEN):
        return None  # an order that was given up is hardly polled any more; this notification is what looks after it
    if result is Result.MISMATCH:
        topup.refresh_from_db()
    return str(result), topup.problem, topup


def _of_refund(notification: Notification, *, now: datetime) -> Found | None:
    try:
        outcome = refunds.look_by_key(key=notification.order_number, now=now)
    except RefundPart.DoesNotExist:
        return Notification.Outcome.UNKNOWN_ORDER, notification.order_number, None
    if outcome is RefundOutcome.UNKNOWN:
        return None
    topup = TopUp.objects.filter(refund_parts__key=notification.order_number).first()
    return Notification.Outcome.BOOKED, f"refund {outcome.value}", topup


def _of_provider(notification: Notification, act: Act, *, now: datetime) -> Found | None:
    """What the provider began by itself; its own number says what."""
    try:
        return act(notification, now)
    except (ProviderUnavailable, NotYet, LookupError):
        return None
    except ProviderRefused as error:
        return Notification.Outcome.UNKNOWN_ORDER, f"{notification.reference}: {error}", None


def _dispute(notification: Notification, now: datetime) -> Found:
    dispute = settle_dispute(provider=notification.provider, dispute_id=notification.reference, now=now)
    if dispute.topup is None:
        return Notification.Outcome.UNKNOWN_ORDER, dispute.problem, None
    if dispute.problem:
        return Notification.Outcome.MISMATCH, dispute.problem, dispute.topup
    return Notification.Outcome.BOOKED, f"dispute {dispute.status}", dispute.topup


def _warning(notification: Notification, now: datetime) -> Found:
    warning = settle_warning(provider=notification.provider, warning_id=notification.reference, now=now)
    if warning is None:
        return Notification.Outcome.UNKNOWN_ORDER, notification.reference, None
    return Notification.Outcome.BOOKED, warning.problem or "refund proposed", warning.topup


def _card_refund(notification: Notification, now: datetime) -> Found:
    topup = topup_of(provider=notification.provider, payment_id=notification.reference, now=now)
    return _refund_of(topup, notification, now=now)


def _qr_refund(notification: Notification, now: datetime) -> Found:
    topup = TopUp.objects.filter(method=notification.provider, number=notification.order_number).first()
    if topup is not None and settle_topup(topup_id=topup.pk, now=now) in (Result.PENDING, Result.UNKNOWN):
        raise NotYet(f"{topup.number} is not settled")
    return _refund_of(topup, notification, now=now)


def _refund_of(topup: TopUp | None, notification: Notification, *, now: datetime) -> Found:
    if topup is None:
        return Notification.Outcome.UNKNOWN_ORDER, notification.order_number or notification.reference, None
    topup.refresh_from_db()
    if topup.state != TopUp.State.PAID:
        return Notification.Outcome.CLOSED, "refunded before it was credited", topup
    try:
        booked = settle_refunds(topup_id=topup.pk, key=notification.reference, now=now)
    except DoesNotFit as error:
        log.error("notification %s: %s", notification.pk, error)
        return Notification.Outcome.MISMATCH, str(error), topup
    if not booked:
        return Notification.Outcome.REPEATED, "nothing new was refunded", topup
    return Notification.Outcome.BOOKED, ", ".join(refund.number for refund in booked), topup


BEGUN_THERE: tuple[tuple[str | tuple[str, ...], Act], ...] = (
    ("charge.dispute.", _dispute),
    ("radar.early_fraud_warning.", _warning),
    (("charge.refund", "refund."), _card_refund),
    (("TRADE_", "REFUND."), _qr_refund),
)
"""What to do about events that no order of ours caused, by how their kind begins."""


def look_at(*, notification_id: int, by: User) -> int:
    """Somebody has looked at what does not fit: this one, and all that told of the same. How many they were."""
    one = Notification.objects.get(pk=notification_id)
    same = Notification.objects.not_fitting().filter(provider=one.provider, reference=one.reference)
    return same.update(seen_by=by)


def claim_unprocessed(*, now: datetime, most: int = 200) -> list[int]:
    """Notifications whose processing was lost or is to be tried again, each with its next turn set."""
    with transaction.atomic():
        waiting = Notification.objects.filter(
            processed_at__isnull=True, retry_at__lte=now, attempts__lt=MOST_ATTEMPTS
        ).select_for_update(skip_locked=True, no_key=True)
        claimed = list(waiting.order_by("retry_at")[:most])
        for notification in claimed:
            Notification.objects.filter(pk=notification.pk).update(
                retry_at=now + retry_delay(attempts=notification.attempts + 1)
            )
    return [notification.pk for notification in claimed]

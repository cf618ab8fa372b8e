"""The inbox: verify, store, acknowledge; the work is done afterwards, by what is stored."""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import F

from payments import topups
from payments.models import Notification, TopUp
from payments.providers import registry

log = logging.getLogger(__name__)

MOST_BYTES = 256_000
MOST_ATTEMPTS = 20
SECRET_HEADERS = frozenset({"cookie", "authorization", "x-api-key"})
RETRY_AFTER = timedelta(seconds=5)
ABOUT_PAYMENTS = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "TRADE_",
    "TRANSACTION.",
)


def receive(*, provider: str, body: bytes, headers: Mapping[str, str], now: datetime) -> Notification:
    """Verify and store; a repeat is counted. Raises `BadSignature`, and `LookupError` for a provider that is off."""
    notice = registry.get(provider).read_notification(body, headers)
    key = notice.key or f"{notice.kind}:{notice.order_number}"
    try:
        with transaction.atomic():
            return Notification.objects.create(
                provider=provider,
                key=key[:200],
                kind=notice.kind[:100],
                order_number=notice.order_number[:64],
                headers={name: value for name, value in headers.items() if name.lower() not in SECRET_HEADERS},
                body=body.decode("utf-8", "replace").replace("\x00", ""),
                received_at=now,
            )
    except IntegrityError:
        Notification.objects.filter(provider=provider, key=key[:200]).update(repeats=F("repeats") + 1)
        return Notification.objects.get(provider=provider, key=key[:200])


def process(*, notification_id: int, now: datetime) -> Notification:
    """Fetch the payment it speaks of again and settle it; what it says itself is believed in nothing."""
    notification = Notification.objects.get(pk=notification_id)
    outcome, detail, topup = _outcome(notification, now=now)
    Notification.objects.filter(pk=notification_id).update(
        processed_at=now, outcome=outcome, detail=detail[:200], topup=topup, attempts=F("attempts") + 1
    )
    notification.refresh_from_db()
    return notification


def _outcome(notification: Notification, *, now: datetime) -> tuple[str, str, TopUp | None]:
    if not notification.kind.startswith(ABOUT_PAYMENTS):
        return Notification.Outcome.IGNORED, notification.kind, None
    topup = TopUp.objects.filter(number=notification.order_number).first()
    if topup is None:
        return Notification.Outcome.UNKNOWN_ORDER, notification.order_number, None
    if topup.method != notification.provider:
        return Notification.Outcome.MISMATCH, f"the order is to be paid by {topup.method}", topup
    result = topups.settle_topup(topup_id=topup.pk, now=now)
    if result is topups.MISMATCH:
        topup.refresh_from_db()
    return str(result), topup.problem, topup


def unprocessed(*, now: datetime, limit: int = 200) -> list[int]:
    """Notifications whose processing was lost or failed, oldest first."""
    waiting = Notification.objects.filter(
        processed_at__isnull=True, received_at__lte=now - RETRY_AFTER, attempts__lt=MOST_ATTEMPTS
    )
    return list(waiting.order_by("received_at").values_list("pk", flat=True)[:limit])


def count_failure(*, notification_id: int) -> None:
    Notification.objects.filter(pk=notification_id).update(attempts=F("attempts") + 1)

"""Celery tasks of top-ups. Each carries an id and makes one domain call; the lists stand in PostgreSQL."""

import logging

from celery import shared_task
from django.utils import timezone

from payments import notifications, topups

log = logging.getLogger(__name__)


@shared_task
def poll_topups() -> None:
    """Hand every open order whose turn it is to a task of its own."""
    for topup_id in topups.claim_due(now=timezone.now()):
        poll_topup.delay(topup_id)


@shared_task
def poll_topup(topup_id: int) -> None:
    topups.poll(topup_id=topup_id, now=timezone.now())


@shared_task
def process_notifications() -> None:
    for notification_id in notifications.unprocessed(now=timezone.now()):
        process_notification.delay(notification_id)


@shared_task
def process_notification(notification_id: int) -> None:
    try:
        notifications.process(notification_id=notification_id, now=timezone.now())
    except Exception:
        notifications.count_failure(notification_id=notification_id)
        raise

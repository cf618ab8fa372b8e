"""Celery tasks of top-ups. Each carries an id and makes one domain call; the lists stand in PostgreSQL."""

import logging
from typing import Any

from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError

from billing.outbox import readers
from core.outside import outside
from payments import refunds
from payments.automatic import attempts, cards, looking
from payments.inbox import catch_up, notifications
from payments.statements import reconcile
from payments.topups import polling

log = logging.getLogger(__name__)

POLL_EXPIRES_SECONDS = 60
"""An order that no worker came to by then has its next turn anyway; a slow provider piles nothing up."""


def wake(task: Any, identifier: int) -> None:
    """Hand over to a worker at once. A broker that is down costs seconds, not the work: beat's rounds find it."""
    try:
        with outside():
            task.apply_async((identifier,), retry_policy={"max_retries": 1, "interval_start": 0, "interval_max": 0})
    except (OperationalError, OSError) as error:
        log.warning("no broker for %s %s: %s", task.name, identifier, type(error).__name__)


@shared_task(name="payments.tasks.poll_topups")
def poll_topups() -> None:
    """Hand every order whose turn it is to a task of its own."""
    for topup_id in polling.claim_due(now=timezone.now()):
        poll_topup.apply_async((topup_id,), expires=POLL_EXPIRES_SECONDS)


@shared_task(name="payments.tasks.poll_topup")
def poll_topup(topup_id: int) -> None:
    polling.poll(topup_id=topup_id, now=timezone.now())


@shared_task(name="payments.tasks.look_at_balances")
def look_at_balances() -> None:
    """Hand every automatic top-up that is to be looked at, and every card that is entered or leaves, to a task."""
    now = timezone.now()
    readers.read(looking.READER, now=now)
    for card_id in cards.claim_due(now=now):
        look_at_card.delay(card_id)
    for agreement_id in looking.claim_due(now=now):
        top_up_if_low.delay(agreement_id)


@shared_task(name="payments.tasks.look_at_card")
def look_at_card(card_id: int) -> None:
    cards.look(card_id=card_id, now=timezone.now())


@shared_task(name="payments.tasks.top_up_if_low")
def top_up_if_low(agreement_id: int) -> None:
    attempts.look(agreement_id=agreement_id, now=timezone.now())


@shared_task(name="payments.tasks.process_notifications")
def process_notifications() -> None:
    """Hand every notification that was not processed to a task of its own."""
    for notification_id in notifications.claim_unprocessed(now=timezone.now()):
        process_notification.delay(notification_id)


@shared_task(name="payments.tasks.process_notification")
def process_notification(notification_id: int) -> None:
    notifications.process(notification_id=notification_id, now=timezone.now())


@shared_task(name="payments.tasks.send_refunds")
def send_refunds() -> None:
    """Hand every approved refund to a task of its own."""
    for refund_id in refunds.claim_requests(now=timezone.now()):
        send_refund.delay(refund_id)


@shared_task(name="payments.tasks.send_refund")
def send_refund(refund_id: int) -> None:
    refunds.send(refund_id=refund_id, now=timezone.now())


@shared_task(name="payments.tasks.look_at_refunds")
def look_at_refunds() -> None:
    """Ask about every part whose turn it is."""
    for part_id in refunds.claim_parts(now=timezone.now()):
        look_at_refund.delay(part_id)


@shared_task(name="payments.tasks.look_at_refund")
def look_at_refund(part_id: int) -> None:
    refunds.look(part_id=part_id, now=timezone.now())


@shared_task(name="payments.tasks.look_for_events")
def look_for_events() -> None:
    """What a provider began by itself and its notifications did not bring."""
    catch_up.look_for_events(now=timezone.now())


@shared_task(name="payments.tasks.fetch_statements")
def fetch_statements() -> None:
    """Fetch and match every provider's days that are over and have no statement yet."""
    reconcile.reconcile_due(now=timezone.now())

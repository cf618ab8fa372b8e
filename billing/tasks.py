"""Celery tasks of the books."""

from celery import shared_task
from django.utils import timezone

from billing.months import journal
from billing.outbox import alerts, mail


@shared_task(name="billing.tasks.send_mail")
def send_mail() -> None:
    """Send the mail that is waiting."""
    mail.send_due(now=timezone.now())


@shared_task(name="billing.tasks.watch")
def watch() -> None:
    """Tell the operator what turned red or green on the desk's first page."""
    alerts.watch(now=timezone.now())
    alerts.post_due(now=timezone.now())


@shared_task(name="billing.tasks.close_days")
def close_days() -> None:
    """Store the totals of the days that are over."""
    journal.close_days(now=timezone.now())


@shared_task(name="billing.tasks.audit")
def audit() -> None:
    """The nightly audit; its result stands on the desk's first page."""
    journal.run_audit(now=timezone.now())

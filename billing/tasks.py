"""Celery tasks of the books."""

from celery import shared_task
from django.utils import timezone

from billing import alerts, books, mail


@shared_task
def send_mail() -> None:
    """Send the mail that is waiting."""
    mail.send_due(now=timezone.now())


@shared_task
def watch() -> None:
    """Tell the operator what turned red or green on the desk's first page."""
    alerts.watch(now=timezone.now())
    alerts.post_due(now=timezone.now())


@shared_task
def close_days() -> None:
    """Store the totals of the days that are over."""
    books.close_days(now=timezone.now())


@shared_task
def audit() -> None:
    """The nightly audit; its result stands on the desk's first page."""
    books.run_audit(now=timezone.now())

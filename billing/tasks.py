"""Celery tasks of the books."""

from celery import shared_task
from django.utils import timezone

from billing import mail


@shared_task
def send_mail() -> None:
    """Send the mail that is waiting."""
    mail.send_due(now=timezone.now())

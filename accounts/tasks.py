"""Celery tasks of the accounts: what nobody needs any more is thrown away."""

from datetime import timedelta

from celery import shared_task
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from accounts import rates
from accounts.models import IdempotentAnswer

ANSWERS_KEPT = timedelta(hours=24)


@shared_task
def tidy() -> None:
    """Forget sessions that have ended, counts of attempts that are over, and answers kept for a repeat in vain."""
    call_command("clearsessions")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_cache_limits WHERE expires < now()")
    rates.forget(now=timezone.now())
    IdempotentAnswer.objects.filter(created_at__lt=timezone.now() - ANSWERS_KEPT).delete()

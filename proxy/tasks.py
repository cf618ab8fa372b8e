"""Celery tasks of the gateway's books. The work list is in PostgreSQL; a lost task loses nothing."""

from celery import shared_task
from django.utils import timezone

from proxy import settlement


@shared_task
def settle() -> None:
    settlement.settle_all(now=timezone.now())


@shared_task
def sweep() -> None:
    settlement.sweep(now=timezone.now())

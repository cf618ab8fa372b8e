"""Celery: the broker only wakes workers; what there is to do stands in PostgreSQL."""

import os
from typing import Any

from celery import Celery
from celery.signals import beat_init, worker_init, worker_ready
from django.core.exceptions import ImproperlyConfigured

from chuizi.memory import leave_alone

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chuizi.settings")

app = Celery("chuizi")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_ready.connect
def _ready(**_kwargs: Any) -> None:
    leave_alone()


@worker_init.connect
@beat_init.connect
def _starting(**_kwargs: Any) -> None:
    """Celery only logs what a receiver raises; leaving is what stops the start."""
    from billing.months import periods

    try:
        periods.check_at_start()
    except ImproperlyConfigured as error:
        raise SystemExit(str(error)) from None

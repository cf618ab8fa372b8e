"""Celery: the broker only wakes workers; what there is to do stands in PostgreSQL."""

import os
from typing import Any

from celery import Celery
from celery.signals import worker_ready

from chuizi.garbage import collect_rarely

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chuizi.settings")

app = Celery("chuizi")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_ready.connect
def _ready(**_kwargs: Any) -> None:
    collect_rarely()

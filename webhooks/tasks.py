"""Celery tasks of webhooks. What there is to do stands in PostgreSQL; a lost task loses nothing.

The worker of their queue looks by itself, too, so that a dead beat or an emptied broker delays nobody.
"""

import logging
import threading
from time import sleep
from typing import Any

from celery import shared_task
from celery.signals import worker_ready

from core.clock import database_now
from webhooks import claiming, deliveries, delivering, known

log = logging.getLogger(__name__)

QUEUE = "webhooks"
TASK_SECONDS = 4.0
AGAIN_SECONDS = 2.0


@shared_task(name="webhooks.tasks.deliver")
def deliver() -> None:
    """Post what is due."""
    delivering.deliver(seconds=TASK_SECONDS)


@shared_task(name="webhooks.tasks.tidy")
def tidy() -> None:
    """Switch endpoints off that fail for three days, or whose secret is known for too long; forget old deliveries."""
    claiming.end_failing(now=database_now())
    known.end_overdue(now=database_now())
    while deliveries.forget(now=database_now()):
        pass


@worker_ready.connect
def look_without_being_told(sender: Any, **_kwargs: Any) -> None:
    if QUEUE in sender.app.amqp.queues.consume_from:
        threading.Thread(target=_look_for_ever, name="webhooks", daemon=True).start()


def _look_for_ever() -> None:
    while True:
        try:
            delivering.deliver_for_ever()
        except Exception:
            log.exception("webhooks are not delivered; the next look is in %s s", AGAIN_SECONDS)
        sleep(AGAIN_SECONDS)

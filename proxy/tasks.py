"""Celery tasks of the gateway's books. The work list is in PostgreSQL; a lost task loses nothing.

The settlement worker also looks by itself every two seconds, so that a dead beat or an emptied broker delays nobody.
"""

import logging
import threading
from time import monotonic, sleep
from typing import Any

from celery import shared_task
from celery.signals import worker_ready
from django.db import close_old_connections

from core.clock import database_now
from proxy.bills import work as bills
from proxy.gateway.routes import ROUTES
from proxy.health import rows as health
from proxy.health import trying
from proxy.kept import jobs, looking
from proxy.kept import rows as kept
from proxy.learning import rows as learned
from proxy.once import rows as once
from proxy.purchases import dollars, posting
from proxy.rerating import work
from proxy.settlement import counting
from proxy.settlement import settle as settlement

log = logging.getLogger(__name__)

QUEUE = "settlement"
LOOK_SECONDS = 2.0
LOOKS_BETWEEN_SWEEPS = 5
RERATE_SECONDS = 4.0
COUNT_SECONDS = 10.0


@shared_task(name="proxy.tasks.settle")
def settle() -> None:
    settlement.settle_all(now=database_now())


@shared_task(name="proxy.tasks.sweep")
def sweep() -> None:
    settlement.sweep(now=database_now())


@shared_task(name="proxy.tasks.post_purchases")
def post_purchases() -> None:
    posting.post_all_purchases(now=database_now())
    dollars.fill_in(now=database_now())


@shared_task(name="proxy.tasks.count_left")
def count_left() -> None:
    """For some seconds, what was settled by a version that kept no sums of days."""
    until = monotonic() + COUNT_SECONDS
    while counting.count_left() and monotonic() < until:
        pass


@shared_task(name="proxy.tasks.rerate")
def rerate() -> None:
    """For some seconds; what is left is the next turn's, so that no other work waits behind a million requests."""
    until = monotonic() + RERATE_SECONDS
    while work.step(now=database_now()) and monotonic() < until:
        pass


@shared_task(name="proxy.tasks.finish_bills")
def finish_bills() -> None:
    bills.finish_all(now=database_now())


@shared_task(name="proxy.tasks.look_at_jobs")
def look_at_jobs() -> None:
    """Ask upstreams how the background jobs stand that are due."""
    looking.look_at_all(ROUTES.keeper)


@shared_task(name="proxy.tasks.tidy_kept")
def tidy_kept() -> None:
    """Forget what upstreams keep no longer, and what was learned long ago."""
    kept.tidy()
    jobs.tidy()
    learned.tidy()
    health.tidy()


@shared_task(name="proxy.tasks.try_upstream")
def try_upstream(upstream_id: int) -> None:
    """Ask an upstream whose address or key has changed whether it works."""
    trying.try_upstream(upstream_id)


@shared_task(name="proxy.tasks.tidy_once")
def tidy_once() -> None:
    """Forget requests that are not to be known again, with their answers."""
    once.tidy()


@worker_ready.connect
def look_without_being_told(sender: Any, **_kwargs: Any) -> None:
    if QUEUE in sender.app.amqp.queues.consume_from:
        threading.Thread(target=_look_for_ever, name="settlement", daemon=True).start()


def _look_for_ever() -> None:
    looks = 0
    while True:
        sleep(LOOK_SECONDS)
        close_old_connections()
        try:
            settle()
            if looks % LOOKS_BETWEEN_SWEEPS == 0:
                sweep()
        except Exception:
            log.exception("settlement failed; the next look is in %s s", LOOK_SECONDS)
        looks += 1

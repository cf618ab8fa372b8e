"""Workers, beat and broker die or forget: the list of what there is to do is in PostgreSQL, and nothing waits long."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings
from kombu import Connection

from accounts.keys import issuing
from billing.models import Hold, Transfer, Wallet
from proxy import tasks
from proxy.models import Generation
from proxy.prices.loading import load_catalog
from tests.conftest import NOW
from tests.faults.conftest import wait_until
from tests.gateways import GatewayProcess, ask_many, url_of_the_test_database
from tests.proxy.conftest import catalog

ROOT = Path(__file__).resolve().parent.parent.parent
COST = Decimal("0.00042")
pytestmark = pytest.mark.faults


@pytest.fixture
def start_settler() -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """The settlement worker as the Procfile has it; no beat runs."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-W", "ignore", "-m", "celery", "--quiet", "-A", "chuizi", "worker"]
        command += ["-Q", "settlement", "--pool", "threads", "-c", "2", "--loglevel", "ERROR"]
        environment = {**os.environ, "DATABASE_URL": url_of_the_test_database()}
        started.append(subprocess.Popen(command, cwd=ROOT, env=environment))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def empty_the_broker() -> None:
    with Connection(settings.CELERY_BROKER_URL) as connection:
        connection.channel().client.flushall()


def settled() -> int:
    return Generation.objects.filter(state="settled").count()


def test_a_killed_worker_a_dead_beat_and_an_emptied_broker_lose_nothing_and_double_nothing(
    transactional_db, make_customer, upstream, start_settler
):
    load_catalog(catalog(upstream))
    issued = issuing.issue(customer=make_customer("10"), name="k", now=NOW)
    gateway = GatewayProcess().wait()
    tasks.settle.delay()
    tasks.sweep.delay()
    empty_the_broker()  # what beat had said before it died is forgotten too
    worker = start_settler()
    assert asyncio.run(ask_many([gateway.url], issued.text, 150)) == {200: 150}
    wait_until(lambda: settled() > 0, seconds=20)
    assert asyncio.run(ask_many([gateway.url], issued.text, 150)) == {200: 150}
    worker.kill()
    worker.wait()
    start_settler()
    empty_the_broker()
    wait_until(lambda: settled() == 300, seconds=20)
    gateway.stop()
    assert Transfer.objects.filter(kind="usage_bonus").count() == 300
    assert not Hold.objects.filter(state="open").exists()
    wallet = Wallet.objects.get()
    assert (wallet.bonus, wallet.held) == (10 - 300 * COST, 0)

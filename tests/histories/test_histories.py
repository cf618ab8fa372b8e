"""Random histories over the running parts: whatever happens in whatever order, the books are right after each step,
and say in the end what the providers say.

`make histories` tries them for longer; a failure is shrunk to the fewest steps and printed as a program.
"""

import os
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.histories.machine import Histories
from tests.histories.world import NEVER, Providers
from tests.sandbox_server import SandboxServer

SECONDS = int(os.environ.get("HISTORIES_SECONDS", "0"))


@pytest.fixture
def providers(tmp_path: Any, settings: Any) -> Iterator[Providers]:
    server = SandboxServer(state=tmp_path, refund_seconds=NEVER, retry_after=()).start()
    settings.DEBUG = settings.RERATE_UPWARDS = True
    settings.TOPUP_MOST_OPEN = settings.TOPUP_MOST_PER_HOUR = 1000
    settings.TOPUP_NEW_CUSTOMER_DAILY = 0
    card, alipay, wechat = (Decimal("2.9"), Decimal("0.30")), (Decimal(1), Decimal(0)), (Decimal(0), Decimal(0))
    settings.TOPUP_FEES = {"stripe": card, "alipay": alipay, "wechat": wechat}
    settings.TOPUP_FEE_REFUNDED = False
    settings.SITE_URL = server.site_url
    settings.PAYMENT_VARIABLES = {name: server.environment.get(name, "") for name in settings.PAYMENT_VARIABLES}
    yield Providers(server)
    server.stop()


@pytest.mark.timeout(0 if SECONDS else 300)
@pytest.mark.django_db(transaction=True)
def test_whatever_happens_in_whatever_order_the_books_are_right(providers):
    kind = type("Told", (Histories,), {"providers": providers, "seen": set()})
    how = settings(deadline=None, suppress_health_check=list(HealthCheck), database=None)
    if not SECONDS:
        few = settings(how, max_examples=6, stateful_step_count=25, derandomize=True)
        run_state_machine_as_test(kind, settings=few)
        return
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        run_state_machine_as_test(kind, settings=settings(how, max_examples=30, stateful_step_count=60))
        print(f"{round(until - time.monotonic())} s left; came to {', '.join(sorted(kind.seen))}")

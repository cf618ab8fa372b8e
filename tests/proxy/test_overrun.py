"""The one way below zero: who paid is held at the estimate, and all such holds together stay in OVERRUN_LIMIT."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from threading import Event, Thread

import pytest
from aiohttp import web
from django.db import connection

from accounts import keys
from billing.ledger import mark_topped_up
from billing.models import Wallet
from proxy.loading import load_catalog
from proxy.models import Generation
from tests.conftest import NOW
from tests.gateways import BODY, GatewayProcess, ask_many
from tests.proxy.conftest import catalog, settle
from tests.upstream import FakeUpstream, answer, usage

LIMIT = Decimal("1.00")
LONGEST = 10_000
"""Tokens of output, 0.42 USD with the margin; the estimate is a tenth of it."""


@pytest.fixture
def processes(transactional_db, upstream) -> Iterator[list[str]]:
    data = catalog(upstream, max_output_tokens=LONGEST)
    load_catalog(data)
    started = [
        GatewayProcess(OVERRUN_LIMIT=str(LIMIT), DEFAULT_KEY_RPM="0", DEFAULT_CUSTOMER_RPM="0") for _ in range(2)
    ]
    yield [process.wait().url for process in started]
    for process in started:
        process.stop()


class Watch(Thread):
    """Looks at the wallet's exposure as long as the race lasts."""

    def __init__(self) -> None:
        super().__init__()
        self.highest = Decimal(0)
        self.over = Event()

    def run(self) -> None:
        while not self.over.is_set():
            with connection.cursor() as cursor:
                cursor.execute("SELECT coalesce(sum(bound - held), 0) FROM proxy_generation WHERE state <> 'settled'")
                self.highest = max(self.highest, cursor.fetchone()[0])
            time.sleep(0.005)
        connection.close()


def test_the_overrun_limit_is_kept_by_hundreds_of_requests_at_once_over_two_processes(
    processes: list[str], make_customer, upstream: FakeUpstream, monkeypatch
):
    monkeypatch.setitem(BODY, "max_tokens", LONGEST)
    upstream.json = answer(usage=usage(prompt=20, completion=LONGEST))  # each uses all it may

    async def slowly(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.3)
        return web.json_response(upstream.json)

    upstream.handler = slowly
    customer = make_customer("1.00", name="Paid")
    mark_topped_up(customer_id=customer.pk)
    issued = keys.issue(customer=customer, name="k", now=NOW)
    watch = Watch()
    watch.start()
    statuses: Counter[int] = asyncio.run(ask_many(processes, issued.text, 300))
    watch.over.set()
    watch.join()
    assert set(statuses) == {200, 402}
    assert statuses[200] == len(upstream.calls) == Generation.objects.count()
    assert 0 < watch.highest <= LIMIT
    settle()
    wallet = Wallet.objects.get(customer=customer)
    spent = sum(Generation.objects.values_list("cost", flat=True))
    assert wallet.bonus == 0
    assert wallet.paid == Decimal("1.00") - spent
    assert -LIMIT <= wallet.paid < 0
    assert (wallet.held, wallet.exposure) == (0, 0)
    more: Counter[int] = asyncio.run(ask_many(processes, issued.text, 20))
    assert more == {402: 20}

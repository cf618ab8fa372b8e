"""The one way below zero: who paid is held at the estimate, and all such holds together stay in the allowance."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from threading import Event, Thread

import pytest
from aiohttp import web
from django.db import connection, transaction
from django.utils import timezone

from accounts.keys import issuing
from accounts.models import Customer
from billing.books import holds
from billing.books.ledger import Posting, house_account, post
from billing.models import Hold, Wallet
from proxy.models import Generation
from proxy.prices.loading import load_catalog
from tests.conftest import NOW, pay_in, use_up
from tests.gateways import BODY, GatewayProcess, ask_many
from tests.proxy.conftest import catalog, settle
from tests.upstream import FakeUpstream, answer, usage

LIMIT = Decimal("1.00")
LONGEST = 10_000
"""Tokens of output, 0.42 USD with the margin; 1,000 of them are likely."""


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


def race(
    processes: list[str],
    customer: Customer,
    upstream: FakeUpstream,
    *,
    tokens: int,
    meanwhile: Callable[[], None],
    count: int = 300,
    at_once: int = 64,
) -> tuple[Decimal, Wallet]:
    """`count` requests over two gateways, each using all its output; the highest exposure, and the wallet after."""
    upstream.json = answer(usage=usage(prompt=20, completion=tokens))

    async def slowly(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.3)
        return web.json_response(upstream.json)

    upstream.handler = slowly
    issued = issuing.issue(customer=customer, name="k", now=NOW)
    watch, settler = Watch(), Thread(target=meanwhile)
    watch.start()
    settler.start()
    statuses: Counter[int] = asyncio.run(ask_many(processes, issued.text, count, at_once=at_once))
    settler.join()
    watch.over.set()
    watch.join()
    assert set(statuses) == {200, 402}
    assert statuses[200] == len(upstream.calls) == Generation.objects.count()
    while 200 in statuses:  # what settling freed is used up too
        settle()
        statuses = asyncio.run(ask_many(processes, issued.text, 20))
    wallet = Wallet.objects.get(customer=customer)
    assert (wallet.held, wallet.exposure, wallet.bonus) == (0, 0, 0)
    return watch.highest, wallet


@pytest.mark.parametrize(
    ("paid_in", "used", "bonus", "days", "tokens", "floor"),
    [
        pytest.param("20.00", "19.00", "0", 8, LONGEST, "1.00", id="twenty dollars give one"),
        pytest.param("1.00", "0", "0.50", 8, 2_000, "0.05", id="one dollar gives five cents, its bonus nothing"),
        pytest.param("20.00", "19.00", "0.50", 6, LONGEST, "0", id="in the first week there is none"),
    ],
)
def test_the_allowance_is_kept_by_hundreds_of_requests_at_once_over_two_processes(
    processes, make_customer, upstream, monkeypatch, paid_in, used, bonus, days, tokens, floor
):
    monkeypatch.setitem(BODY, "max_tokens", tokens)
    customer = make_customer(bonus, name="Paid")
    pay_in(customer, paid_in, at=timezone.now() - timedelta(days=days))
    if Decimal(used):
        use_up(customer, used)
    highest, wallet = race(processes, customer, upstream, tokens=tokens, meanwhile=lambda: None)
    assert highest <= Decimal(floor)
    assert (highest > 0) == (Decimal(floor) > 0)
    assert wallet.paid >= -Decimal(floor)
    assert (wallet.paid < 0) == (Decimal(floor) > 0)


def test_a_top_up_that_goes_back_meanwhile_takes_its_allowance_with_it(processes, make_customer, upstream, monkeypatch):
    """Half of 20 USD, frozen before, is sent back in the middle: what runs goes on, the rest may overrun by 0.50."""
    monkeypatch.setitem(BODY, "max_tokens", LONGEST)
    customer = make_customer(name="Paid")
    pay_in(customer, "20.00", at=timezone.now() - timedelta(days=8))

    holds.place(customer_id=customer.pk, key="refund:1", kind=Hold.Kind.REFUND, amount=Decimal(10), now=NOW)

    running: list[Decimal] = []

    def refund() -> None:
        while Generation.objects.count() < 5:
            time.sleep(0.01)
        own = Wallet.objects.get(customer=customer).paid_account
        back = Posting("refund:1:part:1:sent", "refund", own, house_account("refunds:in_transit"), Decimal(10))
        with transaction.atomic():
            holds.capture_share(key="refund:1", share=Decimal(10), now=timezone.now())
            running.append(Wallet.objects.get(customer=customer).exposure)
            post([back], now=timezone.now())
        connection.close()

    highest, wallet = race(processes, customer, upstream, tokens=LONGEST, meanwhile=refund, count=60, at_once=4)
    assert 0 < highest <= LIMIT
    assert wallet.paid_in == 10
    assert wallet.paid >= -max(Decimal("0.50"), *running)

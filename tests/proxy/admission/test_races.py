"""Concurrent requests on one wallet, over real HTTP and several gateway processes."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

import aiohttp
import pytest
from django.db import connection, transaction

from accounts.keys import issuing
from billing.books.ledger import lock_wallets
from billing.models import Hold, Transfer, Wallet
from proxy.admission import queue
from proxy.models import Generation
from proxy.prices.loading import load_catalog
from tests.conftest import NOW
from tests.gateways import BODY, GatewayProcess, ask_many
from tests.proxy.conftest import catalog, settle


@pytest.fixture
def two_processes(customer, upstream) -> Iterator[list[str]]:
    """Two gateway processes on the test database."""
    load_catalog(catalog(upstream))
    processes = [GatewayProcess(), GatewayProcess()]
    yield [process.wait().url for process in processes]
    for process in processes:
        process.stop()


def test_concurrent_requests_do_not_pass_one_balance_check_and_drive_the_wallet_negative(
    two_processes, make_customer, upstream
):
    poor = make_customer("0.05", name="Poor")
    issued = issuing.issue(customer=poor, name="k", now=NOW)
    statuses = asyncio.run(ask_many(two_processes, issued.text, 300))
    assert set(statuses) <= {200, 402}
    assert statuses[402] > 0
    assert statuses[200] == len(upstream.calls) == Generation.objects.count() > 0
    assert Wallet.objects.get(customer=poor).available >= 0  # what was metered may have been settled meanwhile
    settle()
    wallet = Wallet.objects.get(customer=poor)
    assert (wallet.available >= 0, wallet.held) == (True, 0)
    assert wallet.bonus == Decimal("0.05") - sum(g.cost for g in Generation.objects.all())
    assert Transfer.objects.filter(kind="usage_bonus").count() == statuses[200]


def test_limits_live_in_the_database_so_replicas_do_not_allow_n_times_the_cap(two_processes, make_customer):
    issued = issuing.issue(customer=make_customer("50", name="Rich"), name="k", now=NOW, rpm_limit=25)
    statuses = asyncio.run(ask_many(two_processes, issued.text, 120))
    assert statuses == {200: 25, 429: 95}


def test_a_locked_wallet_delays_no_other(gateway, make_customer):
    """While somebody else's transaction holds one wallet, the next customer is served at once."""
    slow = make_customer("5", name="Slow")
    slow_key = issuing.issue(customer=slow, name="k", now=NOW)

    async def ask_both() -> Counter[int]:
        waiting = asyncio.create_task(ask_many([gateway.url], slow_key.text, 5))
        await asyncio.sleep(0.2)
        assert await ask_many([gateway.url], gateway.key, 20) == {200: 20}
        assert not waiting.done()
        await asyncio.to_thread(unlock.set)
        return await waiting

    unlock, locked = threading.Event(), threading.Event()

    def hold_the_lock() -> None:
        with transaction.atomic():
            lock_wallets([slow.pk])
            locked.set()
            unlock.wait(4)
        connection.close()

    holder = threading.Thread(target=hold_the_lock)
    holder.start()
    locked.wait(5)
    statuses = asyncio.run(ask_both())
    holder.join()
    assert statuses == {200: 5}


def test_a_wallet_locked_for_too_long_is_503_and_holds_nothing(gateway, customer, monkeypatch):

    monkeypatch.setattr(queue, "WAIT_SECONDS", 0.6)
    locked, done = threading.Event(), threading.Event()

    def hold_the_lock() -> None:
        with transaction.atomic():
            lock_wallets([customer.pk])
            locked.set()
            done.wait(4)
        connection.close()

    holder = threading.Thread(target=hold_the_lock)
    holder.start()
    locked.wait(5)
    response = gateway.chat()
    done.set()
    holder.join()
    assert (response.status_code, response.json()["error"]["code"]) == (503, "provider_unavailable")
    assert response.headers["retry-after"]
    assert gateway.chat().status_code == 200
    time.sleep(0.3)
    assert Hold.objects.filter(state="open").count() == 1


def test_a_waiter_that_leaves_after_the_commit_gets_its_hold_released(gateway, customer, upstream):
    upstream.events = [0.2]

    async def hang_up_at_once() -> None:
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {gateway.key}"}) as session:
            calls = [
                asyncio.create_task(session.post(gateway.url + "/v1/chat/completions", json={**BODY, "stream": True}))
                for _ in range(30)
            ]
            await asyncio.sleep(0.02)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    asyncio.run(hang_up_at_once())
    time.sleep(0.5)  # requests that had arrived are still being admitted
    deadline = time.monotonic() + 5
    while Generation.objects.filter(state="held").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    settle()
    wallet = Wallet.objects.get(customer=customer)
    assert (wallet.held, wallet.exposure) == (0, 0)

"""Streams of two gateways grow on one wallet; one of them is killed in the middle."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import aiohttp
import pytest
from aiohttp import web
from django.utils import timezone

from accounts.keys import issuing
from billing.audit.run import audit
from billing.models import Wallet
from proxy.models import Generation, Lease
from proxy.prices.loading import load_catalog
from proxy.settlement import settle
from tests.conftest import NOW
from tests.faults.conftest import wait_until
from tests.gateways import GatewayProcess
from tests.proxy.conftest import catalog
from tests.spoken import CHAT
from tests.upstream import stream as play

pytestmark = pytest.mark.faults
FUNDS = Decimal(3)
"""Of 17 windows of 0.172 each: two for each of 8 streams, of which each would take eight."""


@pytest.fixture
def key(transactional_db, make_customer, upstream) -> str:
    load_catalog(catalog(upstream, max_output_tokens=30_000))
    return issuing.issue(customer=make_customer(str(FUNDS)), name="k", now=NOW).text


def test_no_more_is_held_than_there_is_and_nothing_of_the_dead_ones_is_charged(key, upstream):
    async def long(request: web.Request) -> web.StreamResponse:
        response = await play(request, list(CHAT.opening))
        for _ in range(300):
            await response.write(CHAT.word("twelve bytes" * 25))
            await asyncio.sleep(0.01)
        return response

    upstream.handler = long
    gateways = [GatewayProcess(), GatewayProcess()]
    for gateway in gateways:
        gateway.wait()
    ended: list[str] = []

    async def ask(session: aiohttp.ClientSession, url: str) -> None:
        body = CHAT.body(stream=True, max_tokens=30_000)
        try:
            async with session.post(url + CHAT.path, json=body) as response:
                ended.append((await response.text())[-4_000:])
        except aiohttp.ClientError:
            pass  # it was killed

    async def ask_all() -> None:
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
            asked = [asyncio.create_task(ask(session, gateways[number % 2].url)) for number in range(8)]
            grown = Generation.objects.filter(hold_changes__isnull=False)
            await asyncio.to_thread(wait_until, grown.exists)
            gateways[1].kill()
            await asyncio.gather(*asked)

    asyncio.run(ask_all())
    assert any('"finish_reason":"length"' in text for text in ended)
    wallet = Wallet.objects.get()
    assert wallet.available >= 0
    Lease.objects.update(renewed_at=timezone.now() - timedelta(seconds=61))
    orphans = settle.sweep(now=timezone.now())
    settle.settle_all(now=timezone.now())
    made = list(Generation.objects.all())
    assert len([one for one in made if one.state == "released"]) == orphans > 0
    assert {one.settlement_reason for one in made if one.state == "settled"} == {"insufficient_balance"}
    assert all((one.cost or 0) <= one.bound for one in made)
    wallet.refresh_from_db()
    assert (wallet.held, wallet.bonus) == (0, FUNDS - sum(one.cost or 0 for one in made))
    assert wallet.bonus >= 0
    assert audit().drifts == []
    gateways[0].stop()

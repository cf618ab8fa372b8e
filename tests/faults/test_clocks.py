"""Clocks that are a minute or an hour apart: nothing in flight is released, and limits count by one clock."""

import asyncio
import os
import subprocess
import sys
import time
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import aiohttp
import httpx2 as httpx
import pytest
from django.utils import timezone

from accounts.keys import issuing
from accounts.limits.slots import slot_of
from accounts.models import ApiRate, KeyMeter
from billing.models import Wallet
from proxy.ids import first_id_of
from proxy.models import Generation, Lease
from proxy.prices.loading import load_catalog
from proxy.settlement import settle
from tests.conftest import NOW
from tests.faults.conftest import wait_until
from tests.gateways import BODY, GatewayProcess, ask_many, url_of_the_test_database
from tests.proxy.conftest import catalog
from tests.upstream import STREAM

pytestmark = pytest.mark.faults
SKEWED = str(Path(__file__).resolve().parent.parent / "skewed")
SKEWS = (-61, 3600)
LONG = [piece for event in STREAM[:4] for piece in (event, 1.5)] + list(STREAM[4:])
SETTLER = """
import django
django.setup()
from proxy import tasks
tasks.settle()
tasks.sweep()
"""


@pytest.fixture
def issued(transactional_db, make_customer, upstream) -> issuing.IssuedKey:
    load_catalog(catalog(upstream))
    ends = timezone.now() + timedelta(minutes=30)
    return issuing.issue(customer=make_customer("10"), name="k", now=NOW, rpm_limit=6, expires_at=ends)


def skewed(seconds: int) -> dict[str, str]:
    return {"CLOCK_SKEW_SECONDS": str(seconds), "PYTHONPATH": SKEWED}


def run_settler(seconds: int) -> None:
    """A settler whose clock is wrong looks once."""
    environment = {"DATABASE_URL": url_of_the_test_database(), "DJANGO_SETTINGS_MODULE": "chuizi.settings"}
    command = [sys.executable, "-c", SETTLER]
    subprocess.run(command, env={**os.environ, **environment, **skewed(seconds)}, check=True, timeout=60)


async def stream_while(url: str, key: str, act) -> str:
    """One stream, and something that is done while it is in flight."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session,
        session.post(url + "/v1/chat/completions", json={**BODY, "stream": True}) as response,
    ):
        await asyncio.to_thread(act)
        return await response.text()


def test_the_clock_of_these_tests_is_wrong():
    told = subprocess.run(
        [sys.executable, "-c", "from datetime import datetime, UTC; import time; print(time.time())"],
        env={**os.environ, **skewed(3600)},
        check=True,
        capture_output=True,
    )
    assert 3590 < float(told.stdout) - time.time() < 3610


@pytest.mark.parametrize("seconds", SKEWS)
def test_a_gateway_whose_clock_is_wrong_keeps_what_it_has_in_flight(issued, upstream, seconds):
    upstream.events = LONG
    gateway = GatewayProcess(**skewed(seconds)).wait()

    def sweep() -> None:
        wait_until(lambda: Generation.objects.filter(state="held").exists())
        assert settle.sweep(now=timezone.now()) == 0
        run_settler(0)

    assert asyncio.run(stream_while(gateway.url, issued.text, sweep)).endswith("data: [DONE]\n\n")
    settle.settle_all(now=timezone.now())
    found = Generation.objects.get()
    assert (found.state, found.cost, found.is_flagged) == ("settled", Decimal("0.00042"), False)
    # What it wrote down is by the clock that all share.
    close = timedelta(seconds=30)
    for moment in (found.created_at, found.metered_at, Lease.objects.get().renewed_at):
        assert abs(moment - timezone.now()) < close
    assert first_id_of(timezone.now() - close) < found.pk < first_id_of(timezone.now() + close)
    assert KeyMeter.objects.get().day == found.created_at.date()
    # So are the account API's rates, and when the key expires.
    assert httpx.get(f"{gateway.url}/v1/credits", headers={"x-api-key": issued.text}).status_code == 200
    assert all(abs(rate.slot - slot_of(timezone.now())) <= 6 for rate in ApiRate.objects.all())
    gateway.stop()


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_settler_whose_clock_is_wrong_releases_nothing_in_flight_and_dates_charges_rightly(issued, upstream, seconds):
    upstream.events = LONG
    gateway = GatewayProcess().wait()

    def sweep() -> None:
        wait_until(lambda: Generation.objects.filter(state="held").exists())
        run_settler(seconds)

    assert asyncio.run(stream_while(gateway.url, issued.text, sweep)).endswith("data: [DONE]\n\n")
    run_settler(seconds)
    found = Generation.objects.get()
    assert (found.state, found.cost) == ("settled", Decimal("0.00042"))
    assert found.metered_at < found.settled_at < timezone.now() + timedelta(seconds=1)
    assert Wallet.objects.get().bonus == 10 - found.cost
    gateway.stop()


def test_a_gateway_that_died_is_swept_whatever_its_clock_said(issued, upstream):
    """Its lease is no younger for having been stamped in an hour to come."""
    upstream.events = [*STREAM[:3], 30.0]
    gateway = GatewayProcess(**skewed(3600)).wait()

    def kill() -> None:
        wait_until(lambda: Generation.objects.filter(state="held").exists())
        gateway.kill()

    with pytest.raises(aiohttp.ClientError):
        asyncio.run(stream_while(gateway.url, issued.text, kill))
    stamped = Lease.objects.get().renewed_at
    assert settle.sweep(now=timezone.now()) == 0
    Lease.objects.update(renewed_at=stamped - timedelta(seconds=61))
    assert settle.sweep(now=timezone.now()) == 1


def test_gateways_whose_clocks_are_apart_share_one_rate(issued, upstream):
    gateways = [GatewayProcess(**skewed(seconds)).wait() for seconds in (3600, -3600)]
    statuses = asyncio.run(ask_many([gateway.url for gateway in gateways], issued.text, 20, at_once=4))
    assert statuses == {200: 6, 429: 14}
    for gateway in gateways:
        gateway.stop()

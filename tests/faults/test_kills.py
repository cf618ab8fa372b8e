"""kill -9 at every stage: afterwards every hold is resolved, nothing is charged twice, nothing committed is lost."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import aiohttp
import psycopg
import pytest
import yaml
from aiohttp import web
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from accounts.keys import issuing
from accounts.models import Customer
from billing.books.grants import grant_bonus
from billing.models import Transfer, Wallet
from chuizi.local.postgres import Postgres
from proxy.models import Generation, Lease
from proxy.prices.loading import load_catalog
from proxy.settlement import settle
from tests.chuizi.local.conftest import state_folder
from tests.conftest import NOW
from tests.faults.conftest import wait_until
from tests.gateways import BODY, GatewayProcess, ask_many, url_of_the_test_database
from tests.proxy.conftest import catalog
from tests.spoken import each_protocol

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = pytest.mark.faults


@pytest.fixture
def issued(transactional_db, make_customer, upstream) -> issuing.IssuedKey:
    load_catalog(catalog(upstream))
    return issuing.issue(customer=make_customer("10"), name="k", now=NOW)


async def leave_streams_open(url: str, body: object, key: str, count: int, until) -> None:
    """Ask for streams that do not end, and stay until `until()`."""

    async def ask(session: aiohttp.ClientSession) -> None:
        try:
            async with session.post(url, json=body) as response:
                await response.read()
        except aiohttp.ClientError:
            pass

    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        tasks = [asyncio.create_task(ask(session)) for _ in range(count)]
        await asyncio.to_thread(until)
        await asyncio.gather(*tasks)


@each_protocol
def test_a_gateway_killed_in_the_middle_leaves_orphans_that_are_released_once_and_cost_nothing(
    issued, upstream, spoken
):
    upstream.events = [*spoken.begun, 8.0]
    gateway = GatewayProcess().wait()

    def kill_when_all_are_in_flight() -> None:
        wait_until(lambda: Generation.objects.filter(state="held").count() == 20 and len(upstream.calls) == 20)
        gateway.kill()

    url, body = gateway.url + spoken.place(stream=True), spoken.body(stream=True)
    asyncio.run(leave_streams_open(url, body, issued.text, 20, kill_when_all_are_in_flight))
    assert settle.sweep(now=timezone.now()) == 0  # its lease is young yet
    Lease.objects.update(renewed_at=timezone.now() - timedelta(seconds=61))
    assert [settle.sweep(now=timezone.now()) for _ in range(2)] == [20, 0]
    assert Generation.objects.filter(settlement_reason="abandoned", is_flagged=True, cost=0).count() == 20
    wallet = Wallet.objects.get()
    assert (wallet.bonus, wallet.held, wallet.exposure) == (10, 0, 0)


def test_a_crash_between_answer_and_settlement_does_not_lose_the_charge(issued, upstream):
    gateway = GatewayProcess().wait()
    statuses = asyncio.run(ask_many([gateway.url], issued.text, 50))
    gateway.kill()
    assert statuses == {200: 50}
    Lease.objects.update(renewed_at=timezone.now() - timedelta(days=1))
    settle.sweep(now=timezone.now())
    settle.settle_all(now=timezone.now())
    assert Transfer.objects.filter(kind="usage_bonus").count() == 50
    wallet = Wallet.objects.get()
    assert (wallet.bonus, wallet.held) == (Decimal(10) - 50 * Decimal("0.00042"), 0)


def test_gateways_killed_at_any_stage_under_load_leave_no_hold_and_charge_nobody_twice(issued, upstream):
    """Three are killed one after another, whatever their requests are at: admitted, under way, metered, answered."""

    async def now_and_then(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.01 * (len(upstream.calls) % 5))
        return web.json_response(upstream.json)

    upstream.handler = now_and_then
    grant_bonus(customer=Customer.objects.get(), amount=Decimal(1000), key="more", reason="test", now=NOW)
    gateways = [GatewayProcess() for _ in range(3)]
    answered: set[str] = set()

    async def call_on(session: aiohttp.ClientSession, gateway: GatewayProcess) -> None:
        while True:
            try:
                async with session.post(gateway.url + "/v1/chat/completions", json=BODY) as response:
                    body = await response.json()
                    assert response.status == 200, body
                    answered.add(body["id"])
            except aiohttp.ClientError:
                return  # it was killed

    async def call_until_all_are_dead() -> None:
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {issued.text}"}) as session:
            callers = [call_on(session, gateway) for gateway in gateways for _ in range(16)]
            calls = [asyncio.create_task(call) for call in callers]
            for gateway, pause in zip(gateways, (0.7, 0.11, 0.23), strict=True):
                await asyncio.sleep(pause)
                await asyncio.to_thread(gateway.kill)
            await asyncio.gather(*calls)

    for gateway in gateways:
        gateway.wait()
    asyncio.run(call_until_all_are_dead())
    Lease.objects.update(renewed_at=timezone.now() - timedelta(seconds=61))
    swept = settle.sweep(now=timezone.now())
    settle.settle_all(now=timezone.now())
    settled = set(Generation.objects.filter(state="settled").values_list("pk", flat=True))
    assert len(answered) > 50
    assert answered <= settled
    orphans = Generation.objects.filter(state="released", settlement_reason="abandoned", is_flagged=True)
    assert orphans.count() == swept == Generation.objects.count() - len(settled)
    assert Transfer.objects.filter(kind="usage_bonus").count() == len(settled)
    wallet = Wallet.objects.get()
    assert (wallet.held, wallet.exposure) == (0, 0)
    call_command("audit_ledger")


def test_a_settler_killed_anywhere_charges_each_generation_once(issued, upstream):
    """Settlers are killed one after another while they work; the last one finishes."""
    gateway = GatewayProcess().wait()
    asyncio.run(ask_many([gateway.url], issued.text, 400))
    gateway.stop()
    code = (
        "import django; django.setup()\n"
        "from datetime import UTC, datetime\n"
        "from proxy.settlement.settle import settle\n"
        "print('at work', flush=True)\n"
        "while settle(now=datetime.now(UTC), most=7): pass\n"
    )
    environment = {
        **os.environ,
        "DATABASE_URL": url_of_the_test_database(),
        "DJANGO_SETTINGS_MODULE": "chuizi.settings",
    }
    for pause in (0.02, 0.05, 0.11):
        settler = subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=ROOT, stdout=subprocess.PIPE)
        settler.stdout.readline()
        time.sleep(pause)
        settler.kill()
        settler.wait()
        settler.stdout.close()
    settled = Generation.objects.filter(state="settled")
    # The last killed one's backend may take a moment to notice, and keeps its batch locked until then.
    wait_until(lambda: settle.settle_all(now=timezone.now()) == 0 and settled.count() == 400)
    assert Transfer.objects.filter(kind="usage_bonus").count() == 400
    wallet = Wallet.objects.get()
    assert (wallet.bonus, wallet.held) == (Decimal(10) - 400 * Decimal("0.00042"), 0)


def test_who_comes_after_postgresqls_connections_broke_is_served_and_the_gateway_stops_when_told(issued):
    """A lost connection's socket number goes to the next client, whom nobody may mistake for PostgreSQL."""

    def of_this_database(sql: str) -> list[tuple[object, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    before = {pid for (pid,) in of_this_database(f"SELECT pid {others}")}
    gateway = GatewayProcess().wait()
    assert asyncio.run(ask_many([gateway.url], issued.text, 20)) == {200: 20}
    for _ in range(3):
        mine = {pid for (pid,) in of_this_database(f"SELECT pid {others}")} - before
        assert len(mine) >= 2, "admission and metering have one each"
        of_this_database(f"SELECT pg_terminate_backend(pid) {others} AND pid = ANY(ARRAY{sorted(mine)})")
        time.sleep(0.2)
        served = asyncio.run(asyncio.wait_for(ask_many([gateway.url], issued.text, 20), timeout=10))
        assert served == {200: 20}
    gateway.stop()


@pytest.fixture
def own_database(upstream) -> Iterator[Postgres]:
    """A durable PostgreSQL of the test's own, with a customer and a catalog."""
    with state_folder() as folder:
        server = Postgres(folder)
        server.start()
        file = folder / "catalog.yaml"
        file.write_text(yaml.safe_dump(catalog(upstream)), encoding="utf-8")
        file.chmod(0o644)
        manage(server, "migrate", "--verbosity", "0")
        manage(server, "load_catalog", str(file))
        manage(server, "create_customer", "--email", "a@example.com")
        manage(server, "grant", "--email", "a@example.com", "--amount", "100", "--reason", "test")
        yield server
        server.stop()


def manage(server: Postgres, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": server.url},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


async def load_through_a_crash(url: str, key: str, server: Postgres) -> tuple[Counter, set[str]]:
    """Requests from 24 callers while PostgreSQL is killed twice; statuses, and the ids answered with 200."""
    statuses: Counter = Counter()
    answered: set[str] = set()
    stop = asyncio.Event()

    async def call_on(session: aiohttp.ClientSession) -> None:
        while not stop.is_set():
            try:
                async with session.post(url + "/v1/chat/completions", json=BODY) as response:
                    body = await response.json()
                    statuses[response.status] += 1
                    if response.status == 200:
                        answered.add(body["id"])
                    else:
                        await asyncio.sleep(0.05)
            except aiohttp.ClientError:
                statuses["broken"] += 1
                await asyncio.sleep(0.05)

    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        callers = [asyncio.create_task(call_on(session)) for _ in range(24)]
        for _ in range(2):
            await asyncio.sleep(1)
            os.kill(server.child.pid, signal.SIGKILL)
            server.child.wait()
            await asyncio.sleep(0.3)
            await asyncio.to_thread(server.start)
        await asyncio.sleep(1.5)
        stop.set()
        await asyncio.gather(*callers)
    return statuses, answered


def test_postgresql_killed_under_load_even_in_the_middle_of_a_commit_loses_and_doubles_nothing(own_database, upstream):
    key = manage(own_database, "issue_key", "--email", "a@example.com", "--name", "k").splitlines()[-1]
    gateway = GatewayProcess(database_url=own_database.url).wait()
    statuses, answered = asyncio.run(load_through_a_crash(gateway.url, key, own_database))
    assert statuses[200] == len(answered) > 200
    assert set(statuses) <= {200, 503}
    time.sleep(1)  # what waited for the database is written
    gateway.stop()
    manage(own_database, "shell", "--no-imports", "-c", SETTLE)
    with psycopg.connect(own_database.url) as database:
        settled = {row[0] for row in database.execute("SELECT id FROM proxy_generation WHERE state = 'settled'")}
        charged = dict(
            database.execute(
                "SELECT split_part(key, ':', 1), count(*) FROM billing_transfer WHERE kind LIKE 'usage%' GROUP BY 1"
            )
        )
        [(bonus, held, exposure)] = database.execute("SELECT bonus, held, exposure FROM billing_wallet")
        [(open_holds,)] = database.execute("SELECT count(*) FROM billing_hold WHERE state = 'open'")
        [(cost,)] = database.execute("SELECT sum(cost) FROM proxy_generation")
    assert answered <= settled
    assert set(charged) == settled
    assert set(charged.values()) == {1}
    assert (held, exposure, open_holds) == (0, 0, 0)
    assert bonus == Decimal("100.5") - cost


SETTLE = (
    "from datetime import UTC, datetime\n"
    "from proxy.settlement import settle\n"
    "from proxy.models import Lease\n"
    "Lease.objects.all().delete()\n"
    "settle.sweep(now=datetime.now(UTC))\n"
    "settle.settle_all(now=datetime.now(UTC))\n"
)

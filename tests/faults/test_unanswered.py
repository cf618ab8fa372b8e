"""A gateway that refused its caller the answer and was killed: what it had sent to PostgreSQL charges nothing."""

import asyncio
import time

import aiohttp
import psycopg
import pytest
from aiohttp import web
from django.core.management import call_command
from django.utils import timezone

from accounts.keys import issuing
from billing.audit.run import audit
from billing.models import Wallet
from proxy.models import Generation, Lease
from proxy.prices.loading import load_catalog
from proxy.settlement import settle
from tests.conftest import NOW
from tests.faults.conftest import wait_until
from tests.gateways import BODY, GatewayProcess, url_of_the_test_database
from tests.proxy.conftest import catalog
from tests.upstream import STREAM, stream

pytestmark = pytest.mark.faults


@pytest.mark.parametrize(("is_stream", "is_replayed"), [(True, True), (False, False)], ids=["stream", "json"])
def test_a_killed_gateway_charges_nobody_whom_it_had_refused_an_answer(
    transactional_db, make_customer, upstream, is_stream, is_replayed, tmp_path, capfd
):
    load_catalog(catalog(upstream))
    customer = make_customer("10")
    key = issuing.issue(customer=customer, name="k", now=NOW).text

    async def slow(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.5)
        return await stream(request, list(STREAM)) if is_stream else web.json_response(upstream.json)

    upstream.handler = slow
    gateway = GatewayProcess(module="tests.impatient").wait()
    started = time.monotonic()

    async def ask(session: aiohttp.ClientSession, **more: object) -> tuple[int, bytes]:
        text = b""
        async with session.post(gateway.url + "/v1/chat/completions", json={**BODY, **more}) as response:
            try:
                async for piece in response.content.iter_any():
                    text += piece
            except aiohttp.ClientError:
                pass
            return response.status, text

    async def story() -> tuple[int, bytes]:
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
            asked = asyncio.create_task(ask(session, stream=is_stream))
            await asyncio.to_thread(wait_until, lambda: Generation.objects.filter(state="held").exists())
            with psycopg.connect(url_of_the_test_database()) as locker:
                locker.execute("SET idle_in_transaction_session_timeout = 0")
                locker.execute("SELECT FROM proxy_generation FOR UPDATE")
                answer = await asked
                gateway.kill()
        return answer

    status, text = asyncio.run(story())
    assert time.monotonic() - started > 3
    assert status == (200 if is_stream else 503)
    assert b"[DONE]" not in text
    time.sleep(0.5)  # a statement that waited would be done by now
    assert not Generation.objects.filter(cost__gt=0).exists()
    if is_replayed:
        log = tmp_path / "log"
        log.write_text(capfd.readouterr().err, encoding="utf-8")
        call_command("replay_meter", log)
        assert Generation.objects.get().output_tokens == 5
    else:
        Lease.objects.all().delete()
        settle.sweep(now=timezone.now())
    settle.settle_all(now=timezone.now())
    assert Generation.objects.get().is_flagged
    wallet = Wallet.objects.get(customer=customer)
    assert (wallet.bonus, wallet.held) == (10, 0)
    assert audit().drifts == []

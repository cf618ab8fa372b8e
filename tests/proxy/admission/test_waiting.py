"""Who waits for holds of its own pays nothing for it: it takes little memory, and no place once its caller has left."""

import asyncio
import http.client
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from aiohttp import web

from accounts.keys import issuing
from chuizi.asgi import gateway as application
from proxy.admission.settle_first import WAIT_SECONDS
from proxy.prices.loading import load_catalog
from tests.conftest import NOW
from tests.faults.conftest import wait_until
from tests.proxy.conftest import Gateway, catalog
from tests.upstream import FakeUpstream

LARGE = "word" * 750


@pytest.fixture
def poor(settings, transactional_db, request, make_customer, upstream: FakeUpstream) -> Iterator[Gateway]:
    """A gateway and a customer whose wallet covers one answer, which is under way and holds it."""
    settings.HOLD_WAIT_SECONDS = 60
    settings.BODY_BUDGET_BYTES = 16 * 4_000  # one large body of a customer may wait
    gateway: Gateway = request.getfixturevalue("gateway")
    patient = catalog(upstream)
    patient["upstreams"][0] |= {"timeout_seconds": 50, "total_timeout_seconds": 60}
    load_catalog(patient)
    gateway.look_at_catalog()
    customer = make_customer("0.05", name="Poor")
    gateway.client.headers["Authorization"] = f"Bearer {issuing.issue(customer=customer, name='k', now=NOW).text}"
    is_over = threading.Event()

    async def silent(_request: web.Request) -> web.StreamResponse:
        while not is_over.is_set():
            await asyncio.sleep(0.02)
        return web.json_response(gateway.spoken.told)

    upstream.handler = silent
    first = threading.Thread(target=lambda: gateway.chat(max_tokens=1000))
    first.start()
    wait_until(lambda: upstream.calls, seconds=10)
    gateway.end_first = is_over.set  # type: ignore[attr-defined]
    yield gateway
    is_over.set()
    first.join()


def waiting() -> int:
    return application._admission._settle_first._patient.total()


def leave_soon(gateway: Gateway, **headers: str) -> None:
    """A request that waits, and whose caller leaves then."""
    line = http.client.HTTPConnection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    body = json.dumps({**gateway.spoken.asked, "max_tokens": 1000}, separators=(",", ":"))
    line.request(
        "POST", gateway.spoken.path, body, {"Authorization": gateway.client.headers["Authorization"], **headers}
    )
    wait_until(lambda: waiting() == 1)
    line.close()


def test_who_leaves_while_it_waits_waits_no_longer(poor):
    leave_soon(poor)
    wait_until(lambda: not waiting())


def test_with_a_key_it_waits_without_its_caller_as_it_may_be_sent_again(poor):
    leave_soon(poor, **{"Idempotency-Key": "order-1"})
    with ThreadPoolExecutor(1) as threads:
        again = threads.submit(poor.chat, max_tokens=1000, headers={"Idempotency-Key": "order-1"})
        wait_until(lambda: [one.readers for found in application._once._by_digest.values() for one in found] == [1])
        assert waiting() == 1
        poor.end_first()
        assert again.result().status_code == 200


def test_those_who_wait_leave_memory_for_the_bodies_of_others(poor):
    large = [{"role": "user", "content": LARGE}]
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(poor.chat, messages=large, max_tokens=100)
        wait_until(lambda: waiting() == 1)
        began = time.monotonic()
        second = poor.chat(messages=large, max_tokens=100)
        assert time.monotonic() - began < 2 * WAIT_SECONDS
        assert (second.status_code, second.headers["x-should-retry"], second.headers["Retry-After"]) == (
            402,
            "true",
            "5",
        )
        assert "is held by 1 request under way" in second.json()["error"]["message"]
        poor.end_first()
        assert first.result().status_code in (200, 402)
    assert not application._admission._settle_first._patient_bytes

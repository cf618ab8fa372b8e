"""A provider that hangs keeps the customers who asked for it waiting, and nobody else."""

import threading
import time

import httpx2 as httpx
import pytest
from django.db import connection

from accounts.keys import issuing
from payments.models import TopUp
from payments.providers import asking
from payments.providers.asking import asking as ask
from payments.providers.base import ProviderUnavailable
from tests.conftest import NOW
from tests.gateways import GatewayProcess
from tests.payments.conftest import confirmed

HANGS_SECONDS = 14


def key_of(customer) -> str:
    return issuing.issue(customer=customer, name="k", now=NOW, scopes=["read", "billing"]).text


@pytest.mark.parametrize("method", ["stripe", "alipay", "wechat"])
def test_who_does_not_ask_a_hanging_provider_is_answered_at_once(
    transactional_db, make_customer, sandbox_server, method
):
    payers = [key_of(confirmed(make_customer(name=f"payer {number}"))) for number in range(7)]
    reader = key_of(make_customer(name="reader"))
    sandbox_server.reset()
    sandbox_server.fault("time_out_before", provider=method, times=0, seconds=HANGS_SECONDS)
    environment = {**sandbox_server.environment, "DEBUG": "True", "DB_POOL_SIZE": "4", "USD_CNY_RATE": "7.12"}
    server = GatewayProcess(**environment).wait()
    try:
        for key in payers:
            threading.Thread(target=open_topup, args=(server.url, key, method), daemon=True).start()
        deadline = time.monotonic() + HANGS_SECONDS / 2
        while TopUp.objects.count() < len(payers) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.5)
        assert TopUp.objects.filter(state="open", checkout_url="", qr_code="").count() == len(payers)
        for _ in range(5):
            began = time.monotonic()
            answer = httpx.get(f"{server.url}/v1/credits", headers={"Authorization": f"Bearer {reader}"}, timeout=10)
            assert (answer.status_code, time.monotonic() - began < HANGS_SECONDS / 2) == (200, True)
    finally:
        server.kill()
        sandbox_server.reset()


def open_topup(url: str, key: str, method: str) -> None:
    body = {"amount": "20.00", "method": method}
    try:
        httpx.post(f"{url}/v1/topups", json=body, headers={"Authorization": f"Bearer {key}"}, timeout=30)
    except httpx.HTTPError:
        return  # the test ends before the provider does


def test_no_connection_is_held_while_a_provider_is_asked(transactional_db):
    connection.ensure_connection()
    with ask("stripe"):
        assert connection.connection is None
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def test_one_more_than_a_provider_has_seats_is_told_no_soon(monkeypatch, transactional_db):
    monkeypatch.setattr(asking, "SEAT_SECONDS", 0.1)
    monkeypatch.setitem(asking._seats, "stripe", threading.BoundedSemaphore(2))
    with ask("stripe"), ask("stripe"), pytest.raises(ProviderUnavailable), ask("stripe"):
        pass
    with ask("stripe"):
        pass  # the seats are free again

"""`Idempotency-Key` on the model paths: one hold, one charge, and one answer for all who ask."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from aiohttp import web
from django.utils import timezone

from accounts.keys import issuing
from accounts.models import ApiKey
from billing.models import Wallet
from chuizi.asgi import gateway as application
from proxy.models import Generation, OnceRow, Upstream
from proxy.once import rows
from proxy.settlement.settle import settle_all
from tests.conftest import NOW
from tests.faults.conftest import wait_until
from tests.proxy.conftest import only_generation, wait_for
from tests.proxy.once.conftest import KEY, REPLAYED, Gate, ask, readers
from tests.proxy.relay.test_abandoned import asking
from tests.spoken import each_protocol


@each_protocol
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_a_repeat_gets_the_same_answer_and_costs_nothing(gateway, upstream, spoken, stream):
    first, second = (ask(gateway, stream=stream, headers=KEY) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 200)
    assert second.content == first.content
    assert len(upstream.calls) == 1
    assert REPLAYED not in first.headers
    assert second.headers[REPLAYED] == "true"
    assert second.headers["X-Generation-Id"] == first.headers["X-Generation-Id"] == only_generation().pk
    assert second.headers["X-Request-Id"] != first.headers["X-Request-Id"]
    settle_all(now=NOW)
    assert Wallet.objects.get().held == 0


@each_protocol
def test_another_body_under_the_same_key_is_refused(gateway, upstream, spoken):
    assert ask(gateway, headers=KEY).status_code == 200
    other = gateway.client.post(spoken.path, json=spoken.says("something else"), headers=KEY)
    assert other.status_code == 409
    assert spoken.code_of(other.json())
    assert other.headers["X-Should-Retry"] == "false"
    assert len(upstream.calls) == 1
    assert ask(gateway, headers=KEY).status_code == 200


def test_what_failed_a_moment_ago_leaves_its_key_to_another_body(gateway, upstream, monkeypatch):
    release = application._release

    def late(*ended):
        asyncio.get_running_loop().call_later(0.3, release, *ended)

    monkeypatch.setattr(application, "_release", late)
    upstream.status, upstream.json = 400, {"error": {"message": "no"}}
    assert ask(gateway, headers=KEY).status_code == 400
    upstream.status, upstream.json = 200, gateway.spoken.told
    assert ask(gateway, headers=KEY, temperature=0.5).status_code == 200


def test_the_key_belongs_to_its_request_whatever_its_path(gateway, upstream):
    assert ask(gateway, headers=KEY).status_code == 200
    other = gateway.client.post("/v1/completions", json={"model": "openai/m", "prompt": "x"}, headers=KEY)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_conflict")
    plain = ask(gateway, headers={**KEY, "X-Chuizi-Body": "plain"})
    assert plain.status_code == 409


def test_each_api_key_has_keys_of_its_own(gateway, upstream, customer, make_customer):
    assert ask(gateway, headers=KEY).status_code == 200
    for owner in (customer, make_customer("10", "Eve")):
        issued = issuing.issue(customer=owner, name="other", now=NOW)
        theirs = ask(gateway, headers={**KEY, "Authorization": f"Bearer {issued.text}"})
        assert theirs.status_code == 200
        assert REPLAYED not in theirs.headers
    assert len(upstream.calls) == 3


@pytest.mark.parametrize("key", ["x" * 256, "caf\xe9", "a\tb"])
def test_a_key_that_is_too_long_or_not_printable_is_refused(gateway, upstream, key):
    refused = ask(gateway, headers={"Idempotency-Key": key.encode("latin-1")})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "Idempotency-Key")
    assert not upstream.calls
    assert ask(gateway, headers={"Idempotency-Key": "y" * 255}).status_code == 200


@pytest.mark.parametrize("change", [{"is_active": False}, {"allowed_models": ["openai/other"]}], ids=["key", "model"])
def test_an_answer_is_shown_to_whom_it_may_be_shown_now(gateway, upstream, change):
    assert ask(gateway, headers=KEY).status_code == 200
    ApiKey.objects.update(**change)
    assert ask(gateway, headers=KEY).status_code in (401, 403)


def test_an_answer_that_took_the_last_of_the_balance_is_shown_again(gateway, upstream):
    assert ask(gateway, headers=KEY).status_code == 200
    settle_all(now=NOW)
    Wallet.objects.update(bonus=0)
    assert ask(gateway).status_code == 402
    assert ask(gateway, headers=KEY).headers[REPLAYED] == "true"


@pytest.mark.parametrize("status", [400, 429, 500])
def test_what_ends_without_a_charge_is_done_anew(gateway, upstream, status):
    upstream.status, upstream.json = status, {"error": {"message": "no"}}
    assert ask(gateway, headers=KEY).status_code >= 400
    upstream.status, upstream.json = 200, gateway.spoken.told
    again = ask(gateway, headers=KEY)
    assert (again.status_code, again.headers.get(REPLAYED)) == (200, None)


@each_protocol
def test_a_twin_joins_the_stream_from_its_beginning(gateway, upstream, spoken):
    gate = Gate(upstream, spoken)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(ask, gateway, stream=True, headers=KEY)
        wait_until(lambda: upstream.calls)
        twins = [pool.submit(ask, gateway, stream=True, headers=KEY) for _ in range(2)]
        wait_until(lambda: readers() == 2)
        assert not first.done()
        gate.open()
        answers = [one.result(20) for one in (first, *twins)]
    assert len({answer.content for answer in answers}) == 1
    assert [answer.headers.get(REPLAYED) for answer in answers] == [None, "true", "true"]
    assert len(upstream.calls) == 1
    only_generation()


def test_a_twin_waits_for_an_answer_in_one_piece(gateway, upstream):
    gate = threading.Event()

    async def handler(request: web.Request) -> web.Response:
        while not gate.is_set():
            await asyncio.sleep(0.01)
        return web.json_response(upstream.json)

    upstream.handler = handler
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, gateway, headers=KEY)
        wait_until(lambda: upstream.calls)
        twin = pool.submit(ask, gateway, headers=KEY)
        wait_until(lambda: readers() == 1)
        gate.set()
        assert twin.result(20).content == first.result(20).content
    assert len(upstream.calls) == 1


def test_what_has_expired_is_another_request_and_is_forgotten(gateway, upstream):
    assert ask(gateway, headers=KEY).status_code == 200
    OnceRow.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert REPLAYED not in ask(gateway, headers=KEY).headers
    assert len(upstream.calls) == 2
    OnceRow.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert rows.tidy() == 1
    assert not OnceRow.objects.exists()


def test_an_answer_is_kept_encrypted(gateway, upstream):
    answer = ask(gateway, headers=KEY)
    row = OnceRow.objects.get()
    assert b"one two three" not in bytes(row.answer)
    kept = rows.unpacked(bytes(row.answer))
    assert kept is not None
    assert kept.body == answer.content
    assert row.generation_id == Generation.objects.get().pk


@pytest.mark.parametrize("change", [{"ONCE_STORE": False}, {"ONCE_MAX_BYTES": 100}], ids=["off", "cap"])
def test_an_answer_that_is_not_kept_is_not_paid_for_twice(gateway, upstream, settings, change):
    for name, value in change.items():
        setattr(settings, name, value)
    answer = ask(gateway, headers=KEY)
    assert answer.status_code == 200
    again = ask(gateway, headers=KEY)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "answer_not_kept")
    assert answer.headers["X-Generation-Id"] in again.json()["error"]["message"]
    assert OnceRow.objects.get().answer is None
    assert len(upstream.calls) == 1


def test_a_large_repeat_of_what_was_paid_for_is_read_though_nothing_is_left(gateway, upstream):
    long = {"messages": [{"role": "user", "content": "x" * 300_000}], "max_tokens": 1}
    assert ask(gateway, headers=KEY, **long).status_code == 200
    settle_all(now=NOW)
    Wallet.objects.update(bonus=0)
    assert ask(gateway, **long).status_code == 402
    assert ask(gateway, headers=KEY, **long).headers[REPLAYED] == "true"


def test_with_a_key_a_request_goes_on_without_its_caller(gateway, upstream, spoken):
    """Also where its upstream would not bill what is abandoned."""
    Upstream.objects.update(bills_abandoned=False)
    gateway.look_at_catalog()
    gate = Gate(upstream, spoken)
    with asking(gateway, stream=True, headers="Idempotency-Key: order-1\r\n") as connection:
        connection.recv(65_536)
    wait_until(lambda: any(one.has_left for [one] in application._once._by_digest.values()))
    gate.open()
    assert wait_for("metered").settlement_reason == "client_disconnected"
    again = ask(gateway, stream=True, headers=KEY)
    assert "".join(map(spoken.words_of, spoken.events_in(again.text))) == "one two three "
    assert len(upstream.calls) == 1


def test_a_thousand_expired_rows_are_forgotten_in_batches(gateway, upstream, customer, monkeypatch):
    ask(gateway, headers=KEY)
    monkeypatch.setattr(rows, "MOST_AT_ONCE", 300)
    gone = timezone.now() - timedelta(seconds=1)
    old = {"customer": customer, "asked": b"a", "generation_id": "gen", "expires_at": gone}
    OnceRow.objects.bulk_create(OnceRow(digest=number.to_bytes(32, "big"), **old) for number in range(1_000))
    assert rows.tidy() == 1_000
    assert OnceRow.objects.count() == 1

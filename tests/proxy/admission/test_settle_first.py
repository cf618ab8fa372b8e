"""Before a refusal for want of money, what the customer has metered is settled: only true want refuses."""

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import httpx2 as httpx
import pytest
from aiohttp import web
from django.db import connection, transaction

from accounts.keys import issuing
from accounts.models import Customer
from billing.books import holds
from billing.models import Hold, Wallet
from proxy.admission import settle_first
from proxy.admission.rule import Short
from proxy.models import Generation
from proxy.prices.loading import load_catalog
from tests.conftest import NOW, pay_in, use_up
from tests.gateways import GatewayProcess
from tests.proxy.conftest import catalog, settle
from tests.upstream import FakeUpstream, answer, usage

ASKED = {"model": "openai/m", "messages": [{"role": "user", "content": "hello"}]}
PATH = "/v1/chat/completions"


@pytest.fixture
def trial(transactional_db: None, make_customer) -> Customer:
    return make_customer("0.50", name="Trial")


@pytest.fixture
def processes(trial: Customer, upstream: FakeUpstream) -> Iterator[list[str]]:
    """Two gateways and no settler; an answer may cost far more than the trial's credit."""
    load_catalog(catalog(upstream, max_output_tokens=100_000))
    started = [GatewayProcess(), GatewayProcess()]
    yield [process.wait().url for process in started]
    for process in started:
        process.stop()


def caller(customer: Customer, **limits: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {issuing.issue(customer=customer, name='k', now=NOW, **limits).text}"}


def ask(url: str, headers: dict[str, str], **more: Any) -> httpx.Response:
    return httpx.post(url + PATH, json={**ASKED, **more}, headers=headers, timeout=30)


def test_fifty_calls_in_a_row_without_max_tokens_get_fifty_answers_with_the_settler_dead(processes, trial, upstream):
    headers = caller(trial)
    statuses = [ask(processes[number % 2], headers, stream=number % 3 == 0).status_code for number in range(50)]
    assert statuses == [200] * 50
    settle()
    wallet = Wallet.objects.get(customer=trial)
    assert wallet.held == 0
    assert wallet.bonus == Decimal("0.50") - sum(Generation.objects.values_list("cost", flat=True))


def test_what_is_truly_spent_is_refused_at_once_and_for_good(processes, trial, upstream):
    headers = caller(trial)
    upstream.json = answer(usage=usage(prompt=20, completion=2_800))  # 0.1178 each
    statuses = []
    while not statuses or statuses[-1] == 200:
        began = time.monotonic()
        refused = ask(processes[len(statuses) % 2], headers)
        statuses.append(refused.status_code)
    assert set(statuses[:-1]) == {200}
    assert len(statuses) >= 5
    assert statuses[-1] == 402
    assert time.monotonic() - began < settle_first.WAIT_SECONDS
    assert "Top up to go on" in refused.json()["error"]["message"]
    assert (refused.headers["x-should-retry"], refused.headers.get("retry-after")) == ("false", None)


def slowly(upstream: FakeUpstream) -> threading.Event:
    """The upstream answers when the event is set."""
    gate = threading.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        await asyncio.to_thread(gate.wait, 20)
        return web.json_response(upstream.json)

    upstream.handler = handler
    return gate


def wait_until_held(count: int) -> None:
    deadline = time.monotonic() + 5
    while Generation.objects.filter(state="held").count() != count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_refusal_that_a_running_request_causes_says_what_is_held_and_to_try_again(processes, trial, upstream):
    headers = caller(trial)
    gate = slowly(upstream)
    first = threading.Thread(target=ask, args=(processes[0], headers))
    first.start()
    wait_until_held(1)
    began = time.monotonic()
    refused = ask(processes[1], headers)
    assert time.monotonic() - began < settle_first.WAIT_SECONDS, "nothing is metered: there is nothing to wait for"
    gate.set()
    first.join()
    message = refused.json()["error"]["message"]
    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "insufficient_balance")
    assert f"${Generation.objects.first().held:f} is held by 1 request under way" in message
    assert "op up" not in message
    assert (refused.headers["x-should-retry"], refused.headers["retry-after"]) == ("true", "5")
    assert ask(processes[1], headers).status_code == 200


def test_what_a_refund_holds_is_not_called_a_requests_and_is_not_waited_for(processes, trial):
    holds.place(customer_id=trial.pk, key="refund:1", kind=Hold.Kind.REFUND, amount=Decimal("0.4999"), now=NOW)
    refused = ask(processes[0], caller(trial))
    assert "Top up to go on" in refused.json()["error"]["message"]
    assert refused.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"daily_limit": Decimal("0.40")}, "daily_limit_exceeded"),
        ({"total_limit": Decimal("0.40")}, "key_limit_exceeded"),
        ({"monthly_limit": Decimal("0.40")}, "key_limit_exceeded"),
    ],
)
def test_a_cap_that_holds_fill_is_settled_first_and_one_that_is_spent_refuses(processes, trial, upstream, limits, code):
    headers = caller(trial, **limits)
    asked = {"max_tokens": 9_000}  # 0.378 of output at most: two of them never fit
    assert [ask(processes[number % 2], headers, **asked).status_code for number in range(6)] == [200] * 6
    gate = slowly(upstream)
    first = threading.Thread(target=ask, args=(processes[0], headers), kwargs=asked)
    first.start()
    wait_until_held(1)
    refused = ask(processes[1], headers, max_tokens=2_500)
    gate.set()
    first.join()
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, code)
    assert "is held by 1 request under way" in refused.json()["error"]["message"]
    assert (refused.headers["x-should-retry"], refused.headers["retry-after"]) == ("true", "5")
    spent = ask(processes[1], headers, max_tokens=10_000)
    assert (spent.status_code, spent.headers["x-should-retry"]) == (403, "false")


def test_who_paid_and_filled_the_overrun_with_metered_requests_is_settled_first(processes, trial, upstream):
    """1 USD is left, may be overrun by 1 USD, and each may cost 0.92: one fits at its estimate, none at its bound."""
    pay_in(trial, "20.00", at=NOW - timedelta(days=8))
    use_up(trial, "19.50")
    headers = caller(trial)
    assert [ask(processes[number % 2], headers, max_tokens=22_000).status_code for number in range(8)] == [200] * 8


def test_a_wallet_that_somebody_keeps_locked_delays_a_refusal_by_two_seconds_at_most(processes, trial, upstream):
    headers = caller(trial)
    assert ask(processes[0], headers).status_code == 200
    locked, release = threading.Event(), threading.Event()

    def hold_the_row() -> None:
        with transaction.atomic():
            list(Generation.objects.select_for_update())  # another settler that stalls
            locked.set()
            release.wait(10)
        connection.close()

    holder = threading.Thread(target=hold_the_row)
    holder.start()
    locked.wait(5)
    began = time.monotonic()
    refused = ask(processes[1], headers)
    took = time.monotonic() - began
    release.set()
    holder.join()
    assert refused.status_code == 402
    assert refused.headers["x-should-retry"] == "true"
    assert 1.5 < took < 8  # the row is held for ten
    assert ask(processes[1], headers).status_code == 200


def test_a_quarantined_request_is_not_under_way(processes, trial):
    """Its hold stays until staff decide: to try again would be in vain."""
    headers = caller(trial)
    assert ask(processes[0], headers).status_code == 200
    Generation.objects.update(state="quarantined")
    refused = ask(processes[0], headers)
    assert (refused.status_code, refused.headers["x-should-retry"]) == (402, "false")
    assert "under way" not in refused.json()["error"]["message"]


def test_beyond_those_that_are_waited_for_a_refusal_has_its_figures_too(gateway, make_customer, upstream, monkeypatch):
    monkeypatch.setattr(settle_first, "MOST_OF_ONE_CUSTOMER", 0)
    headers = caller(make_customer("0.06", name="Poor"))
    gate = threading.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        await asyncio.to_thread(gate.wait, 5)
        return web.json_response(answer())

    upstream.handler = slow
    first = threading.Thread(target=lambda: ask(gateway.url, headers, max_tokens=1000))
    first.start()
    while not upstream.calls:
        time.sleep(0.01)
    held = Generation.objects.get().held
    began = time.monotonic()
    refused = ask(gateway.url, headers, max_tokens=1000)
    assert time.monotonic() - began < settle_first.WAIT_SECONDS
    gate.set()
    first.join()
    assert (refused.status_code, refused.headers["x-should-retry"], refused.headers["retry-after"]) == (
        402,
        "true",
        "5",
    )
    assert f"${held:f} is held by 1 request under way" in refused.json()["error"]["message"]


def test_many_beyond_the_limit_are_told_by_one_look():
    short = Short(402, "insufficient_balance", "No.", finding="No.", needed=Decimal(2), room=Decimal(1))
    looks = []

    async def look(_ask: Any, _short: Any) -> settle_first.Standing:
        looks.append(1)
        await asyncio.sleep(0.05)
        return settle_first.Standing(Decimal(1), 0, Decimal(0), 3, Decimal(5), Decimal(5))

    async def never(_ask: Any) -> Any:
        raise AssertionError("it is not decided again")

    async def run() -> list[Any]:
        waiting = settle_first.SettleFirst()
        waiting._look = look
        waiting._waiting[7] = settle_first.MOST_OF_ONE_CUSTOMER
        asked: Any = SimpleNamespace(policy=SimpleNamespace(customer_id=7, key_id=1))
        refused = await asyncio.gather(*(waiting.admit(asked, short, never) for _ in range(50)), return_exceptions=True)
        waiting.close()
        assert not waiting._looking
        return refused

    assert {refusal.message for refusal in asyncio.run(run())} == {
        "No. $5 is held by 3 requests under way; what is not used comes free as they end. Try again then."
    }
    assert len(looks) == 1

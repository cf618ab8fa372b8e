"""Calls of a budget's key: they hold inside it and nothing outside, and end where it does."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import httpx2 as httpx
import pytest
from aiohttp import web
from django.db import connection

from accounts.keys import issuing
from accounts.models import ApiKey, Customer, KeyMeter
from billing.audit.run import audit
from billing.budgets import ending
from billing.budgets.figures import Figures, figures_of
from billing.budgets.making import Made
from billing.models import Budget, Hold, Wallet
from core.clock import database_now
from proxy.admission.locked import Locked
from proxy.admission.rule import Extension, Purse, TooLittle, WalletCounter
from proxy.admission.writer import Writer
from proxy.models import Generation, Lease
from proxy.prices.loading import load_catalog
from proxy.settlement.settle import sweep
from tests.conftest import NOW, pay_in, use_up
from tests.gateways import BODY, GatewayProcess, ask_many
from tests.proxy.admission.test_rule import POLICY, key_counter
from tests.proxy.conftest import catalog, settle, wait_for
from tests.upstream import FakeUpstream, answer, usage


def bearer(made: Made) -> dict[str, str]:
    return {"Authorization": f"Bearer {made.text}"}


def figures(made: Made) -> Figures:
    return figures_of([made.budget])[made.budget.pk]


def end(made: Made) -> bool:
    return ending.end(budget_id=made.budget.pk, reason=Budget.Ended.DELETED, now=database_now())


def test_a_call_holds_inside_its_budget_and_costs_it_alone(gateway, make_budget, customer):
    made = make_budget("1")
    available = Wallet.objects.get(customer=customer).available
    assert gateway.chat(headers=bearer(made)).status_code == 200
    hold = Hold.objects.get(kind="request")
    assert (hold.inside, hold.amount) == (made.budget.hold_key, hold.bound)
    assert (figures(made).held, figures(made).left) == (hold.amount, 1 - hold.amount)
    wait_for("metered")
    assert audit().drifts == []
    settle()
    cost = Generation.objects.get().cost
    assert (figures(made).spent, figures(made).left) == (cost, 1 - cost)
    wallet = Wallet.objects.get(customer=customer)
    assert (wallet.available, wallet.held) == (available, 1 - cost)
    assert audit().drifts == []


def test_one_that_is_used_up_says_what_is_left_and_what_a_call_needs(gateway, make_budget, customer):
    made = make_budget("0.01")
    refused = gateway.chat(headers=bearer(made), max_tokens=900)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (402, "budget_exhausted")
    assert error["message"].startswith("The budget has $0.01000000 left and this request needs $0.0")
    assert "With max_tokens of" in error["message"]
    assert (refused.headers["x-should-retry"], refused.headers.get("retry-after")) == ("false", None)
    assert not Generation.objects.exists()
    assert Wallet.objects.get(customer=customer).available > 9, "which is not for it"


def test_a_limit_that_the_caller_did_not_name_is_what_the_budget_covers(gateway, make_budget, upstream):
    made = make_budget("0.02")
    body = {name: value for name, value in BODY.items() if name != "max_tokens"}
    answered = gateway.client.post(gateway.spoken.path, json=body, headers=bearer(made))
    assert answered.status_code == 200
    assert 256 <= upstream.calls[-1]["max_tokens"] < 500


def test_an_allowance_of_the_account_is_none_of_its_budgets(gateway, make_budget, customer, settings):
    pay_in(customer, "100", at=NOW - timedelta(days=30))
    use_up(customer, "1")
    made = make_budget("1")
    gateway.chat(headers=bearer(made), max_tokens=1_000)
    inside = Hold.objects.get(kind="request")
    gateway.chat(max_tokens=1_000)
    outside = Hold.objects.get(kind="request", inside=None)
    assert inside.amount == inside.bound
    assert outside.amount < outside.bound


def test_what_only_holds_keep_from_it_is_to_be_tried_again(gateway, make_budget, upstream):
    gate = threading.Event()

    async def slowly(request: web.Request) -> web.StreamResponse:
        await asyncio.to_thread(gate.wait, 20)
        return web.json_response(upstream.json)

    upstream.handler = slowly
    made = make_budget("0.05")
    first = threading.Thread(target=gateway.chat, kwargs={"headers": bearer(made), "max_tokens": 900})
    first.start()
    wait_for("held")
    refused = gateway.chat(headers=bearer(made), max_tokens=900)
    gate.set()
    first.join()
    message = refused.json()["error"]["message"]
    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "budget_exhausted")
    assert f"${Hold.objects.get(kind='request').amount:f} is held by 1 request under way" in message
    assert (refused.headers["x-should-retry"], refused.headers["retry-after"]) == ("true", "5")
    assert gateway.chat(headers=bearer(made), max_tokens=900).status_code == 200, "settled first, as with a wallet"


def test_after_its_end_calls_are_refused_from_the_next_one_on(gateway, make_budget):
    made = make_budget("1")
    assert gateway.chat(headers=bearer(made)).status_code == 200
    end(made)
    refused = gateway.chat(headers=bearer(made))
    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "budget_exhausted")


def test_when_the_key_that_made_it_is_switched_off_its_key_calls_nothing(gateway, make_budget, customer):
    maker = issuing.issue(customer=customer, name="ci", now=NOW).key
    made = make_budget("1", made_with=maker)
    assert gateway.chat(headers=bearer(made)).status_code == 200
    issuing.switch(key=maker, active=False)
    refused = gateway.chat(headers=bearer(made))
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "key_not_allowed")
    issuing.switch(key=maker, active=True)
    assert gateway.chat(headers=bearer(made)).status_code == 200
    ApiKey.objects.filter(pk=maker.pk).update(expires_at=database_now() - timedelta(seconds=1))
    assert gateway.chat(headers=bearer(made)).status_code == 402


def test_limits_of_the_key_and_of_the_account_still_count(gateway, make_budget, customer):
    maker = issuing.issue(customer=customer, name="ci", now=NOW, rpm_limit=2).key
    made = make_budget("1", made_with=maker)
    statuses = [gateway.chat(headers=bearer(made)).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    capped = make_budget("1")
    ApiKey.objects.filter(pk=capped.budget.key_id).update(daily_limit=Decimal("0.001"))
    refused = gateway.chat(headers=bearer(capped), max_tokens=900)
    assert refused.json()["error"]["code"] == "daily_limit_exceeded"
    Customer.objects.filter(pk=customer.pk).update(suspended_at=NOW)
    assert gateway.chat(headers=bearer(capped)).json()["error"]["code"] == "account_suspended"


def test_what_took_from_the_balance_meanwhile_is_not_spent_twice(gateway, make_budget, customer):
    """As a refund that somebody began at the provider, which asks nobody."""
    made = make_budget("9.99")
    use_up(customer, "9.50")
    refused = gateway.chat(headers=bearer(made), max_tokens=900_000)
    assert refused.status_code in (400, 402)
    use_up(customer, "0.50")
    refused = gateway.chat(headers=bearer(made))
    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "insufficient_balance")


# Under load.


@pytest.fixture
def processes(customer: Customer, upstream: FakeUpstream) -> Iterator[list[GatewayProcess]]:
    load_catalog(catalog(upstream))
    upstream.json = answer(usage=usage(prompt=20, completion=90))
    started = [GatewayProcess(), GatewayProcess()]
    yield [process.wait() for process in started]
    started[1].stop()  # the first is killed


def load(processes: list[GatewayProcess], made: Made, count: int) -> Counter[int]:
    return asyncio.run(ask_many([process.url for process in processes], made.text, count))


def test_a_budget_used_up_expired_and_deleted_under_load(processes, make_budget, customer, settings, upstream):
    """Three budgets, two processes; all of it settled meanwhile, and nothing spent beyond what was set aside. Then a
    process is killed, and what it held goes back to its budget.
    """
    Customer.objects.filter(pk=customer.pk).update(rpm_limit=0)
    settings.DEFAULT_KEY_RPM = 0
    used_up, expired, deleted = make_budget("0.06"), make_budget("3"), make_budget("3")
    ApiKey.objects.filter(budget__isnull=False).update(rpm_limit=0)
    over = threading.Event()

    def settle_on() -> None:
        while not over.is_set():
            settle()
        connection.close()

    def end_in_the_midst() -> None:
        while min(Generation.objects.filter(key=made.budget.key_id).count() for made in (expired, deleted)) < 20:
            time.sleep(0.01)
        end(deleted)
        soon = database_now()
        Budget.objects.filter(pk=expired.budget.pk).update(expires_at=soon)
        ApiKey.objects.filter(pk=expired.budget.key_id).update(expires_at=soon)
        ending.end_due(now=soon)
        connection.close()

    acts = [threading.Thread(target=settle_on), threading.Thread(target=end_in_the_midst)]
    statuses: dict[int, Counter[int]] = {}

    def ask(made: Made) -> None:
        """Until it is refused, however slow this machine is."""
        statuses[made.budget.pk] = counted = Counter[int]()
        until = time.monotonic() + 60
        while 402 not in counted:
            assert time.monotonic() < until
            counted.update(load(processes, made, 50))

    callers = [threading.Thread(target=ask, args=(made,)) for made in (used_up, expired, deleted)]
    for thread in (*acts, *callers):
        thread.start()
    for thread in callers:
        thread.join()
    acts[1].join()
    over.set()
    acts[0].join()
    for generation in Generation.objects.filter(state="held"):
        wait_until_metered(generation.pk)
    settle()
    # What was refused for what others held would be asked for again.
    while load(processes, used_up, 1)[200]:
        statuses[used_up.budget.pk][200] += 1
        wait_until_metered(Generation.objects.latest("pk").pk)
        settle()
    assert set(statuses[used_up.budget.pk]) == {200, 402}
    assert set(statuses[expired.budget.pk]) == set(statuses[deleted.budget.pk]) == {200, 402}
    spent = Decimal(0)
    for made in (used_up, expired, deleted):
        told = figures(made)
        charged = sum((g.cost for g in Generation.objects.filter(key=made.budget.key)), Decimal(0))
        assert told.held == 0
        assert told.spent == charged <= made.budget.amount
        assert Generation.objects.filter(key=made.budget.key).count() == statuses[made.budget.pk][200]
        assert KeyMeter.objects.get(key=made.budget.key).total_spent == charged
        spent += charged
    assert figures(used_up).spent > Decimal("0.05"), "the last that fits is taken"
    wallet = Wallet.objects.get(customer=customer)
    assert (wallet.bonus, wallet.held) == (10 - spent, figures(used_up).left)
    assert audit().drifts == []
    killed_in_the_midst(processes[0], make_budget("1"), upstream)


def killed_in_the_midst(process: GatewayProcess, made: Made, upstream: FakeUpstream) -> None:
    gate = threading.Event()

    async def slowly(request: web.Request) -> web.StreamResponse:
        await asyncio.to_thread(gate.wait, 20)
        return web.json_response(upstream.json)

    def ask() -> None:
        with suppress(httpx.HTTPError):
            httpx.post(f"{process.url}/v1/chat/completions", json=BODY, headers=bearer(made), timeout=30)

    upstream.handler = slowly
    caller = threading.Thread(target=ask)
    caller.start()
    deadline = time.monotonic() + 20
    while not (held := figures(made).held):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    gate.set()
    caller.join()
    assert figures(made).left == 1 - held
    Lease.objects.update(renewed_at=NOW)
    assert sweep(now=database_now()) == 1
    assert (figures(made).left, figures(made).held) == (1, 0)
    assert audit().drifts == []


def wait_until_metered(generation_id: str) -> None:
    deadline = time.monotonic() + 20
    while Generation.objects.get(pk=generation_id).state == "held":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_an_ended_budgets_request_holds_too_much_waits_for_its_settlement():
    """Given back while its stream goes on it would be neither the wallet's nor the budget's."""
    policy = replace(POLICY, purse="budget:7")
    asked = Extension("gen-1", policy, "input", Decimal(-1), Decimal(-1), NOW.date())
    wallets, keys = {1: WalletCounter(Decimal(5), Decimal(2), Decimal(0))}, {1: key_counter()}
    ended = Locked(wallets, {}, keys, {}, {"gen-1"}, begun={}, now=NOW)
    wallet = ended.spends_from(policy)
    assert wallet is not None
    assert Writer._extend(asked, wallet=wallet, found=ended) == TooLittle.BUDGET
    runs = Locked(
        wallets, {"budget:7": Purse(Decimal(1), Decimal(2), Decimal(0))}, keys, {}, {"gen-1"}, begun={}, now=NOW
    )
    assert Writer._extend(asked, wallet=runs.purses["budget:7"], found=runs) == -1
    assert (runs.purses["budget:7"].available, wallets[1].available) == (2, 5)

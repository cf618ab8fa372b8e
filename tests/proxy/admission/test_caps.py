"""Caps of keys and members hold over real HTTP, at every process, whatever the zone of the account is."""

import asyncio
import threading
import time
from datetime import timedelta
from decimal import Decimal

import httpx2 as httpx
import pytest
from aiohttp import web

from accounts.keys import issuing
from accounts.keys.rotating import rotate
from accounts.models import ApiKey, KeyMeter, MemberMeter, Membership
from accounts.people.customers import set_time_zone
from billing.limits import members
from proxy.models import Generation
from proxy.prices.loading import load_catalog
from tests.conftest import NOW
from tests.gateways import GatewayProcess
from tests.proxy.conftest import catalog, settle

ASKED = {"model": "openai/m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 100}
CAPS = ["daily_limit", "weekly_limit", "monthly_limit", "total_limit"]


@pytest.fixture
def own(gateway) -> ApiKey:
    return issuing.find(gateway.key)


def refused(response) -> str:
    assert response.status_code == 403, response.text
    return response.json()["error"]["code"]


def test_a_hold_of_ten_times_the_cap_is_refused_for_good_and_says_what_would_fit(gateway, own):
    ApiKey.objects.filter(pk=own.pk).update(weekly_limit=Decimal("0.0044"))
    answer = gateway.chat(max_tokens=1_000)
    assert refused(answer) == "key_limit_exceeded"
    message = answer.json()["error"]["message"]
    assert "may spend $0.00440000 a week: $0.00000000 is charged and $0.00000000 is held" in message
    assert "With max_tokens of" in message
    assert answer.headers["x-should-retry"] == "false"
    assert not Generation.objects.exists()


def test_at_ninety_seven_percent_what_fits_is_admitted_and_what_does_not_is_told_what_is_charged(gateway, own):
    gateway.chat(max_tokens=100)
    settle()
    today = Generation.objects.get().counted_on
    periods = ("day", "week", "month", "total")
    sums = {f"{period}_{kind}": Decimal("0.97") for period in periods for kind in ("spent", "charged")}
    KeyMeter.objects.filter(pk=own.pk).update(day=today, **sums)
    ApiKey.objects.filter(pk=own.pk).update(monthly_limit=Decimal(1))
    answer = gateway.chat(max_tokens=1_000)
    assert refused(answer) == "key_limit_exceeded"
    assert "$0.97000000 is charged and $0.00000000 is held" in answer.json()["error"]["message"]
    assert gateway.chat(max_tokens=100).status_code == 200


@pytest.mark.parametrize("cap", CAPS)
def test_a_members_cap_counts_all_keys_of_the_member_and_nobody_elses(gateway, customer, user, cap):
    membership = Membership.objects.get(user=user, customer=customer)
    first, second = (issuing.issue(customer=customer, name=n, now=NOW, created_by=user).text for n in ("a", "b"))

    def ask(text: str):
        return gateway.chat(headers={"Authorization": f"Bearer {text}"}, max_tokens=100)

    assert ask(first).status_code == 200
    settle()
    held, spent = Generation.objects.values_list("held", "cost").get()
    members.set_caps(membership=membership, caps={cap: spent + held}, now=NOW)
    assert ask(second).status_code == 200, "what is left is one hold"
    assert refused(ask(first)) == "member_limit_exceeded"
    assert gateway.chat().status_code == 200, "the operator's key"
    settle()
    meter = MemberMeter.objects.get(membership=membership)
    assert (meter.total_spent, meter.total_charged) == (2 * spent, 2 * spent)
    assert KeyMeter.objects.get(key__name="b").day_charged == spent


def test_a_zone_that_is_changed_to_and_fro_gives_no_day_twice(gateway, own, customer):
    """The two zones are 25 hours apart: one is always a day or two ahead."""
    west, east = "Pacific/Pago_Pago", "Pacific/Kiritimati"
    set_time_zone(customer=customer, name=west)
    gateway.chat(max_tokens=100)
    ApiKey.objects.filter(pk=own.pk).update(daily_limit=Generation.objects.get().held)
    assert refused(gateway.chat(max_tokens=100)) == "daily_limit_exceeded"
    set_time_zone(customer=customer, name=east)
    assert gateway.chat(max_tokens=100).status_code == 200, "a new day there"
    for name in (west, east, west):
        set_time_zone(customer=customer, name=name)
        assert refused(gateway.chat(max_tokens=100)) == "daily_limit_exceeded", name
    days = list(Generation.objects.order_by("pk").values_list("counted_on", flat=True))
    assert len(days) == len(set(days)) == 2


def test_so_many_requests_at_once_and_no_more_until_one_has_ended(gateway, own, upstream):
    ApiKey.objects.filter(pk=own.pk).update(concurrency_limit=2)
    gate = threading.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        await asyncio.to_thread(gate.wait, 20)
        return web.json_response(upstream.json)

    upstream.handler = slow
    threads = [threading.Thread(target=gateway.chat) for _ in range(2)]
    for thread in threads:
        thread.start()
    while len(upstream.calls) < 2:
        time.sleep(0.01)
    answer = gateway.chat()
    gate.set()
    for thread in threads:
        thread.join()
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert answer.headers["retry-after"] == "1"
    assert gateway.chat().status_code == 200


def test_two_processes_race_for_one_cap_and_a_rotation_loses_none_of_their_requests(customer, upstream):
    """Six holds fit; a key's text is changed in the middle."""
    served = catalog(upstream)
    served["upstreams"][0] |= {"timeout_seconds": 20}
    load_catalog(served)
    issued = issuing.issue(customer=customer, name="k", now=NOW)
    processes = [GatewayProcess(), GatewayProcess()]
    urls = [process.wait().url for process in processes]
    statuses: list[int] = []

    def ask(number: int) -> None:
        headers = {"Authorization": f"Bearer {issued.text}"}
        answer = httpx.post(f"{urls[number % 2]}/v1/chat/completions", json=ASKED, headers=headers, timeout=30)
        statuses.append(answer.status_code)

    def together(count: int) -> list[int]:
        statuses.clear()
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        if count > 20:
            rotate(key=issued.key, overlap=timedelta(hours=1))
        for thread in threads:
            thread.join()
        return sorted(statuses)

    def open_when_refused(gate: threading.Event) -> None:
        deadline = time.monotonic() + 15
        while len(statuses) < 10 and time.monotonic() < deadline:
            time.sleep(0.02)
        gate.set()

    try:
        assert together(30) == [200] * 30
        settle()
        gate = threading.Event()

        async def slow(request: web.Request) -> web.StreamResponse:
            await asyncio.to_thread(gate.wait, 20)
            return web.json_response(upstream.json)

        upstream.handler = slow
        held, spent = Generation.objects.first().held, KeyMeter.objects.get(pk=issued.key.pk).total_spent
        ApiKey.objects.filter(pk=issued.key.pk).update(total_limit=spent + 6 * held)
        statuses.clear()
        opener = threading.Thread(target=open_when_refused, args=(gate,))
        opener.start()
        found = together(16)
        opener.join()
        assert (found.count(200), found.count(403)) == (6, 10)
    finally:
        for process in processes:
            process.stop()
    settle()
    assert KeyMeter.objects.get(pk=issued.key.pk).total_charged <= spent + 6 * held

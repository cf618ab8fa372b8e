"""Moderations, which are free: nothing is held or stored, and they have a rate of their own, cool-down and failover."""

import math

import pytest
from aiohttp import web

from accounts.keys import issuing
from accounts.limits.free import count_free
from accounts.limits.policy import KeyPolicy
from accounts.models import ApiKey, CustomerMeter, KeyMeter
from accounts.people.customers import suspend
from billing.models import Hold, Wallet
from proxy.models import Generation
from proxy.prices.loading import load_catalog
from tests.conftest import NOW
from tests.proxy.conftest import Gateway, catalog
from tests.upstream import FakeUpstream

TOLD = {"id": "modr-1", "model": "m-at-upstream", "results": [{"flagged": False}]}
FREE = {"id": "openai/omni-moderation-latest", "price": {"request": "0"}}


@pytest.fixture
def served(gateway: Gateway, upstream: FakeUpstream, second_upstream: FakeUpstream) -> Gateway:
    upstream.json = second_upstream.json = TOLD
    load_catalog(catalog(upstream, second=second_upstream, **FREE))
    gateway.look_at_catalog()
    return gateway


def ask(gateway: Gateway, **more):
    return gateway.client.post("/v1/moderations", json={"input": "hello", **more})


def test_a_moderation_holds_and_stores_nothing(served, upstream):
    for more in ({}, {"model": "openai/omni-moderation-latest", "input": ["a", "b"], "new": 1}):
        answer = ask(served, **more)
        name = more.get("model", "omni-moderation-latest")
        assert (answer.status_code, answer.json()) == (200, {**TOLD, "model": name})
    assert upstream.calls[1] == {"model": "m-at-upstream", "input": ["a", "b"], "new": 1}
    assert not Generation.objects.exists()
    assert not Hold.objects.exists()


def test_a_customer_without_money_may_ask(served, customer):
    Wallet.objects.update(bonus=0)
    assert ask(served).status_code == 200


def test_what_fails_is_asked_of_the_next_upstream_and_cools_down(served, upstream, second_upstream, settings):
    upstream.status = 500
    for _ in range(settings.UPSTREAM_FAILURES + 1):
        assert ask(served).json()["id"] == "modr-1"
    assert len(second_upstream.calls) == settings.UPSTREAM_FAILURES + 1
    assert len(upstream.calls) == settings.UPSTREAM_FAILURES


def test_a_success_that_is_no_json_is_asked_of_the_next(served, upstream):
    async def page(request):
        return web.Response(text="<html>", content_type="application/json")

    upstream.handler = page
    assert ask(served).json()["id"] == "modr-1"


def test_a_model_that_costs_something_is_none_for_it(served, upstream):
    load_catalog(catalog(upstream))
    served.look_at_catalog()
    answer = ask(served, model="openai/m")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")


@pytest.mark.parametrize("body", [{"input": None}, {"input": 7}, {"input": "a", "stream": True}, {"models": ["b"]}])
def test_what_cannot_be_read_is_refused(served, upstream, body):
    assert ask(served, **body).status_code == 400
    assert not upstream.calls


def test_free_requests_count_apart_and_at_ten_times_the_rate(served, upstream):
    ApiKey.objects.update(rpm_limit=1)
    KeyMeter.objects.update(version=2)
    answers = [ask(served) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429]
    last = answers[-1]
    assert last.json()["error"]["code"] == "rate_limit_exceeded"
    assert (last.headers["x-ratelimit-limit"], last.headers["x-ratelimit-remaining"]) == ("10", "0")
    assert 1 <= int(last.headers["retry-after"]) <= 65
    assert len(upstream.calls) == 10
    assert KeyMeter.objects.get().slots == [0] * 13, "what is paid for has a rate of its own"


def test_the_rate_of_a_customer_holds_for_all_keys(customer, key):
    policy = KeyPolicy(
        key_id=key.key.pk,
        customer_id=customer.pk,
        version=KeyMeter.objects.get().version,
        customer_version=CustomerMeter.objects.get().version,
        ends=math.inf,
        customer_rpm=1,
    )
    standings = [count_free(policy) for _ in range(11)]
    assert [bool(one.rate and one.rate.refusal) for one in standings] == [False] * 10 + [True]


def test_a_key_that_was_disabled_may_ask_no_more(served, upstream, customer):
    assert ask(served).status_code == 200
    issuing.delete(key=ApiKey.objects.get(), now=NOW)
    answer = ask(served)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert len(upstream.calls) == 1


def test_a_suspended_customer_may_ask_no_more(served, upstream, customer):
    assert ask(served).status_code == 200
    suspend(customer=customer, reason="test", now=NOW)
    answer = ask(served)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "account_suspended")

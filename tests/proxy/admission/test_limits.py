"""Limits of keys and customers hold over real HTTP, from the first request on."""

import string
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db.models import Sum
from django.utils import timezone

from accounts.keys import issuing
from accounts.models import ApiKey, Customer
from proxy.models import Generation


@pytest.fixture
def key_of(gateway):
    def find() -> ApiKey:
        return issuing.find(gateway.key)

    return find


def change(key: ApiKey, **fields) -> None:
    ApiKey.objects.filter(pk=key.pk).update(**fields)


def code_of(response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def test_a_deleted_key_is_refused_from_the_next_request_on(gateway, key_of):
    assert gateway.chat().status_code == 200
    issuing.delete(key=key_of(), now=timezone.now())
    assert code_of(gateway.chat()) == (401, "invalid_api_key")


def test_a_disabled_key_is_refused_and_works_again_when_enabled(gateway, key_of):
    gateway.chat()
    change(key_of(), is_active=False)
    assert code_of(gateway.chat()) == (401, "invalid_api_key")
    change(key_of(), is_active=True)
    assert gateway.chat().status_code == 200


def test_an_expired_key_is_refused(gateway, key_of):
    gateway.chat()
    change(key_of(), expires_at=timezone.now() - timedelta(seconds=1))
    assert code_of(gateway.chat()) == (401, "invalid_api_key")


def test_a_suspended_customer_spends_nothing_from_the_next_request_on(gateway, customer):
    gateway.chat()
    Customer.objects.filter(pk=customer.pk).update(suspended_at=timezone.now())
    assert code_of(gateway.chat()) == (403, "account_suspended")


@pytest.mark.parametrize(("allowed", "status"), [(["openai/m"], 200), (["m"], 200), (["openai/other"], 403)])
def test_a_key_may_use_its_models_alone(gateway, key_of, allowed, status):
    change(key_of(), allowed_models=allowed)
    response = gateway.chat()
    assert response.status_code == status
    if status == 403:
        assert response.json()["error"]["code"] == "model_not_allowed"


@pytest.mark.parametrize(("networks", "status"), [(["127.0.0.0/8"], 200), (["10.0.0.0/8", "::1/128"], 403)])
def test_a_key_works_from_its_addresses_alone(gateway, key_of, networks, status):
    change(key_of(), allowed_ips=networks)
    # Nobody is believed about an address unless TRUSTED_PROXY_DEPTH says so.
    response = gateway.chat(headers={"X-Forwarded-For": "10.1.2.3"})
    assert response.status_code == status
    if status == 403:
        assert response.json()["error"]["code"] == "ip_not_allowed"


def test_a_keys_requests_per_minute_are_counted_exactly(gateway, key_of):
    change(key_of(), rpm_limit=3)
    statuses = [gateway.chat().status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    response = gateway.chat()
    assert response.json()["error"]["code"] == "rate_limit_exceeded"
    assert response.headers["x-ratelimit-limit"] == "3"
    assert response.headers["x-ratelimit-remaining"] == "0"
    assert 1 <= int(response.headers["retry-after"]) <= 65
    assert response.headers["x-ratelimit-reset"] == response.headers["retry-after"]
    assert Generation.objects.count() == 3


def test_a_customers_requests_per_minute_count_over_all_keys(gateway, customer):
    Customer.objects.filter(pk=customer.pk).update(rpm_limit=2)
    other = issuing.issue(customer=customer, name="other", now=timezone.now())
    assert gateway.chat().status_code == 200
    assert gateway.chat(headers={"Authorization": f"Bearer {other.text}"}).status_code == 200
    assert gateway.chat().status_code == 429


def test_a_models_requests_per_minute_count_by_model(gateway, settings, upstream):
    settings.DEFAULT_MODEL_RPM = 1
    assert gateway.chat().status_code == 200
    assert gateway.chat().status_code == 429


def test_daily_and_total_caps_count_what_is_held_and_then_what_was_spent(gateway, key_of):
    held = 0
    change(key_of(), daily_limit=Decimal("0.02"))
    while gateway.chat().status_code == 200:
        held += 1
    assert held == Generation.objects.count() > 1
    assert code_of(gateway.chat()) == (403, "daily_limit_exceeded")
    # What was not used came free again: a hold and what was spent are more than the cap, spending alone is not.
    spent, hold = Generation.objects.aggregate(cost=Sum("cost"))["cost"], Generation.objects.first().held
    assert spent <= Decimal("0.02") < spent + hold
    change(key_of(), daily_limit=Decimal("0.03"))
    assert gateway.chat().status_code == 200
    change(key_of(), daily_limit=None, total_limit=Decimal("0.001"))
    assert code_of(gateway.chat()) == (403, "key_limit_exceeded")


def test_a_refusal_writes_nothing(gateway, key_of):
    change(key_of(), total_limit=Decimal(0))
    before = key_of().meter.last_used_at
    gateway.chat()
    assert key_of().meter.last_used_at == before
    assert Generation.objects.count() == 0


def test_guessing_keys_is_limited_by_address(gateway):
    def guess(n: int):
        return gateway.chat(headers={"Authorization": f"Bearer ck-{string.ascii_letters[n % 52] * 30}{n:02d}"})

    statuses = {guess(n).status_code for n in range(100)} | {guess(n).status_code for n in range(25)}
    assert statuses == {401, 429}
    assert gateway.chat().status_code == 200  # a right key is no guess

"""Groups of customers: factor of the price, models that they see, limits; what changes counts from the next request."""

from decimal import Decimal

import pytest

from accounts.groups import CustomerGroup
from accounts.models import CustomerMeter
from proxy.models import Generation
from proxy.prices.loading import load_catalog
from proxy.records.receipts import receipt_of
from tests.proxy.conftest import PRICE, catalog, only_generation, settle, wait_for

PLAIN = Decimal("0.00042000")


@pytest.fixture
def group(gateway, customer) -> CustomerGroup:
    customer.group = "partners"
    customer.save()
    return CustomerGroup.objects.create(name="partners", factor=Decimal("0.8"))


def test_a_group_pays_its_factor_of_the_price(gateway, customer, group):
    shown = gateway.chat().json()
    found = wait_for("metered")
    assert found.cost == PLAIN * Decimal("0.8")
    assert shown["usage"]["cost"] == float(found.cost)
    assert (found.factor, found.upstream_cost) == (Decimal("0.8"), Decimal("0.0004"))
    settle()
    receipt = receipt_of(customer=customer, generation_id=found.pk)
    assert receipt is not None
    assert (receipt.charged, receipt.margin_percent, receipt.not_charged) == (found.cost, Decimal(-16), 0)


def test_it_is_held_at_its_factor_too(gateway, customer, group):
    gateway.chat()
    CustomerGroup.objects.update(factor=Decimal("1.6"))
    gateway.chat()
    small, large = Generation.objects.order_by("id")
    assert large.bound == small.bound * 2


def test_a_change_counts_from_the_next_request(gateway, customer, group):
    for factor in ("0.8", "0.5"):
        group.factor = Decimal(factor)
        group.save()
        gateway.chat()
    group.delete()
    gateway.chat()
    assert [found.cost / PLAIN for found in Generation.objects.order_by("id")] == [Decimal("0.8"), Decimal("0.5"), 1]


def test_only_the_customers_of_a_group_are_read_again(gateway, customer, group, make_customer):
    other = make_customer("1")
    versions = dict(CustomerMeter.objects.values_list("customer", "version"))
    group.save()
    after = dict(CustomerMeter.objects.values_list("customer", "version"))
    assert after[customer.pk] == versions[customer.pk] + 1
    assert after[other.pk] == versions[other.pk]


def test_a_model_that_a_group_does_not_see_is_not_there(gateway, upstream, group):
    data = catalog(upstream)
    data["models"].append({"id": "openai/other", "upstreams": ["first"], "price": PRICE})
    load_catalog(data)
    gateway.look_at_catalog()
    group.models = ["other"]
    group.save()
    refused = gateway.chat()
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
    assert [model["id"] for model in gateway.client.get("/v1/models").json()["data"]] == ["openai/other"]
    assert gateway.client.get("/v1/models/openai/m").status_code == 404
    assert gateway.chat(model="openai/other").status_code == 200


def test_nothing_is_told_of_a_model_that_a_group_does_not_see(gateway, group):
    group.models = ["other"]
    group.save()
    for name in ("m", "openai/m"):
        refused = gateway.chat(model=name, max_tokens=5_000)  # more than it writes
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
        assert f"There is no model '{name}' here." in refused.text


def test_the_api_shows_the_price_of_the_group(gateway, group):
    [model] = gateway.client.get("/v1/models").json()["data"]
    assert Decimal(model["pricing"]["margin"]) == Decimal("1.05") * Decimal("0.8")


def test_a_group_has_a_rate_where_its_customer_has_none(gateway, customer, group):
    group.rpm_limit = 1
    group.save()
    assert [gateway.chat().status_code for _ in range(2)] == [200, 429]
    customer.rpm_limit = 50
    customer.save()
    assert gateway.chat().status_code == 200


def test_who_is_in_no_group_keeps_no_factor(gateway):
    gateway.chat()
    assert only_generation().factor is None

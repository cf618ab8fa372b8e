"""What a model costs the house at an upstream: versions of its own, in the upstream's currency, else the list price."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from proxy.models import Model, Price, PurchasePrice, Route
from proxy.prices.loading import in_force, load_catalog
from proxy.prices.written import InvalidCatalog

pytestmark = pytest.mark.django_db
UPSTREAM = {"name": "main", "protocol": "openai", "base_url": "http://127.0.0.1:9001/v1", "currency": "CNY"}
COST = {"input": "1", "output": "4"}


def load(*, cost: Any = None, currency: str = "CNY") -> str:
    place = {"name": "main"} if cost is None else {"name": "main", "cost": cost}
    model = {"id": "deepseek/chat", "upstreams": [place], "price": {"input": "0.28", "output": "0.42"}}
    return load_catalog({"upstreams": [{**UPSTREAM, "currency": currency}], "models": [model]})


def versions() -> list[tuple[int, str, dict[str, str]]]:
    return list(PurchasePrice.objects.order_by("version").values_list("version", "currency", "rates"))


def test_a_changed_cost_is_a_new_version_and_the_same_one_is_none():
    load(cost=COST)
    assert load(cost=COST).endswith("0 new prices")
    load(cost={**COST, "input": "2"})
    assert versions() == [(1, "CNY", COST), (2, "CNY", {**COST, "input": "2"})]


def test_a_place_without_a_cost_has_no_version_and_one_that_loses_it_goes_back_to_the_list():
    load()
    assert versions() == []
    load(cost=COST)
    load()
    assert load().endswith("0 new prices")
    assert [row.is_list for row in PurchasePrice.objects.order_by("version")] == [False, True]
    assert versions()[-1] == (2, "USD", {})


def test_another_currency_of_the_upstream_makes_a_new_version():
    load(cost=COST)
    load(cost=COST, currency="USD")
    assert [currency for _, currency, _ in versions()] == ["CNY", "USD"]


def test_a_cost_from_a_date_on_waits_for_it():
    load(cost=[COST, {"input": "9", "output": "9", "applies_from": "2099-01-01"}])
    rows = list(PurchasePrice.objects.order_by("version"))
    today = in_force(rows, at=rows[0].created_at + timedelta(seconds=1))
    assert today is not None
    assert today.rates == COST
    assert rows[1].applies_from is not None
    assert in_force(rows, at=rows[1].applies_from) == rows[1]


def test_a_version_is_never_changed():
    load(cost=COST)
    with pytest.raises(DatabaseError), transaction.atomic():
        PurchasePrice.objects.update(currency="USD")


def test_a_place_that_is_taken_off_keeps_what_it_cost():
    load(cost=COST)
    other = {**UPSTREAM, "name": "other"}
    model = {"id": "deepseek/chat", "upstreams": ["other"], "price": {"input": "0.28", "output": "0.42"}}
    load_catalog({"upstreams": [other], "models": [model]})
    assert [route.upstream.name for route in Route.objects.all()] == ["other"]
    assert PurchasePrice.objects.get().upstream.name == "main"


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        ({"input": "-1"}, "`cost.input`"),
        ({"colour": "1"}, "there is no field 'colour'"),
        ({}, "names no rate"),
        ("1", "`cost` is missing, or no mapping"),
        ({**COST, "margin": "1.1"}, "so it has no `margin`"),
        ([COST, COST], "two prices in `cost` apply from the same moment"),
    ],
)
def test_a_bad_cost_is_told_with_its_place_and_nothing_is_loaded(cost, words):
    with pytest.raises(InvalidCatalog, match="model 'deepseek/chat' on 'main'") as told:
        load(cost=cost)
    assert words in str(told.value)
    assert not Model.objects.exists()
    assert not Price.objects.exists()


def test_an_upstream_is_paid_in_a_currency_that_there_are_rates_for():
    with pytest.raises(InvalidCatalog, match="`currency` must be one of USD, CNY"):
        load(currency="JPY")

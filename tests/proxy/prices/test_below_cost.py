"""A price is below cost where one of its units, with the margin, brings less than an upstream takes for it."""

from decimal import Decimal
from typing import Any

import pytest

from accounts.groups import CustomerGroup
from core.clock import database_now
from proxy.models import Model, Upstream
from proxy.prices.below_cost import losses, models_at_a_loss
from proxy.prices.loading import load_catalog
from tests.proxy.prices.steps import priced

pytestmark = pytest.mark.django_db
YUAN = {"USD": Decimal(1), "CNY": Decimal(1) / 7}


@pytest.fixture
def bought():
    """A function: `a/m` is sold at 1 and 4, and bought at these rates in that currency."""

    def bought(cost: dict[str, Any] | None, *, currency: str = "USD") -> Model:
        url = "https://api.example.com/v1"
        upstream = {"name": "main", "protocol": "openai", "base_url": url, "api_key": "k", "currency": currency}
        place = "main" if cost is None else {"name": "main", "cost": cost}
        load_catalog(
            {
                "upstreams": [upstream],
                "models": [{"id": "a/m", "upstreams": [place], "price": {"input": "1", "output": "4", "margin": "1"}}],
            }
        )
        return Model.objects.get()

    return bought


def lost(model: Model, price: dict[str, Any], *, margin: str = "1") -> list[tuple[str, Decimal, Decimal]]:
    found = losses(model, priced(price, margin=margin), at=database_now(), dollars=YUAN)
    return [(" ".join((one.unit, *one.when.values())), one.price, one.cost) for one in found]


def test_each_unit_is_compared_with_the_margin_in_the_price(bought):
    model = bought({"input": "1.2", "output": "4"})
    price = {"input": "1", "output": "4"}
    assert lost(model, price) == [("input", Decimal(1), Decimal("1.2"))]
    assert lost(model, price, margin="1.2") == []


def test_without_a_purchase_price_nothing_is_below_cost(bought):
    assert lost(bought(None), {"input": "0", "output": "0"}) == []


def test_a_cost_in_yuan_is_compared_in_dollars_and_unknown_without_a_rate(bought):
    model = bought({"input": "7", "output": "35"}, currency="CNY")
    assert lost(model, {"input": "1", "output": "4"}) == [("output", Decimal(4), Decimal(5))]
    sale = priced({"input": "1", "output": "4"})
    assert losses(model, sale, at=database_now(), dollars={"USD": Decimal(1)}) == []


def test_a_rate_that_falls_back_is_below_cost_too_and_a_variant_by_itself(bought):
    model = bought({"input": "1", "output": "4", "reasoning": "6", "service_tiers": {"flex": {"input": "0.5"}}})
    price = {"input": "1", "output": "4", "service_tiers": {"flex": {"input": "0.4"}}}
    assert lost(model, price) == [
        ("reasoning", Decimal(4), Decimal(6)),
        ("input flex", Decimal("0.4"), Decimal("0.5")),
    ]


def test_what_is_sold_by_the_request_and_bought_by_tokens_is_not_compared(bought):
    assert lost(bought({"input": "1", "output": "4"}), {"request": "0.01"}) == []


def test_an_upstream_that_is_not_asked_costs_nothing(bought):
    model = bought({"input": "2"})
    assert models_at_a_loss(now=database_now(), dollars=lambda: YUAN) == ["a/m"]
    Upstream.objects.update(is_active=False)
    assert lost(model, {"input": "1", "output": "4"}) == []
    assert models_at_a_loss(now=database_now(), dollars=lambda: YUAN) == []


def group(name: str, factor: str, *models: str) -> CustomerGroup:
    return CustomerGroup.objects.create(name=name, factor=Decimal(factor), models=list(models))


def of_groups(model: Model, margin: str = "1") -> set[tuple[str, Decimal]]:
    found = losses(model, priced({"input": "1", "output": "4"}, margin=margin), at=database_now(), dollars=YUAN)
    return {(one.group, one.price) for one in found if one.unit == "input"}


def test_a_groups_factor_sells_below_cost_what_others_pay_enough_for(bought):
    model = bought({"input": "0.9", "output": "3"})
    group("friends", "0.9")
    assert of_groups(model) == set()
    group("insiders", "0.8")
    assert of_groups(model) == {("insiders", Decimal("0.8"))}
    assert of_groups(model, margin="1.2") == set()
    assert models_at_a_loss(now=database_now(), dollars=lambda: YUAN) == ["a/m"]


@pytest.mark.parametrize(("models", "found"), [(["a/m"], True), (["m"], True), (["a/other"], False), ([], True)])
def test_a_group_counts_where_it_may_call_the_model(bought, models, found):
    model = bought({"input": "0.9"})
    group("some", "0.5", *models)
    group("dear", "3")
    assert (of_groups(model) == {("some", Decimal("0.5"))}) is found


def test_what_is_below_cost_for_everybody_names_no_group(bought):
    group("some", "0.5")
    assert of_groups(bought({"input": "1.5"})) == {("", Decimal(1))}


def test_a_factor_below_the_margin_sells_below_the_list_price_which_is_the_cost(bought):
    model = bought(None)
    assert models_at_a_loss(now=database_now(), dollars=lambda: YUAN) == []
    group("some", "0.9")
    assert of_groups(model, margin="1.05") == {("some", Decimal("0.945"))}
    assert of_groups(model, margin="1.2") == set()
    assert models_at_a_loss(now=database_now(), dollars=lambda: YUAN) == ["a/m"]

"""The form of a purchase price: what an upstream takes, in its currency, as a new version; and what it changes."""

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import StaffAction
from payments.topups import fx
from proxy.models import Model, PurchasePrice, Upstream
from proxy.prices.loading import load_catalog
from tests.conftest import NOW
from tests.proxy.purchases.conftest import load
from tests.proxy.purchases.test_posting import YUAN
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk() -> Client:
    return at_desk(in_role("finance"))


def write(desk: Client, upstream: str = "domestic", **fields: str) -> str:
    """What the page says after these fields were posted."""
    path = reverse("admin:proxy_model_new_cost", args=[Model.objects.get().pk])
    pk = str(Upstream.objects.get(name=upstream).pk)
    answer = desk.post(path, {"upstream": pk, "shown_upstream": pk, **fields}, follow=True)
    return " ".join(answer.content.decode().split())


def look(desk: Client, upstream: str = "domestic") -> Any:
    path = reverse("admin:proxy_model_new_cost", args=[Model.objects.get().pk])
    return desk.get(path, {"upstream": Upstream.objects.get(name=upstream).pk})


def versions() -> list[tuple[str, int, str, dict[str, str]]]:
    found = PurchasePrice.objects.order_by("upstream__name", "version")
    return [(row.upstream.name, row.version, row.currency, row.rates) for row in found]


def test_a_new_purchase_price_is_a_new_version_as_a_catalog_loads_it(desk):
    load(domestic=YUAN)
    said = write(desk, input="8", output="28")
    assert "The new price holds for requests from now on." in said
    assert "Input: ¥7 → ¥8 per million tokens (+14.3 %)." in said
    assert "10,000 tokens in and 1,000 out cost ¥0.10800000." in said
    assert versions() == [
        ("domestic", 1, "CNY", {"input": "7", "output": "28"}),
        ("domestic", 2, "CNY", {"input": "8", "output": "28"}),
    ]
    made = PurchasePrice.objects.latest("version")
    assert made.created_by is not None
    assert StaffAction.objects.get().action == "new_cost"
    assert "That is the price already; nothing was changed." in write(desk, input="8", output="28")
    load_catalog({"models": [catalog_model({"input": "8", "output": "28"})]})
    assert len(versions()) == 2


def catalog_model(cost: dict[str, str]) -> dict[str, Any]:
    places = ["main", {"name": "domestic", "cost": cost}]
    price = {"input": "3", "output": "15"}
    return {"id": "anthropic/m", "upstreams": places, "price": price, "context_window": 100_000}


def test_the_form_begins_with_what_is_paid_there_today_in_the_rates_of_the_models_kind(desk):
    load(domestic=YUAN)
    answer = look(desk)
    form = answer.context["form"]
    assert (form["input"].value(), form["output"].value()) == (Decimal(7), Decimal(28))
    assert "input_audio" not in form.fields
    assert "margin" not in form.fields
    page = answer.content.decode()
    assert "What domestic takes, in CNY." in page
    assert "At today&#x27;s price: 10,000 tokens in and 1,000 out cost ¥0.09800000." in page
    page = look(desk, "main").content.decode()
    assert "What main takes, in USD." in page
    assert "Today it costs the price before the margin, in USD." in page


def test_another_upstream_or_kind_shows_its_rates_and_sets_nothing(desk):
    load(domestic=YUAN)
    main = str(Upstream.objects.get(name="main").pk)
    path = reverse("admin:proxy_model_new_cost", args=[Model.objects.get().pk])
    domestic = str(Upstream.objects.get(name="domestic").pk)
    form = desk.post(path, {"upstream": domestic, "shown_upstream": main, "input": "1"}).context["form"]
    assert form["input"].value() == Decimal(7)
    given = {"upstream": domestic, "shown_upstream": domestic, "kind": "media", "shown": "text", "input": "1"}
    form = desk.post(path, given).context["form"]
    assert "input_audio" in form.fields
    assert len(versions()) == 1


def test_one_that_is_scheduled_holds_from_its_day_on(desk):
    load(domestic=YUAN)
    assert "The new price holds from 2099-01-01 00:00 UTC on." in write(
        desk, input="9", output="28", applies_from="2099-01-01"
    )
    assert "Version 2 holds from 2099-01-01 00:00 UTC on." in look(desk).content.decode()


def test_it_goes_back_to_the_price_before_the_margin(desk):
    load(domestic=YUAN)
    assert "leave the day empty" in write(desk, is_list="on", applies_from="2099-01-01")
    assert "It costs the price before the margin." in write(desk, is_list="on", input="7")
    assert versions()[-1] == ("domestic", 2, "USD", {})
    assert "list price → ¥7" in write(desk, **YUAN)
    assert "nothing was changed" in write(desk, "main", is_list="on")


def test_beside_the_list_price_a_cost_in_dollars_is_compared(desk):
    load()
    assert "Input: $3 → $2 per million tokens (-33.3 %)." in write(desk, "main", input="2", output="15")


def test_a_cost_in_another_currency_than_before_is_not_compared(desk):
    load(domestic=YUAN)
    Upstream.objects.filter(name="domestic").update(currency="USD")
    assert "Input: CNY → $1 per million tokens." in write(desk, input="1", output="4")


def test_a_model_that_is_sold_for_less_is_told(desk):
    load()
    fx.set_rate(Decimal("7.00"), source="test", by=None, now=NOW)
    said = write(desk, input="35", output="28")
    assert "It is sold below that: Input: sold at $3.15 with the margin, bought at $5 from domestic" in said
    assert "sold below that" not in write(desk, input="7", output="28")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "names no rate"),
        ({"input": "-1"}, "greater than or equal to 0"),
        ({"input": "1", "tiers": '{"a": 1}'}, "Tiers are a list."),
        ({"input": "1", "input_audio": "1"}, "has no rate such as"),
        ({"input": "1", "variants": '[{"when": {"colour": "red"}, "input": "1"}]'}, "variants[0].when.colour"),
        ({"input": "1e99"}, "digits"),
        ({"input": "1", "tiers": "[" * 20_000}, "Enter a valid JSON"),
        ({"input": "1", "tiers": "[" * 900 + "]" * 900}, "Enter a valid JSON"),
        ({"input": "1", "tiers": "[" + "9" * 5_000 + "]"}, "Enter a valid JSON"),
        ({"input": "1", "variants": '["\\ud800"]'}, "Enter a valid JSON"),
    ],
)
def test_what_cannot_be_meant_is_told_and_nothing_is_set(desk, fields, words):
    load(domestic=YUAN)
    assert words in write(desk, **fields)
    assert len(versions()) == 1


def test_an_upstream_that_the_model_does_not_go_to_is_no_choice(desk):
    load()
    Model.objects.get().routes.filter(upstream__name="domestic").delete()
    write(desk, input="1", output="1")
    assert versions() == []
    Model.objects.get().routes.all().delete()
    answer = desk.get(reverse("admin:proxy_model_new_cost", args=[Model.objects.get().pk]), follow=True)
    assert "It goes to no upstream yet: give it a route first." in answer.content.decode()


@pytest.mark.parametrize("role", ["support", "operator"])
def test_finance_alone_sets_it(role):
    load()
    client = at_desk(in_role(role))
    assert client.get(reverse("admin:proxy_model_new_cost", args=[Model.objects.get().pk])).status_code == 403

"""A price as it is written: what is wrong is told with its place, and what is short is spelt out."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.db import transaction

from proxy.models import Model, Price, Upstream
from proxy.prices.loading import load_catalog
from proxy.prices.units import TABLE
from proxy.prices.written import InvalidCatalog, price_columns
from tests.proxy.prices.steps import priced

PLAIN = {"input": "1", "output": "4"}
BAD = {
    "an unknown unit": ({**PLAIN, "input_smell": "1"}, "`price`: there is no field 'input_smell'"),
    "a negative rate": ({"input": "-1"}, "`price.input`: '-1' is not a price"),
    "a huge rate": ({"input": "1000000"}, "`price.input`: '1000000' is not a price from 0 to below 1000000"),
    "a rate of many places": ({"input": "0." + "0" * 20 + "1"}, "more than 18 decimal places"),
    "a rate of a million places": ({"input": "0e-999999"}, "`price.input`"),
    "infinity": ({"input": "Infinity"}, "`price.input`"),
    "a truth": ({"input": True}, "`price.input`"),
    "a list": ({"input": ["1"]}, "`price.input`"),
    "no rate": ({"tiers": []}, "the price names no rate"),
    "no mapping": ("1.00", "`price` is missing, or no mapping"),
    "a missing join": (
        {**PLAIN, "cache_read": "0.1", "input_audio": "3"},
        "`price` names cache_read and input_audio, which have tokens in common: it needs cache_read_audio too",
    ),
    "a join missing in a variant": (
        {**PLAIN, "cache_write_1h": "2", "variants": [{"when": {"speed": "fast"}, "input_video": "3"}]},
        "it needs cache_write_1h_video too",
    ),
    "a tier without a border": ({**PLAIN, "tiers": [{"input": "2"}]}, "`price.tiers[0]` needs `above`"),
    "a border that is no number": ({**PLAIN, "tiers": [{"above": "200k", "input": "2"}]}, "`price.tiers[0]` needs"),
    "a border below zero": ({**PLAIN, "tiers": [{"above": -1, "input": "2"}]}, "`price.tiers[0]` needs"),
    "a border beyond any input": ({**PLAIN, "tiers": [{"above": 2**40, "input": "2"}]}, "`price.tiers[0]` needs"),
    "tiers that descend": (
        {**PLAIN, "tiers": [{"above": 200, "input": "2"}, {"above": 100, "input": "3"}]},
        "`price.tiers[1].above` is 100: tiers ascend, and the one before is 200",
    ),
    "a bad rate in a tier": ({**PLAIN, "tiers": [{"above": 1, "output": "x"}]}, "`price.tiers[0].output`: 'x'"),
    "tiers that are no list": ({**PLAIN, "tiers": {"above": 1}}, "`price.tiers` must be a list"),
    "an unknown condition": (
        {**PLAIN, "variants": [{"when": {"colour": "red"}, "input": "2"}]},
        "`price.variants[0].when.colour` is not known: a price may go by service_tier, speed",
    ),
    "no condition": ({**PLAIN, "variants": [{"input": "2"}]}, "`price.variants[0].when` must say"),
    "a condition that is no text": ({**PLAIN, "variants": [{"when": {"size": 7}, "input": "2"}]}, "not 7"),
    "a variant without rates": ({**PLAIN, "variants": [{"when": {"size": "l"}}]}, "`price.variants[0]` names no rate"),
    "a bad rate in a variant's tier": (
        {**PLAIN, "service_tiers": {"flex": {"input": "1", "tiers": [{"above": 5, "input": "-2"}]}}},
        "`price.service_tiers.flex.tiers[0].input`: '-2'",
    ),
    "an unknown fallback": ({**PLAIN, "fallback": ["smell"]}, "`price.fallback[0]`: there is no unit 'smell'"),
    "a minimum of no seconds": ({**PLAIN, "minimum": "10"}, "`price.minimum` is of seconds"),
    "a rounding to nothing": ({"second": "1", "round": "0"}, "`price.round`: '0' is not a price from 0.001"),
    "a fallback on nothing": ({**PLAIN, "fallback": ["page"]}, "nothing stands for page"),
    "an odd date": ({**PLAIN, "applies_from": "soon"}, "`price.applies_from`: 'soon' is no day"),
    "a margin below one": ({**PLAIN, "margin": "0.5"}, "`price.margin`: '0.5'"),
    "a margin beyond its column": ({**PLAIN, "margin": "1.00001"}, "`price.margin`: '1.00001' has more than 4"),
    "another way of billing": ({**PLAIN, "billing": "per_second"}, "`price.billing` is per_second"),
}


@pytest.mark.parametrize(("price", "words"), BAD.values(), ids=list(BAD))
@pytest.mark.django_db
def test_a_bad_price_is_told_with_its_place_and_nothing_is_half_loaded(price, words):
    upstream = {"name": "main", "protocol": "openai", "base_url": "http://127.0.0.1:9001/v1"}
    good = {"id": "a/good", "upstreams": ["main"], "price": PLAIN}
    data = {"upstreams": [upstream], "models": [good, {"id": "a/bad", "upstreams": ["main"], "price": price}]}
    with pytest.raises(InvalidCatalog) as refused, transaction.atomic():
        load_catalog(data)
    assert "model 'a/bad'" in str(refused.value)
    assert words in str(refused.value)
    assert Price.objects.count() == Model.objects.count() == Upstream.objects.count() == 0


@pytest.mark.parametrize("field", ["max_output_tokens", "context_window", "max_tool_calls"])
@pytest.mark.parametrize("count", [-1, 1.5, "5", True, 2**31])
@pytest.mark.django_db
def test_an_odd_count_is_refused(field, count):
    upstream = {"name": "main", "protocol": "openai", "base_url": "http://127.0.0.1:9001/v1"}
    model = {"id": "a/m", "upstreams": ["main"], "price": PLAIN, field: count}
    with pytest.raises(InvalidCatalog, match=f"model 'a/m': `{field}`"), transaction.atomic():
        load_catalog({"upstreams": [upstream], "models": [model]})


def test_a_service_tier_is_short_for_a_variant():
    short = priced({**PLAIN, "service_tiers": {"flex": {"input": "0.5", "tiers": [{"above": 9, "input": "0.7"}]}}})
    long = priced(
        {
            **PLAIN,
            "variants": [{"when": {"service_tier": "flex"}, "input": "0.5", "tiers": [{"above": 9, "input": "0.7"}]}],
        }
    )
    assert short == long
    assert short.rates_for(10, {"service_tier": "flex"}) == {"input": Decimal("0.7"), "output": Decimal(4)}
    assert short.rates_for(10, {"service_tier": "default"}) == {"input": Decimal(1), "output": Decimal(4)}


def test_the_first_variant_that_matches_wins_rate_by_rate():
    price = priced(
        {
            **PLAIN,
            "variants": [
                {"when": {"service_tier": "flex", "speed": "fast"}, "output": "9"},
                {"when": {"service_tier": "flex"}, "input": "0.5", "output": "2"},
                {"when": {"speed": "fast"}, "input": "7"},
            ],
        }
    )
    assert price.rates_for(1, {"service_tier": "flex", "speed": "fast"}) == {"input": Decimal("0.5"), "output": 9}
    assert price.rates_for(1, {"speed": "fast"}) == {"input": 7, "output": 4}


@pytest.mark.parametrize("unit", TABLE, ids=lambda unit: unit.name)
def test_every_unit_has_a_rate_a_line_and_words(unit):
    columns = price_columns({unit.name: "1"}, where="m", margin=Decimal(1))
    assert columns["rates"] == {unit.name: "1"}
    assert columns["billing"] == unit.billing
    assert str(unit.label)
    assert unit.field[0].isupper()


def test_a_day_begins_in_utc_and_a_moment_keeps_its_zone():
    def from_(said: object) -> datetime | None:
        found: datetime | None = price_columns({**PLAIN, "applies_from": said}, where="m", margin=1)["applies_from"]
        return found

    assert from_("2027-01-31") == datetime(2027, 1, 31, tzinfo=UTC)
    assert from_("2027-01-31T08:00:00+08:00") == datetime(2027, 1, 31, tzinfo=UTC)
    assert from_(datetime(2027, 1, 31, tzinfo=UTC).replace(tzinfo=None)) == datetime(2027, 1, 31, tzinfo=UTC)
    assert from_(date(2027, 1, 31)) == datetime(2027, 1, 31, tzinfo=UTC)

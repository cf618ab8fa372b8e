"""Our sums against genai-prices for every model that it prices, in each of its variants, over any counts."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import data
from genai_prices.data_units import unit_data
from genai_prices.types import ModelInfo, Provider

from billing.books.money import charge
from proxy.prices.genai import price_of, terms_of
from proxy.prices.sums import cost_of
from proxy.prices.units import TABLE, UNITS
from proxy.prices.usage import Amount, Usage
from tests.proxy.prices.steps import priced

AT = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
THEIRS = {unit["price_key"]: (name, unit["dimensions"]) for name, unit in unit_data.items()}
LEAVES = [unit for unit in TABLE if unit.genai and unit.name not in ("request", "input_text", "output_text")]
UNSOLD = {"input_annotated_document_kpages", "input_text_messages_kcount"}
"""What they price and we have no unit for: nothing of it is counted here."""
TINY = Decimal("0.00000001")


def models() -> Iterator[tuple[Provider, ModelInfo]]:
    for provider in data.providers:
        for model in provider.models:
            if price_of(model, at=AT):
                yield provider, model


def counted(chance: random.Random, *, long: bool) -> dict[str, int]:
    """So many of some units: of tokens enough to pass any tier, or few."""
    units = [unit for unit in LEAVES if unit.name in ("input", "output") or chance.random() < 0.4]
    return {unit.name: chance.randrange(10, 400_000 if long and unit.side else 3_000) for unit in units}


def ours(counts: dict[str, int]) -> Usage:
    def of(*prefixes: str) -> int:
        return sum(count for name, count in counts.items() if name.startswith(prefixes))

    usual = ("input", "output", "cache_read", "cache_write", "cache_write_1h", "reasoning")
    more: dict[str, Amount] = {name: count for name, count in counts.items() if name not in usual}
    return Usage(
        input_tokens=of("input", "cache_"),
        output_tokens=of("output", "reasoning", "citation"),
        cached_tokens=of("cache_read"),
        cache_write_tokens=of("cache_write"),
        cache_write_1h_tokens=counts.get("cache_write_1h", 0),
        reasoning_tokens=counts.get("reasoning", 0),
        more=more or None,
    )


def theirs(counts: dict[str, int]) -> TheirUsage:
    """Each of their sums over the counts that are of its kind."""
    totals: dict[str, int] = {key: 0 for key in unit_data if key != "requests"}
    for name, count in counts.items():
        _, dimensions = THEIRS[UNITS[name].genai]
        for key, unit in unit_data.items():
            if key in totals and unit["dimensions"].items() <= dimensions.items():
                totals[key] += count
    if totals["audio_seconds"]:
        totals["input_audio_seconds"] = totals["audio_seconds"]
    return TheirUsage(**totals)


def test_our_sums_are_those_of_genai_prices_for_every_model_in_every_variant():
    chance, compared = random.Random(15), 0
    for provider, model in models():
        price = priced(price_of(model, at=AT, with_variants=True))
        contexts: list[dict[str, str]] = [{}]
        contexts += [one.when for one in model.price_variants or () if terms_of(one.when) is not None]
        for context in contexts:
            for long in (False, True):
                counts = counted(chance, long=long)
                there = sums_of(model, provider, theirs(counts), context)
                here = cost_of(price, ours(counts), served=terms_of(context) or {}).upstream
                close = TINY if any(name in price.priced for name in ("second",)) else Decimal(0)
                assert any(abs(here - charge(sum_)) <= close for sum_ in there), (
                    provider.id,
                    model.id,
                    context,
                    counts,
                )
                compared += 1
    assert compared > 4_000


def sums_of(model: ModelInfo, provider: Provider, usage: TheirUsage, context: dict[str, str]) -> list[Decimal]:
    """Theirs, at each hour where a price goes by the hour."""
    hours = range(24) if isinstance(model.prices, list) else [12]
    found = {}
    for hour in hours:
        at = AT.replace(hour=hour)
        prices = model.get_prices(at)
        if id(prices) not in found:
            told = model.calc_price(usage, provider, genai_request_timestamp=at, price_context=context)
            found[id(prices)] = told.total_price
    return [max(found.values())]


def test_every_unit_of_theirs_is_one_of_ours_or_known_to_be_none():
    priced_there: set[str] = set()
    for _, model in models():
        prices: Any = [one.prices for one in model.prices] if isinstance(model.prices, list) else [model.prices]
        prices += [one.prices for one in model.price_variants or ()]
        priced_there |= {name for one in prices for name, value in vars(one).items() if value is not None}
    known = {unit.genai for unit in TABLE} | UNSOLD
    assert priced_there - known == {"input_audio_hours"}, "which stands beside audio_hours at the same rate"


@pytest.mark.parametrize("name", [unit.name for unit in TABLE if unit.genai])
def test_a_units_ancestors_there_are_its_ancestors_here(name):
    """Where both have a unit and its ancestor, a price without the unit charges the same rate."""
    own = THEIRS[UNITS[name].genai][1]
    above = {
        unit.name for unit in TABLE if unit.genai and unit.name != name and THEIRS[unit.genai][1].items() < own.items()
    }
    assert above <= set(UNITS[name].ancestors)

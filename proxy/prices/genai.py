"""Prices of well-known models from genai-prices, as catalog data that `loading` turns into our own versioned rows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from genai_prices import data
from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

from proxy.prices.units import TABLE, TOOLS, UNITS
from proxy.prices.versions import TERMS
from proxy.prices.written import MOST_PLACES

RATES = {unit.name: unit.genai for unit in TABLE if unit.genai}
BATCH = {"processing": "batch"}
SMALLEST = Decimal(1).scaleb(-MOST_PLACES)


@dataclass(frozen=True, slots=True)
class WellKnown:
    """A model as genai-prices names it, and the longest output its provider documents, in tokens."""

    provider: str
    name: str
    max_output_tokens: int


WELL_KNOWN = (
    WellKnown("openai", "gpt-4.1-nano", 32_768),
    WellKnown("openai", "gpt-4.1-mini", 32_768),
    WellKnown("openai", "gpt-4.1", 32_768),
    WellKnown("openai", "gpt-4o-mini", 16_384),
    WellKnown("openai", "gpt-4o", 16_384),
    WellKnown("openai", "gpt-5-mini", 128_000),
    WellKnown("openai", "gpt-5.4", 128_000),
    WellKnown("openai", "o4-mini", 100_000),
    WellKnown("anthropic", "claude-haiku-4-5", 64_000),
    WellKnown("anthropic", "claude-sonnet-4-6", 128_000),
    WellKnown("anthropic", "claude-opus-4-6", 128_000),
    WellKnown("google", "gemini-2.5-flash-lite", 65_536),
    WellKnown("google", "gemini-2.5-flash", 65_536),
    WellKnown("google", "gemini-2.5-pro", 65_536),
    WellKnown("deepseek", "deepseek-chat", 8_192),
    WellKnown("deepseek", "deepseek-v4-pro", 65_536),
    WellKnown("x-ai", "grok-code-fast-1", 10_000),
    WellKnown("moonshotai", "kimi-k3", 32_768),
    WellKnown("mistral", "mistral-large-2512", 32_768),
    WellKnown("zai", "GLM-5.3", 131_072),
)


def find(provider: str, name: str) -> ModelInfo:
    """A model of genai-prices; raises `LookupError`."""
    for known in data.providers:
        if known.id == provider:
            for model in known.models:
                if model.id == name:
                    return model
    raise LookupError(f"genai-prices knows no {provider}/{name}")


def price_of(model: ModelInfo, *, at: datetime, with_variants: bool = False) -> dict[str, Any]:
    """The model's price on that day, as `loading.set_price` takes it: USD, tiers by input.

    A provider whose price goes by the hour (DeepSeek) is taken at its dearest one: a price of ours holds all day.
    """
    hours = [at.replace(hour=hour, minute=minute) for hour in range(24) for minute in (0, 30)]
    by_hour = {id(prices): prices for prices in map(model.get_prices, hours)}
    price = max(map(_flat, by_hour.values()), key=_dearness)
    variants = [
        {"when": when, **rates}
        for one in (model.price_variants or () if with_variants else ())
        if (when := terms_of(one.when)) is not None
        and (one.constraint is None or one.constraint.active(at))
        and (rates := _flat(one.prices))
    ]
    return {**price, **({"variants": variants} if variants else {})}


def terms_of(when: Mapping[str, str]) -> dict[str, str] | None:
    """Their conditions as ours, or None where a price of ours cannot go by one."""
    if dict(when) == BATCH:
        return {"completion_window": "24h"}
    return dict(when) if when.keys() <= set(TERMS) else None


def _flat(prices: ModelPrice) -> dict[str, Any]:
    """Rates and tiers by our names. A tier names all that lower ones changed, as ours replaces the base rates alone."""
    rates: dict[str, str] = {}
    borders: dict[int, dict[str, str]] = {}
    for name, theirs in RATES.items():
        value = getattr(prices, theirs, None)
        if isinstance(value, TieredPrices):
            rates[name] = _text(value.base, name)
            for tier in value.tiers:
                borders.setdefault(tier.start, {})[name] = _text(tier.price, name)
        elif value is not None:
            rates[name] = _text(value, name)
    tiers: list[dict[str, Any]] = []
    for above, named in sorted(borders.items()):
        tiers.append({"above": above, "rates": {**(tiers[-1]["rates"] if tiers else {}), **named}})
    return {**rates, **({"tiers": tiers} if tiers else {})}


def _dearness(price: dict[str, Any]) -> Decimal:
    rates = [price, *(tier["rates"] for tier in price.get("tiers", ()))]
    return sum((Decimal(named[name]) for named in rates for name in RATES if name in named), Decimal(0))


def catalog_data(models: Iterable[WellKnown], *, upstream: str, at: datetime) -> list[dict[str, Any]]:
    """The `models` part of a catalog in which all of them go to one upstream under their own names."""
    found = []
    for known in models:
        info = find(known.provider, known.name)
        item: dict[str, Any] = {
            "id": f"{known.provider}/{known.name.lower()}",
            "name": info.name or known.name,
            "description": (info.description or "").partition(". ")[0][:300],
            "upstreams": [upstream],
            "upstream_model": known.name,
            "max_output_tokens": known.max_output_tokens,
            "price": {name: rate for name, rate in price_of(info, at=at).items() if name not in TOOLS},
        }
        if info.context_window:
            item["context_window"] = info.context_window
        found.append(item)
    return found


def _text(value: Decimal, name: str) -> str:
    """A rate of theirs as ours: an hour's by the second, a thousand requests' by the request."""
    per = UNITS[name].genai_per
    if per == 1:
        return f"{value:f}"
    rate = (value / per).quantize(SMALLEST)
    return f"{rate.normalize():f}"

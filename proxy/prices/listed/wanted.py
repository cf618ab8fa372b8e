"""What the list says of a model: genai-prices' price of today and of the days on which it changes."""

from collections.abc import Iterator
from datetime import UTC, datetime, time
from typing import Any

from genai_prices import data
from genai_prices.types import ModelInfo, StartDateConstraint

from proxy.prices.genai import price_of
from proxy.prices.units import TOOLS, UNITS


def named(name: str) -> ModelInfo | None:
    """The list's model of exactly that id."""
    return next((model for listed, model in _of_provider(name) if listed == name.lower()), None)


def likely(name: str) -> tuple[str, ModelInfo] | None:
    """The list's model of that id, or else the first that the list itself finds by such a name; its id, and the model.

    A model that follows the list goes by `named`: what was found once must not become another one.
    """
    exact = named(name)
    if exact is not None:
        return name.lower(), exact
    short = name.lower().partition("/")[2]
    return next(((listed, model) for listed, model in _of_provider(name) if model.is_match(short)), None)


def _of_provider(name: str) -> Iterator[tuple[str, ModelInfo]]:
    provider = name.lower().partition("/")[0]
    return (found for found in everything() if found[0].startswith(f"{provider}/"))


def everything() -> Iterator[tuple[str, ModelInfo]]:
    """Every model of the list, under the id that it would have here."""
    for provider in data.providers:
        for model in provider.models:
            yield f"{provider.id}/{model.id.lower()}", model


def starts(info: ModelInfo, *, now: datetime) -> set[datetime]:
    """The days to come on which something of its price begins to apply; they begin in UTC."""
    conditional = [*(info.prices if isinstance(info.prices, list) else ()), *(info.price_variants or ())]
    days = {one.constraint.start_date for one in conditional if isinstance(one.constraint, StartDateConstraint)}
    return {start for day in days if (start := datetime.combine(day, time(), tzinfo=UTC)) > now}


def prices(info: ModelInfo, *, now: datetime, dates: set[datetime], has_tools: bool) -> list[dict[str, Any]]:
    """Its price now, then those that apply from a later day on; empty where the list has none.

    `dates` are looked at beside the list's own, and have a price even where nothing changes on them: what was scheduled
    for them may no longer be so. Without `has_tools` what runs at the provider is left out.
    """
    found = [_sold(price_of(info, at=now, with_variants=True), has_tools=has_tools)]
    if not found[0]:
        return []
    last = found[0]
    for start in sorted(starts(info, now=now) | dates):
        price = _sold(price_of(info, at=start, with_variants=True), has_tools=has_tools)
        if price and (price != last or start in dates):
            found.append({**price, "applies_from": start.isoformat()})
            last = price
    return found


def _sold(price: dict[str, Any], *, has_tools: bool) -> dict[str, Any]:
    """The price without rates of tools, and without parts that then name no rate."""
    if has_tools:
        return price
    rates = {name: rate for name, rate in price.items() if name in UNITS and name not in TOOLS}
    tiers = [
        {**tier, "rates": named}
        for tier in price.get("tiers", ())
        if (named := {name: rate for name, rate in tier["rates"].items() if name not in TOOLS})
    ]
    variants = [
        {"when": one["when"], **left}
        for one in price.get("variants", ())
        if (left := _sold({name: part for name, part in one.items() if name != "when"}, has_tools=False))
    ]
    return {**rates, **({"tiers": tiers} if tiers else {}), **({"variants": variants} if variants else {})}

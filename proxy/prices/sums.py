"""Prices: pure sums in `Decimal`, exact until one rounding at the end. USD; rates are per million where tokens are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Any, Protocol

from billing.books.money import MICRO, ZERO, charge
from core.records import value
from proxy.prices.units import MILLION, PER_TOKEN, TABLE, UNITS, Unit, Usage, names, rate_of, tokens_of


class PriceRow(Protocol):
    """What `proxy.models.Price` supplies."""

    pk: Any
    billing: str
    rates: Any
    tiers: Any
    margin: Decimal


@value
class LineItem:
    """`amount` is exact, unrounded, before the margin; `price` is per million where `unit` is a token or character."""

    unit: str
    quantity: Decimal
    price: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Tier:
    """Rates that replace the base ones in a request of more than `above` input tokens."""

    above: int
    rates: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class PriceVersion:
    """A frozen price: what a request is held and charged at, whatever happens to the catalog meanwhile."""

    id: int
    billing: str
    rates: Mapping[str, Decimal]
    margin: Decimal
    tiers: Sequence[Tier] = ()
    worst: Sequence[tuple[int, Decimal, Decimal]] = field(init=False)
    """(above, USD an input token, USD an output token) with the margin, at the dearest rate that can apply."""

    def __post_init__(self) -> None:
        levels = [Tier(above=-1, rates=self.rates)]
        levels += [Tier(above=tier.above, rates={**self.rates, **tier.rates}) for tier in self.tiers]
        worst: list[tuple[int, Decimal, Decimal]] = []
        for level in levels:
            dearest = [
                max((level.rates[name] for name in known if name in level.rates), default=ZERO) * self.margin / MILLION
                for known in (names(side="input"), names(side="output"))
            ]
            if worst:
                dearest = [max(dearest[0], worst[-1][1]), max(dearest[1], worst[-1][2])]
            worst.append((level.above, dearest[0], dearest[1]))
        object.__setattr__(self, "worst", tuple(worst))

    @classmethod
    def from_row(cls, row: PriceRow) -> "PriceVersion":
        return cls(
            id=row.pk,
            billing=row.billing,
            rates={name: Decimal(text) for name, text in row.rates.items()},
            margin=row.margin,
            tiers=tuple(
                Tier(above=tier["above"], rates={name: Decimal(text) for name, text in tier["rates"].items()})
                for tier in sorted(row.tiers, key=lambda tier: tier["above"])
            ),
        )

    def rates_for(self, input_tokens: int) -> Mapping[str, Decimal]:
        """The rates of a request with that much input: the highest tier it passes, over the base."""
        reached = [tier for tier in self.tiers if input_tokens > tier.above]
        return {**self.rates, **reached[-1].rates} if reached else self.rates


def line_items(price: PriceVersion, usage: Usage) -> list[LineItem]:
    """What was used at what rate; lines of quantity zero are left out."""
    if price.billing == PER_TOKEN:
        rates = price.rates_for(usage.input_tokens)
        lines = [(UNITS[name].line, count, rate_of(rates, name)) for name, count in tokens_of(usage, rates) if count]
        return [LineItem(line, Decimal(count), rate, count * rate / MILLION) for line, count, rate in lines]
    unit, rate = _own_unit(price)
    return [LineItem(unit.line, usage.units, rate, usage.units * rate / unit.per)] if usage.units else []


def _own_unit(price: PriceVersion) -> tuple[Unit, Decimal]:
    """The unit of a price that is none of tokens, and its rate."""
    name = next(unit.name for unit in TABLE if not unit.side and unit.name in price.rates)
    return UNITS[name], price.rates[name]


@value
class Cost:
    """What a request cost: `upstream` before and `charged` after the margin, each exact and then rounded once."""

    upstream: Decimal
    charged: Decimal


def cost_of(price: PriceVersion, usage: Usage) -> Cost:
    if price.billing == PER_TOKEN:  # as the line items add up, without making them
        rates = price.rates_for(usage.input_tokens)
        exact = sum([count * rate_of(rates, name) for name, count in tokens_of(usage, rates) if count], ZERO) / MILLION
    else:
        exact = sum([item.amount for item in line_items(price, usage)], ZERO)
    upstream = charge(exact)
    return Cost(upstream=upstream, charged=upstream if price.margin == 1 else charge(exact * price.margin))


def worst_rates(price: PriceVersion, input_tokens: int) -> tuple[Decimal, Decimal]:
    """USD with the margin, at most, for an input and an output token of a request with up to that much input."""
    best = price.worst[0]
    for level in price.worst:
        if input_tokens > level[0]:
            best = level
    return best[1], best[2]


def unit_rate(price: PriceVersion) -> tuple[str, Decimal]:
    """The unit of a price that is none of tokens, and USD for one of it with the margin."""
    unit, rate = _own_unit(price)
    return unit.name, rate * price.margin / unit.per


def ceiling(amount: Decimal) -> Decimal:
    """Up to the 8th place: a bound never rounds below what it bounds."""
    return amount.quantize(MICRO, rounding=ROUND_CEILING)

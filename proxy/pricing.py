"""Prices: pure sums in `Decimal`, exact until one rounding at the end. USD; rates are per million where tokens are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Any, Protocol

from billing.money import MICRO, ZERO, charge
from chuizi.facts import fact

MILLION = Decimal(1_000_000)
PER_TOKEN, PER_REQUEST, PER_SECOND = "per_token", "per_request", "per_second"
TOKEN_RATES = ("input", "output", "cache_read", "cache_write", "cache_write_1h", "reasoning")
UNIT_RATES = ("request", "second", "character")
INPUT_RATES = ("input", "cache_read", "cache_write", "cache_write_1h")
OUTPUT_RATES = ("output", "reasoning")


class PriceRow(Protocol):
    """What `proxy.models.Price` supplies."""

    pk: Any
    billing: str
    rates: Any
    tiers: Any
    margin: Decimal


@fact
class Usage:
    """What one request used. Tokens; `units` are requests, seconds or characters."""

    input_tokens: int = 0
    """All input, cached and cache-written included."""
    output_tokens: int = 0
    """All output, reasoning included."""
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    """5-minute and 1-hour writes together."""
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0
    units: Decimal = ZERO


@fact
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
                max((level.rates[name] for name in names if name in level.rates), default=ZERO) * self.margin / MILLION
                for names in (INPUT_RATES, OUTPUT_RATES)
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
        return _token_items(price.rates_for(usage.input_tokens), usage)
    unit = next(name for name in UNIT_RATES if name in price.rates)
    rate = price.rates[unit]
    amount = usage.units * rate / (MILLION if unit == "character" else 1)
    return [LineItem(unit, usage.units, rate, amount)] if usage.units else []


def _token_items(rates: Mapping[str, Decimal], usage: Usage) -> list[LineItem]:
    long_writes = min(usage.cache_write_1h_tokens, usage.cache_write_tokens)
    # A provider's own counts may not add up; what is cached is never more than what came in.
    cached = min(usage.cached_tokens, usage.input_tokens)
    written = min(usage.cache_write_tokens, usage.input_tokens - cached)
    long_writes = min(long_writes, written)
    plain_rate = rates.get("input", ZERO)
    write_rate = rates.get("cache_write", plain_rate)
    lines = [
        ("input_token", usage.input_tokens - cached - written, plain_rate),
        ("cache_read_token", cached, rates.get("cache_read", plain_rate)),
        ("cache_write_token", written - long_writes, write_rate),
        ("cache_write_1h_token", long_writes, rates.get("cache_write_1h", write_rate)),
    ]
    output_rate = rates.get("output", ZERO)
    reasoning = min(usage.reasoning_tokens, usage.output_tokens) if "reasoning" in rates else 0
    lines += [
        ("output_token", usage.output_tokens - reasoning, output_rate),
        ("reasoning_token", reasoning, rates.get("reasoning", output_rate)),
    ]
    return [LineItem(unit, Decimal(count), rate, count * rate / MILLION) for unit, count, rate in lines if count]


@fact
class Cost:
    """What a request cost: `upstream` before and `charged` after the margin, each exact and then rounded once."""

    upstream: Decimal
    charged: Decimal


def cost_of(price: PriceVersion, usage: Usage) -> Cost:
    exact = sum((item.amount for item in line_items(price, usage)), ZERO)
    return Cost(upstream=charge(exact), charged=charge(exact * price.margin))


def worst_rates(price: PriceVersion, input_tokens: int) -> tuple[Decimal, Decimal]:
    """USD with the margin, at most, for an input and an output token of a request with up to that much input."""
    best = price.worst[0]
    for level in price.worst:
        if input_tokens > level[0]:
            best = level
    return best[1], best[2]


def ceiling(amount: Decimal) -> Decimal:
    """Up to the 8th place: a bound never rounds below what it bounds."""
    return amount.quantize(MICRO, rounding=ROUND_CEILING)

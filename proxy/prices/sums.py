"""What a request costs: pure sums in `Decimal`, exact until one rounding at the end. USD; rates are for `Unit.per`."""

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal

from billing.books.money import MICRO, ZERO, charge
from core.records import value
from proxy.prices.units import INPUT_SIDE, MILLION, REASONING, REQUEST, SECOND, TABLE, UNITS, rate_of
from proxy.prices.usage import Usage, leaves
from proxy.prices.versions import NO_TERMS, Amount, Level, PriceVersion, Rates, level_at, most_for


@value
class LineItem:
    """`amount` is exact, unrounded, before the margin; `price` is for so many as the unit's `per`."""

    unit: str
    quantity: Decimal
    price: Decimal
    amount: Decimal


@value
class Cost:
    """What a request cost: `upstream` before and `charged` after the margin, each exact and then rounded once."""

    upstream: Decimal
    charged: Decimal


def line_items(
    price: PriceVersion,
    usage: Usage,
    *,
    asked: Mapping[str, str] = NO_TERMS,
    served: Mapping[str, str] = NO_TERMS,
) -> list[LineItem]:
    """What was used at what rate; lines of quantity zero are left out."""
    rates = _charged_rates(price, usage, asked=asked, served=served)
    return [
        LineItem(unit.line, Decimal(count), rate, count * rate / unit.per)
        for name, count in _counts(price, usage)
        if count
        for unit, rate in [(UNITS[name], rate_of(rates, name))]
    ]


def cost_of(
    price: PriceVersion,
    usage: Usage,
    *,
    asked: Mapping[str, str] = NO_TERMS,
    served: Mapping[str, str] = NO_TERMS,
) -> Cost:
    """As the line items add up. `asked` and `served` are terms that a price may go by: `service_tier` and its like.

    Charged is what was served, and never more than what was asked comes to.
    """
    is_usual = usage.more is None and not usage.cache_write_tokens
    if usage.reasoning_tokens and REASONING in price.priced:
        is_usual = False
    if is_usual and price.plain and not (price.varies_by(asked) or price.varies_by(served)):
        exact = _plain(price, usage)
    else:
        exact = _exact(price, _charged_rates(price, usage, asked=asked, served=served), usage)
    upstream = charge(exact)
    return Cost(upstream=upstream, charged=upstream if price.margin == 1 else charge(exact * price.margin))


def has_unsold(price: PriceVersion, usage: Usage) -> bool:
    """Whether it counts something sold apart that the price has no rate for: it was not asked for."""
    return any(
        UNITS[name].is_apart and name not in price.priced and not price.sells(name, NO_TERMS)
        for name in usage.more or ()
    )


def _charged_rates(price: PriceVersion, usage: Usage, *, asked: Mapping[str, str], served: Mapping[str, str]) -> Rates:
    """The rates of what was served, or of what was asked where that comes to less: what it left open is as served."""
    rates = price.rates_for(usage.input_tokens, {**asked, **served})
    if not asked or not served or not price.variants:
        return rates
    wanted = price.rates_for(usage.input_tokens, {**served, **asked})
    return wanted if _exact(price, wanted, usage) < _exact(price, rates, usage) else rates


def _plain(price: PriceVersion, usage: Usage) -> Decimal:
    """As `_exact`, for what most requests use of a price without variants: nothing is looked up by unit."""
    total = usage.input_tokens
    _, fresh, read, made = price.plain[0]
    for level in price.plain[1:]:
        if total > level[0]:
            _, fresh, read, made = level
    if cached := min(usage.cached_tokens, total):
        return ((total - cached) * fresh + cached * read + usage.output_tokens * made) / MILLION
    return (total * fresh + usage.output_tokens * made) / MILLION


def _exact(price: PriceVersion, rates: Rates, usage: Usage) -> Decimal:
    tokens, other = ZERO, ZERO
    for name, count in _counts(price, usage):
        if count:
            per = UNITS[name].per
            if per is MILLION:
                tokens += count * rate_of(rates, name)
            else:
                other += count * rate_of(rates, name) / per
    return tokens / MILLION + other if other else tokens / MILLION


def _counts(price: PriceVersion, usage: Usage) -> list[tuple[str, Amount]]:
    """What is charged. A price without tokens charges none; where calls cost too, each that used any is one."""
    if price.has_tokens:
        counts = leaves(usage, price.priced)
        is_call = price.is_by_call and (usage.input_tokens or usage.output_tokens)
        return [*counts, (REQUEST, 1)] if is_call else counts
    found: list[tuple[str, Amount]] = [
        (REQUEST if price.counts_calls_as(name) else name, price.billed(count) if name == SECOND else count)
        for name, count in (usage.more or {}).items()
        if not UNITS[name].side
    ]
    return [*found, (own_unit(price), usage.units)] if usage.units else found


def own_unit(price: PriceVersion) -> str:
    """The unit of a price that is none of tokens, as plain units are counted."""
    return next(unit.name for unit in TABLE if unit.name in price.priced)


def most_cost(level: Level, counts: Mapping[str, int]) -> Decimal:
    """USD with the margin, at most, for so many of the units that a request counts beforehand."""
    return sum([most_for(level, unit) * count for unit, count in counts.items()], ZERO)


def input_of(counts: Mapping[str, int]) -> int:
    """The tokens of input among the units that a request counts."""
    return sum([count for unit, count in counts.items() if UNITS[unit].side == INPUT_SIDE])


def worst_rates(price: PriceVersion, input_tokens: int) -> tuple[Decimal, Decimal]:
    """USD with the margin, at most, for an input and an output token of a request with up to that much input."""
    level = level_at(price.worst, input_tokens)
    return level.input, level.output


def ceiling(amount: Decimal) -> Decimal:
    """Up to the 8th place: a bound never rounds below what it bounds."""
    return amount.quantize(MICRO, rounding=ROUND_CEILING)

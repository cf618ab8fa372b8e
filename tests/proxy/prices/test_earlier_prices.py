"""A price that an earlier catalog could hold costs and holds what it did, to the last digit."""

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from billing.books.money import charge
from proxy.prices.sums import cost_of, most_cost
from proxy.prices.usage import Usage
from proxy.prices.versions import level_at
from tests.proxy.prices.steps import priced

MILLION = Decimal(1_000_000)
FALLBACK = {"cache_read": "input", "cache_write": "input", "cache_write_1h": "cache_write", "reasoning": "output"}
RATES = st.decimals(min_value=0, max_value=200, places=6).map(str)
OPTIONAL = dict.fromkeys(FALLBACK, RATES)
COUNTS = st.integers(min_value=0, max_value=3_000_000)
NAMED = st.fixed_dictionaries({"input": RATES, "output": RATES}, optional=OPTIONAL)
TIERS = st.lists(
    st.tuples(st.integers(0, 1_000_000), st.dictionaries(st.sampled_from(["input", "output", *FALLBACK]), RATES)),
    max_size=3,
    unique_by=lambda tier: tier[0],
).map(sorted)
MARGIN = Decimal("1.05")


def earlier(rates: dict[str, str], tiers: list[tuple[int, dict[str, str]]], used: Usage) -> Decimal:
    """What was charged before a price could hold more than the six rates of tokens: USD with the margin."""
    known = dict(rates)
    for above, named in tiers:
        if used.input_tokens > above:
            known = {**rates, **named}

    def rate(name: str) -> Decimal:
        while name not in known and name in FALLBACK:
            name = FALLBACK[name]
        return Decimal(known.get(name, "0"))

    cached = min(used.cached_tokens, used.input_tokens)
    written = min(used.cache_write_tokens, used.input_tokens - cached)
    long = min(used.cache_write_1h_tokens, written)
    reasoning = min(used.reasoning_tokens, used.output_tokens) if "reasoning" in known else 0
    counts = {
        "input": used.input_tokens - cached - written,
        "cache_read": cached,
        "cache_write": written - long,
        "cache_write_1h": long,
        "output": used.output_tokens - reasoning,
        "reasoning": reasoning,
    }
    exact = sum(count * rate(name) for name, count in counts.items()) / MILLION
    return charge(exact * MARGIN)


def earlier_worst(rates: dict[str, str], tiers: list[tuple[int, dict[str, str]]], tokens: int) -> list[Decimal]:
    """USD with the margin, at most, for a token of input and one of output."""
    sides = (("input", "cache_read", "cache_write", "cache_write_1h"), ("output", "reasoning"))
    worst = [Decimal(0), Decimal(0)]
    for above, named in [(-1, {}), *tiers]:
        if tokens > above:
            known = {**rates, **named}
            for place, side in enumerate(sides):
                dearest = max((Decimal(known[name]) for name in side if name in known), default=Decimal(0))
                worst[place] = max(worst[place], dearest * MARGIN / MILLION)
    return worst


def version(rates: dict[str, str], tiers: list[tuple[int, dict[str, str]]]) -> Any:
    written = [{"above": above, "rates": named} for above, named in tiers if named]
    return priced({"billing": "per_token", **rates, "tiers": written}, margin="1.05")


@given(rates=NAMED, tiers=TIERS, counts=st.tuples(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS))
def test_a_price_of_tokens_costs_what_it_did(rates, tiers, counts):
    used = Usage(*counts)
    assert cost_of(version(rates, tiers), used).charged == earlier(rates, [one for one in tiers if one[1]], used)


@given(rates=NAMED, tiers=TIERS, counts=st.tuples(COUNTS, COUNTS, COUNTS))
def test_what_most_requests_use_costs_the_same_by_the_short_way(rates, tiers, counts):
    read, made, cached = counts
    used = Usage(input_tokens=read, output_tokens=made, cached_tokens=cached)
    assert cost_of(version(rates, tiers), used).charged == earlier(rates, [one for one in tiers if one[1]], used)


@given(rates=NAMED, tiers=TIERS, tokens=COUNTS)
def test_a_price_of_tokens_is_held_at_what_it_was(rates, tiers, tokens):
    level = level_at(version(rates, tiers).worst, tokens)
    assert [level.input, level.output] == earlier_worst(rates, [one for one in tiers if one[1]], tokens)
    assert most_cost(level, {"input": tokens}) == tokens * level.input


@given(
    unit=st.sampled_from(["request", "second", "character"]),
    rate=RATES,
    count=st.decimals(min_value=0, max_value=10**6, places=3),
)
def test_a_price_of_another_unit_costs_what_it_did(unit, rate, count):
    billing = "per_second" if unit == "second" else "per_request"
    price = priced({"billing": billing, unit: rate}, margin="1.05")
    per = MILLION if unit == "character" else 1
    used = Usage(units=count, input_tokens=7, output_tokens=7)
    assert cost_of(price, used).charged == charge(count * Decimal(rate) / per * MARGIN)

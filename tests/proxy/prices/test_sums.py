from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.prices.sums import LineItem, cost_of, line_items, worst_rates
from proxy.prices.usage import Usage
from proxy.prices.versions import PriceVersion, Tier


def price(margin: str = "1.05", tiers: tuple[Tier, ...] = (), billing: str = "per_token", **rates: str) -> PriceVersion:
    return PriceVersion(
        id=1, billing=billing, rates={k: Decimal(v) for k, v in rates.items()}, margin=Decimal(margin), tiers=tiers
    )


SONNET = price(input="3.00", output="15.00", cache_read="0.30", cache_write="3.75", cache_write_1h="6.00")


def test_the_contracts_check_sum_holds():
    cost = cost_of(SONNET, Usage(input_tokens=2000, output_tokens=500))
    assert cost.upstream == Decimal("0.01350000")
    assert cost.charged == Decimal("0.01417500")


def test_the_margin_is_applied_to_the_exact_sum_and_rounded_once():
    one_token = price(input="0.025", output="0")
    # 1 token: 0.000000025 exactly; with the margin 0.00000002625. Rounded before the margin it would be 0.000000021.
    assert cost_of(one_token, Usage(input_tokens=1)).charged == Decimal("0.00000003")


def test_rounding_is_half_even():
    assert cost_of(price(margin="1", input="0.005", output="0"), Usage(input_tokens=1)).charged == 0
    assert cost_of(price(margin="1", input="0.015", output="0"), Usage(input_tokens=1)).charged == Decimal("0.00000002")


def test_there_is_no_minimum_charge():
    assert cost_of(price(input="0.001", output="0"), Usage(input_tokens=1)).charged == 0


def test_cache_write_tokens_are_not_free_when_the_5_minute_1_hour_split_is_absent():
    items = line_items(SONNET, Usage(input_tokens=1000, cache_write_tokens=400))
    assert items == [
        LineItem("input_token", Decimal(600), Decimal("3.00"), Decimal("0.0018")),
        LineItem("cache_write_token", Decimal(400), Decimal("3.75"), Decimal("0.0015")),
    ]


def test_cache_writes_are_not_charged_twice():
    items = line_items(SONNET, Usage(input_tokens=1000, cache_write_tokens=400, cache_write_1h_tokens=100))
    assert sum(item.quantity for item in items) == 1000


def test_cache_reads_cost_their_own_rate():
    [plain, cached] = line_items(SONNET, Usage(input_tokens=1000, cached_tokens=900))
    assert (plain.quantity, cached.quantity, cached.amount) == (100, 900, Decimal("0.00027"))


def test_a_model_without_a_cache_rate_charges_cached_input_as_input():
    [plain, cached] = line_items(price(input="2", output="8"), Usage(input_tokens=10, cached_tokens=4))
    assert (plain.price, cached.price) == (Decimal(2), Decimal(2))


def test_more_cached_than_came_in_is_not_believed():
    [cached] = line_items(SONNET, Usage(input_tokens=10, cached_tokens=50, cache_write_tokens=50))
    assert cached.quantity == 10


def test_reasoning_is_apart_only_where_it_is_priced_apart():
    usage = Usage(output_tokens=100, reasoning_tokens=60)
    assert [(i.unit, i.quantity) for i in line_items(price(input="1", output="4"), usage)] == [("output_token", 100)]
    apart = line_items(price(input="1", output="4", reasoning="2"), usage)
    assert [(i.unit, i.quantity) for i in apart] == [("output_token", 40), ("reasoning_token", 60)]


LONG = price(input="1.25", output="10", tiers=(Tier(200_000, {"input": Decimal("2.5"), "output": Decimal(15)}),))


@pytest.mark.parametrize(("tokens", "rate"), [(200_000, "1.25"), (200_001, "2.5")])
def test_a_tier_begins_above_its_border(tokens, rate):
    assert line_items(LONG, Usage(input_tokens=tokens))[0].price == Decimal(rate)


def test_per_request_and_per_second_count_units():
    assert cost_of(price(billing="per_request", request="0.04"), Usage(units=Decimal(2))).upstream == Decimal("0.08")
    speech = price(billing="per_second", second="0.0001")
    assert cost_of(speech, Usage(units=Decimal("12.5"))).charged == Decimal("0.0013125")


RATES = st.decimals(min_value=0, max_value=200, places=4)
COUNTS = st.integers(min_value=0, max_value=3_000_000)


@given(
    rates=st.fixed_dictionaries(
        {"input": RATES, "output": RATES},
        optional={"cache_read": RATES, "cache_write": RATES, "cache_write_1h": RATES, "reasoning": RATES},
    ),
    tier=st.none() | st.tuples(st.integers(1, 1_000_000), RATES, RATES),
    counts=st.tuples(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS),
)
def test_no_usage_within_the_counts_costs_more_than_the_worst_rates(rates, tier, counts):
    tiers = (Tier(tier[0], {"input": tier[1], "output": tier[2]}),) if tier else ()
    version = PriceVersion(id=1, billing="per_token", rates=rates, margin=Decimal("1.05"), tiers=tiers)
    usage = Usage(*counts)
    input_rate, output_rate = worst_rates(version, usage.input_tokens)
    assert cost_of(version, usage).charged <= (
        input_rate * usage.input_tokens + output_rate * usage.output_tokens + Decimal("0.00000001")
    )

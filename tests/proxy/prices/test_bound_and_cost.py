"""No usage that a request allows costs more than its bound, whatever the price: every unit, tier and variant."""

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.prices.sums import ceiling, cost_of, input_of, line_items, most_cost
from proxy.prices.units import TABLE, TEXT, UNITS, missing_join
from proxy.prices.usage import Amount, Usage, counted, leaves
from proxy.prices.versions import PriceVersion, level_at, most_for
from tests.proxy.prices.steps import priced

RATES = st.decimals(min_value=0, max_value=99, places=3).map(str)
NAMES = [unit.name for unit in TABLE]
SOME = st.dictionaries(st.sampled_from(NAMES), RATES, max_size=8)
TIERS = st.lists(st.tuples(st.integers(0, 5_000), SOME.filter(bool)), max_size=2, unique_by=lambda tier: tier[0])
TERMS = {"service_tier": ["flex", "priority"], "size": ["s", "l"], "quality": ["low", "high"]}
WHEN = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in TERMS.items()})
SAID = st.fixed_dictionaries({}, optional={name: st.sampled_from([*values, "other"]) for name, values in TERMS.items()})


def tiered(rates: dict[str, str], tiers: list[tuple[int, dict[str, str]]]) -> dict[str, Any]:
    return {**rates, "tiers": [{"above": above, "rates": named} for above, named in sorted(tiers)]}


PARTS = st.builds(tiered, SOME, TIERS)
FEW = st.dictionaries(st.sampled_from(["input", "output", "cache_read", "image"]), RATES, min_size=1, max_size=3)
VARIANTS = st.lists(st.tuples(WHEN.filter(bool), st.builds(tiered, FEW, TIERS)), max_size=3)


@st.composite
def prices(draw: st.DrawFn) -> PriceVersion:
    price = draw(PARTS) | {"input": draw(RATES), "output": draw(RATES)}
    price["variants"] = [{"when": when, **part} for when, part in draw(VARIANTS)]
    while (join := _missing(price)) is not None:
        price[join] = draw(RATES)
    return priced(price, margin="1.05")


def _missing(price: dict[str, Any]) -> str | None:
    holders = [price, *price["variants"]]
    holders += [tier["rates"] for holder in list(holders) for tier in holder["tiers"]]
    join = missing_join({name for holder in holders for name in holder if name in UNITS})
    return None if join is None else join.name


COUNT = st.integers(0, 9_000)
LEAVES = st.dictionaries(st.sampled_from([name for name in NAMES if name != "request"]), COUNT, max_size=9)


def used(counts: dict[str, int]) -> Usage:
    """Usage whose leaves these are."""

    def of(*prefixes: str) -> int:
        return sum(count for name, count in counts.items() if name.startswith(prefixes))

    usual = ("input", "input_text", "output", "output_text", "cache_read", "cache_write", "cache_write_1h", "reasoning")
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


@given(price=prices(), counts=LEAVES, asked=SAID, served=SAID, spare=st.integers(0, 500))
@settings(max_examples=200)
def test_no_usage_that_a_request_allows_costs_more_than_its_bound(price, counts, asked, served, spare):
    if any(not price.sells(name, asked) for name in counts):
        counts = {name: count for name, count in counts.items() if price.sells(name, asked)}
    usage = used(counts)
    asks: dict[str, int] = {}
    for name, count in counts.items():
        asks[UNITS[name].bounding] = asks.get(UNITS[name].bounding, 0) + count + spare
    output = [unit for unit in asks if UNITS[unit].side == "output"]
    brought = {unit: count for unit, count in asks.items() if unit not in output}
    level = level_at(price.worst_at(asked), input_of(brought))
    bound = most_cost(level, brought)
    bound += max([most_for(level, unit) for unit in ["output", *output]]) * sum(asks[unit] for unit in output)
    bound += most_for(level, "request") if price.is_by_call else 0
    assert cost_of(price, usage, asked=asked, served=served).charged <= ceiling(bound)


@given(price=prices(), counts=LEAVES, asked=SAID, served=SAID)
def test_the_line_items_add_up_to_the_cost_and_name_each_token_once(price, counts, asked, served):
    usage = used(counts)
    items = line_items(price, usage, asked=asked, served=served)
    cost = cost_of(price, usage, asked=asked, served=served)
    assert abs(sum(item.amount for item in items) - cost.upstream) <= Decimal("0.000000005")
    tokens = sum(item.quantity for item in items if item.unit.endswith("_token"))
    assert tokens == usage.input_tokens + usage.output_tokens


@given(price=prices(), counts=LEAVES, asked=SAID.filter(lambda terms: len(terms) == 3), served=SAID)
def test_what_is_charged_is_never_above_what_was_asked_for(price, counts, asked, served):
    usage = used(counts)
    assert cost_of(price, usage, asked=asked, served=served).charged <= cost_of(price, usage, asked=asked).charged


MODAL = st.fixed_dictionaries({}, optional=dict.fromkeys(("audio", "image", "video"), COUNT))


@given(
    sums=st.tuples(*[st.integers(0, 20_000)] * 4),
    brought=MODAL,
    cached=st.none() | MODAL,
    made=MODAL,
)
def test_each_token_stands_in_exactly_one_unit_however_little_a_providers_sums_add_up(sums, brought, cached, made):
    read, wrote, hit, put = sums
    usage = counted(
        input_tokens=read,
        output_tokens=wrote,
        cached_tokens=hit,
        cache_write_tokens=put,
        brought=brought,
        cached=cached,
        made=made,
    )
    found = leaves(usage, frozenset())
    assert len({name for name, _ in found}) == len(found)
    assert min(count for _, count in found) >= 0
    for side, total in (("input", read), ("output", wrote)):
        assert sum(count for name, count in found if UNITS[name].side == side) == total


def test_cached_tokens_are_taken_from_text_first():
    usage = counted(input_tokens=1_000, output_tokens=0, cached_tokens=700, brought={"audio": 400})
    assert dict(leaves(usage, {"cache_read_audio"})) == {
        "input": 0,
        "cache_read": 600,
        "cache_read_audio": 100,
        "input_audio": 300,
        "cache_write": 0,
        "output": 0,
    }


def test_a_cross_count_is_believed_where_it_is_told():
    usage = counted(
        input_tokens=1_000, output_tokens=0, cached_tokens=700, brought={"audio": 400}, cached={"audio": 350}
    )
    assert usage.more == {"cache_read_audio": 350, "input_audio": 50}


def test_the_dearest_variant_counts_wherever_it_stands_until_one_applies_for_certain():
    price = priced(
        {
            "image": "1",
            "variants": [
                {"when": {"size": "l", "quality": "high"}, "image": "9"},
                {"when": {"size": "l"}, "image": "4"},
                {"when": {"speed": "fast"}, "image": "6"},
            ],
        }
    )

    def most(**terms: str) -> Decimal:
        return most_for(level_at(price.worst_at(terms), 0), "image")

    assert (most(), most(size="l"), most(size="l", quality="high")) == (9, 9, 9)
    assert most(size="l", quality="low") == 4
    assert (most(size="s"), most(size="s", speed="slow")) == (6, 1)


def test_output_may_be_whatever_the_price_names_and_text_alone_is_known_by_identity():
    text = {"input": "1", "output": "2"}
    assert priced(text).makes is TEXT
    assert priced({**text, "tiers": [{"above": 9, "rates": {"input": "2"}}]}).times(Decimal(2)).makes is TEXT
    dearer = {"when": {"size": "l"}, "output_image": "9"}
    assert priced({**text, "variants": [dearer]}).makes == ("output", "output_image")

"""Our prices and sums against genai-prices, for every model of the shipped catalog: tiers, caches, reasoning."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price, data
from genai_prices.types import ModelInfo, ModelPrice, Provider, Tier, TieredPrices

from chuizi.local.demo import load_demo_catalog
from proxy.prices import catalog
from proxy.prices.genai import WELL_KNOWN, WellKnown, find, price_of
from proxy.prices.sums import cost_of
from proxy.prices.units import TOOLS
from proxy.prices.usage import Usage
from proxy.prices.versions import PriceVersion
from proxy.protocols.openai import chat
from tests.proxy.prices.steps import priced

AT = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
HALF = Decimal("0.000000005")
"""We round to the eighth place once; they do not."""
BY_THE_HOUR = {
    "deepseek/deepseek-chat": "half price from 16:30 to 00:30 UTC; ours is the full one all day",
    "deepseek/deepseek-v4-pro": "double price from 01:00 to 04:00 and 06:00 to 10:00 UTC; ours is that one all day",
}


@pytest.fixture
def shipped(db) -> catalog.Catalog:
    """The catalog that `make run` loads, through the database."""
    load_demo_catalog(now=AT)
    return catalog.load()


def slug(known: WellKnown) -> str:
    return f"{known.provider}/{known.name.lower()}"


def price(known: WellKnown, *, at: datetime = AT) -> PriceVersion:
    return version(price_of(find(known.provider, known.name), at=at))


def version(data: dict[str, Any]) -> PriceVersion:
    return priced({name: said for name, said in data.items() if name not in TOOLS})


def theirs(known: WellKnown, usage: Usage, *, at: datetime = AT) -> Decimal:
    written: dict[str, int] = {"cache_write_tokens": usage.cache_write_tokens} if usage.cache_write_tokens else {}
    if usage.cache_write_1h_tokens:
        written["cache_write_1h_tokens"] = usage.cache_write_1h_tokens
    return calc_price(
        TheirUsage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cached_tokens,
            **written,
        ),
        known.name,
        provider_id=known.provider,
        genai_request_timestamp=at,
    ).total_price


USAGES = {
    "plain": Usage(input_tokens=2_000, output_tokens=500),
    "one token": Usage(input_tokens=1, output_tokens=1),
    "nothing out": Usage(input_tokens=77_777),
    "cache read": Usage(input_tokens=50_000, output_tokens=3_000, cached_tokens=30_000),
    "all of it cached": Usage(input_tokens=50_000, output_tokens=3_000, cached_tokens=50_000),
    "at the border of 200k": Usage(input_tokens=200_000, output_tokens=10),
    "past 200k": Usage(input_tokens=200_001, output_tokens=10),
    "at the border of 272k": Usage(input_tokens=272_000, output_tokens=10),
    "past 272k": Usage(input_tokens=272_001, output_tokens=10, cached_tokens=272_000),
    "long and cached": Usage(input_tokens=900_000, output_tokens=60_000, cached_tokens=700_000),
    "reasoning": Usage(input_tokens=3_000, output_tokens=9_000, reasoning_tokens=8_000),
    "written, no split": Usage(input_tokens=60_000, output_tokens=100, cached_tokens=20_000, cache_write_tokens=30_000),
    "written, both": Usage(
        input_tokens=60_000, output_tokens=1, cache_write_tokens=30_000, cache_write_1h_tokens=9_000
    ),
    "written, all 1h": Usage(
        input_tokens=60_000, output_tokens=1, cache_write_tokens=30_000, cache_write_1h_tokens=30_000
    ),
    "written past 200k": Usage(
        input_tokens=260_000,
        output_tokens=1,
        cached_tokens=9_000,
        cache_write_tokens=200_000,
        cache_write_1h_tokens=50_000,
    ),
}
MODELS = pytest.mark.parametrize("known", WELL_KNOWN, ids=slug)


@MODELS
def test_our_sums_are_those_of_genai_prices_for_every_seeded_model(shipped, known):
    entry = shipped.find(slug(known))
    assert entry is not None
    for name, usage in USAGES.items():
        if usage.cache_write_tokens and "cache_write" not in entry.price.rates:
            continue  # they have no price for what the provider does not bill
        ours = cost_of(entry.price, usage).upstream
        there = max(
            theirs(known, usage, at=AT.replace(hour=hour))
            for hour in (range(24) if slug(known) in BY_THE_HOUR else [12])
        )
        assert abs(ours - there) <= HALF, f"{slug(known)}, {name}: {ours}"


@MODELS
def test_what_is_shipped_is_the_price_before_the_margin(shipped, known):
    entry = shipped.find(slug(known))
    assert {**entry.price.rates} == {**price(known).rates}
    assert entry.price.margin == Decimal("1.05")
    assert min(entry.price.rates["input"], entry.price.rates["output"]) > 0


def test_the_models_whose_price_differs_at_some_hour_are_these_and_ours_is_never_the_cheaper():
    differing = set()
    for known in WELL_KNOWN:
        ours = cost_of(price(known), USAGES["cache read"]).upstream
        for hour in range(24):
            for minute in (0, 30, 59):
                at = AT.replace(hour=hour, minute=minute)
                there = theirs(known, USAGES["cache read"], at=at)
                assert ours >= there - HALF
                if abs(ours - there) > HALF:
                    differing.add(slug(known))
    assert differing == set(BY_THE_HOUR)


@pytest.mark.parametrize("hour", range(24))
def test_the_hour_of_seeding_makes_no_difference(hour):
    for known in WELL_KNOWN:
        assert price(known, at=AT.replace(hour=hour)).rates == price(known).rates


def test_sound_is_sold_where_they_price_it_and_nothing_that_runs_at_the_provider_is(shipped):
    for known in WELL_KNOWN:
        there = {name for name, value in vars(find(known.provider, known.name).get_prices(AT)).items() if value}
        entry = shipped.find(slug(known))
        assert entry is not None
        assert entry.price.sells("input_audio", {}) == ("input_audio_mtok" in there)
        assert not TOOLS & entry.price.priced


def test_tiers_that_begin_at_different_lengths_add_up():
    ladder = ModelPrice(
        input_mtok=TieredPrices(base=Decimal(1), tiers=[Tier(start=100_000, price=Decimal(2))]),
        output_mtok=TieredPrices(base=Decimal(5), tiers=[Tier(start=200_000, price=Decimal(9))]),
    )
    model = ModelInfo(id="ladder", match=find("openai", "gpt-4.1").match, prices=ladder)
    ours = version(price_of(model, at=AT))
    for tokens in (100_000, 100_001, 200_000, 200_001, 900_000):
        usage = Usage(input_tokens=tokens, output_tokens=1_000)
        there = ladder.calc_price(TheirUsage(input_tokens=tokens, output_tokens=1_000))["total_price"]
        assert cost_of(ours, usage).upstream == there


# --- From a provider's words to a sum ---------------------------------------------------------------------------------


def provider(name: str) -> Provider:
    return next(known for known in data.providers if known.id == name)


def counted(prompt: int = 10_000, completion: int = 2_000, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion, **more}


ANSWERS = {
    "openai/gpt-4.1": counted(prompt_tokens_details={"cached_tokens": 8_000, "audio_tokens": 0}),
    "openai/gpt-5.4": counted(
        300_000,
        prompt_tokens_details={"cached_tokens": 280_000},
        completion_tokens_details={"reasoning_tokens": 1_500},
    ),
    "openai/o4-mini": counted(completion_tokens_details={"reasoning_tokens": 1_900}),
    "x-ai/grok-code-fast-1": {
        **counted(completion_tokens_details={"reasoning_tokens": 700}, prompt_tokens_details={"cached_tokens": 64}),
        "total_tokens": 12_700,
    },
    "deepseek/deepseek-chat": counted(prompt_cache_hit_tokens=9_000, prompt_tokens_details={"cached_tokens": 9_000}),
    "moonshotai/kimi-k3": counted(prompt_tokens_details={"cached_tokens": 2_000, "cache_write_tokens": 3_000}),
    "google/gemini-2.5-flash": counted(prompt_tokens_details={"cached_tokens": 5_000}),
    "mistral/mistral-large-2512": counted(),
    "zai/glm-5.3": counted(prompt_tokens_details={"cached_tokens": 1}),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answers_usage_comes_to_the_same_sum(name: str):
    known = next(known for known in WELL_KNOWN if slug(known) == name)
    usage = chat.usage(ANSWERS[name])
    assert usage is not None
    _, found = provider(known.provider).extract_usage(
        {"model": known.name, "usage": ANSWERS[name]}, api_flavor="default" if known.provider == "mistral" else "chat"
    )
    there = calc_price(found, known.name, provider_id=known.provider, genai_request_timestamp=AT).total_price
    assert abs(cost_of(price(known), usage).upstream - there) <= HALF


@pytest.mark.parametrize(
    ("told", "written", "long_written"),
    [
        ({"prompt_tokens_details": {"cache_write_tokens": 400}}, 400, 0),
        ({"cache_creation_input_tokens": 400}, 400, 0),
        ({"cache_creation": {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 100}}, 400, 100),
        (
            {
                "cache_creation_input_tokens": 400,
                "cache_creation": {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 100},
            },
            400,
            100,
        ),
        ({"cache_creation_input_tokens": 400, "cache_creation": {}}, 400, 0),
        ({"cache_creation_input_tokens": 400, "cache_creation": None}, 400, 0),
    ],
)
def test_cache_writes_are_read_with_and_without_their_split(told, written, long_written):
    usage = chat.usage(counted(**told))
    assert usage is not None
    assert (usage.cache_write_tokens, usage.cache_write_1h_tokens) == (written, long_written)


@pytest.mark.parametrize("field", ["prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens"])
def test_cache_reads_are_read_where_other_providers_put_them(field):
    usage = chat.usage(counted(**{field: 123}))
    assert usage is not None
    assert usage.cached_tokens == 123


def test_reasoning_that_is_in_the_completion_is_not_added_again():
    usage = chat.usage(counted(completion_tokens_details={"reasoning_tokens": 500}))
    assert usage is not None
    assert (usage.output_tokens, usage.reasoning_tokens) == (2_000, 500)


def test_a_deep_researchs_reasoning_citations_and_searches_come_to_the_same_sum():
    said = counted(citation_tokens=9_000, reasoning_tokens=40_000, num_search_queries=7)
    usage = chat.usage(said)
    assert usage is not None
    model = "sonar-deep-research"
    _, found = provider("perplexity").extract_usage({"model": model, "usage": said}, api_flavor="default")
    there = calc_price(found, model, provider_id="perplexity", genai_request_timestamp=AT).total_price
    assert abs(cost_of(priced(price_of(find("perplexity", model), at=AT)), usage).upstream - there) <= HALF

"""docs/prices.md: every example loads, and costs what stands beside it."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy.models import Model, PurchasePrice
from proxy.prices import catalog
from proxy.prices.loading import in_force, load_catalog
from proxy.prices.sums import cost_of
from proxy.prices.usage import Usage, counted
from proxy.prices.versions import PriceVersion

PAGE = Path(__file__).parents[3] / "docs" / "prices.md"
TEXT = PAGE.read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"(?ms)^## ([^\n]+)\n(.*?)(?=^## |\Z)", TEXT))
EXAMPLES = {name: match[1] for name, body in SECTIONS.items() if (match := re.search(r"(?s)```yaml\n(.*?)```", body))}
TEN = counted(input_tokens=10_000, output_tokens=1_000)
ONE = counted(input_tokens=1_000, output_tokens=1_000)
LONG = counted(input_tokens=300_000, output_tokens=1_000)
SOUND = counted(input_tokens=1_000, output_tokens=500, brought={"audio": 400}, made={"audio": 300})
PAINTED = counted(input_tokens=1_100, output_tokens=4_000, brought={"image": 1_000}, made={"image": 4_000})
TWO, WIDE = Usage(more={"image": 2}), {"size": "1792x1024"}
COSTS: list[tuple[str, str, Usage, dict[str, str], str]] = [
    (
        "Text",
        "openai/gpt-4.1",
        counted(input_tokens=10_000, output_tokens=1_000, cached_tokens=6_000),
        {},
        "0.01900000",
    ),
    ("Free models", "community/small-free", TEN, {}, "0.00000000"),
    ("Sound", "openai/gpt-audio", SOUND, {}, "0.03550000"),
    ("Sound", "openai/gpt-audio", counted(input_tokens=1_000, output_tokens=500), {}, "0.00750000"),
    ("Seconds and characters", "openai/whisper-1", Usage(more={"second": Decimal("90.5")}), {}, "0.00905000"),
    ("Seconds and characters", "openai/tts-1", Usage(more={"character": 2_000}), {}, "0.03000000"),
    ("Pictures", "openai/gpt-image", PAINTED, {}, "0.12850000"),
    ("Pictures", "openai/dall-e-3", TWO, WIDE, "0.16000000"),
    ("Pictures", "openai/dall-e-3", TWO, {**WIDE, "quality": "hd"}, "0.24000000"),
    ("Service tiers", "openai/gpt-5-mini", TEN, {"service_tier": "default"}, "0.00450000"),
    ("Service tiers", "openai/gpt-5-mini", TEN, {"service_tier": "flex"}, "0.00225000"),
    ("Service tiers", "openai/gpt-5-mini", TEN, {"service_tier": "priority"}, "0.00810000"),
    ("Long contexts", "google/gemini-2.5-flash", counted(input_tokens=100_000, output_tokens=1_000), {}, "0.03250000"),
    ("Long contexts", "google/gemini-2.5-flash", LONG, {}, "0.18300000"),
    ("Long contexts", "google/gemini-2.5-flash", LONG, {"service_tier": "flex"}, "0.09125000"),
    (
        "Searches",
        "openai/gpt-4o-search-preview",
        counted(input_tokens=1_000, output_tokens=1_000, more={"web_search": 1}),
        {},
        "0.04750000",
    ),
    ("Searches", "cohere/rerank-v3.5", Usage(more={"search": 1_000}), {}, "2.00000000"),
    ("Fees by the call", "perplexity/sonar", ONE, {}, "0.00700000"),
    ("What the house pays", "deepseek/deepseek-chat", TEN, {}, "0.00322000"),
    ("Dates", "anthropic/claude-sonnet", TEN, {}, "0.04500000"),
]


def load(example: str) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load(EXAMPLES[example])
    main = {"name": "main", "protocol": "openai", "base_url": "http://127.0.0.1:9001/v1"}
    load_catalog({"upstreams": [main, {**main, "name": "domestic", "currency": "CNY"}], **data})
    return data


@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.django_db
def test_every_example_loads_and_is_worked_out(example):
    named = {model["id"] for model in load(example)["models"]}
    assert named == {slug for section, slug, *_ in COSTS if section == example}
    assert named <= catalog.load().models.keys()


@pytest.mark.parametrize(("example", "slug", "usage", "served", "cost"), COSTS)
@pytest.mark.django_db
def test_an_example_costs_what_stands_beside_it(example, slug, usage, served, cost):
    load(example)
    entry = catalog.load().find(slug)
    assert entry is not None
    assert cost in SECTIONS[example]
    assert cost_of(entry.price, usage, served=served).upstream == Decimal(cost)


@pytest.mark.django_db
def test_the_price_of_the_date_holds_from_then_on():
    load("Dates")
    prices = Model.objects.get().prices.all()
    later = in_force(prices, at=max(row.applies_from for row in prices if row.applies_from))
    assert later is not None
    assert cost_of(PriceVersion.from_row(later), TEN).upstream == Decimal("0.03000000")
    assert "0.03000000" in SECTIONS["Dates"]


@pytest.mark.django_db
def test_what_the_house_pays_is_worked_out_too():
    load("What the house pays")
    cost = PurchasePrice.objects.get()
    assert (cost.upstream.name, cost.currency) == ("domestic", "CNY")
    assert cost_of(PriceVersion.from_row(cost), TEN).upstream == Decimal("0.01400000")
    assert "0.01400000" in SECTIONS["What the house pays"]


def test_the_sums_beside_the_examples_are_all_worked_out_here():
    shown = re.sub(r"^```\n\$ .*?^```$", "", TEXT, flags=re.MULTILINE | re.DOTALL)  # what commands print
    told = set(re.findall(r"\b\d\.\d{8}\b", shown))
    assert told == {cost for *_, cost in COSTS} | {"0.03000000", "0.01400000"}

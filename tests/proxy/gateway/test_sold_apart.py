"""What is sold apart: refused with its unit named until the price has a rate for it; then served, held and charged."""

import base64
from decimal import Decimal
from typing import Any

import pytest
from django.utils import translation

from billing.models import Hold
from proxy.models import Generation
from proxy.prices.loading import load_catalog
from proxy.records.receipts import receipt_of
from tests.proxy.conftest import PRICE, catalog, only_generation, settle, wait_for
from tests.upstream import answer, chunk, usage

SOUND = {"type": "input_audio", "input_audio": {"data": base64.b64encode(bytes(9_000)).decode(), "format": "mp3"}}
HEARD = [{"role": "user", "content": [{"type": "text", "text": "What is said?"}, SOUND]}]
ASKS: dict[str, tuple[dict[str, Any], str]] = {
    "input_audio": ({"messages": HEARD}, "messages"),
    "output_audio": ({"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "mp3"}}, "modalities"),
    "output_image": ({"modalities": ["text", "image"]}, "modalities"),
    "web_search": ({"web_search_options": {}}, "web_search_options"),
}
RATES = {**PRICE, "input_audio": "100", "cache_read_audio": "20", "output_audio": "200", "output_image": "300"}


@pytest.fixture
def priced(gateway, upstream):
    """A function: sell `openai/m` at this price."""

    def sell(price: dict[str, Any] = RATES, **model: Any) -> None:
        load_catalog(catalog(upstream, price=price, **model))
        gateway.look_at_catalog()

    return sell


@pytest.mark.parametrize("unit", ASKS)
def test_it_is_refused_with_the_unit_named_and_nothing_is_held(gateway, unit):
    fields, param = ASKS[unit]
    refused = gateway.chat(**fields)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["param"]) == (400, "validation_error", param)
    assert f"`{unit}`" in error["message"]
    assert not Hold.objects.exists()


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_sound_is_charged_at_its_own_rate_once_it_has_one(gateway, upstream, priced, stream):
    priced()
    told = usage(
        400,
        90,
        prompt_tokens_details={"audio_tokens": 200, "cached_tokens": 300},
        completion_tokens_details={"audio_tokens": 60},
    )
    asked = ASKS["output_audio"][0] | {"messages": HEARD}
    if stream:
        upstream.events = [
            chunk({"content": "hi"}),
            chunk({}, finish="stop"),
            chunk(None, usage=told),
            b"data: [DONE]\n\n",
        ]
        with gateway.stream(**asked) as response:
            response.read()
    else:
        upstream.json = answer(usage=told)
        assert gateway.chat(**asked).json()["usage"]["prompt_tokens_details"]["audio_tokens"] == 200
    found = wait_for("metered")
    # What was cached is taken from text first: 200 of text, 100 of sound.
    assert found.more == {"input_audio": 100, "cache_read_audio": 100, "output_audio": 60}
    data = gateway.client.get(f"/v1/generation?id={found.pk}").json()["data"]
    assert {(item["unit"], item["quantity"], item["price"]) for item in data["line_items"]} == {
        ("cache_read_token", 200, "2.5"),
        ("input_audio_token", 100, "100"),
        ("cache_read_audio_token", 100, "20"),
        ("output_token", 30, "40"),
        ("output_audio_token", 60, "200"),
    }
    assert data["usage"] == {
        "cache_read_token": 200,
        "input_audio_token": 100,
        "cache_read_audio_token": 100,
        "output_token": 30,
        "output_audio_token": 60,
    }
    cost = Decimal(500 + 100 * 100 + 100 * 20 + 30 * 40 + 60 * 200) / 10**6
    assert Decimal(data["upstream_cost"]) == cost
    assert found.cost == cost * Decimal("1.05") <= found.held
    assert not found.is_flagged


@pytest.mark.parametrize(
    ("language", "labels"),
    [
        ("en", ["cached input", "audio input", "cached input (audio)", "output", "audio output"]),
        ("zh-hans", ["缓存输入", "音频输入", "缓存输入 (音频)", "输出", "音频输出"]),
    ],
)
def test_the_receipt_names_each_unit_in_both_languages(gateway, upstream, customer, priced, language, labels):
    priced()
    told = usage(
        400,
        90,
        prompt_tokens_details={"audio_tokens": 200, "cached_tokens": 300},
        completion_tokens_details={"audio_tokens": 60},
    )
    upstream.json = answer(usage=told)
    gateway.chat(**(ASKS["output_audio"][0] | {"messages": HEARD}))
    with translation.override(language):
        receipt = receipt_of(customer=customer, generation_id=wait_for("metered").pk)
        assert receipt is not None
        assert sorted(line.label for line in receipt.lines) == sorted(labels)
        assert {line.per for line in receipt.lines} == {"M"}


def test_a_sounding_answer_is_held_at_the_rate_of_sound(gateway, priced):
    priced()
    gateway.chat(modalities=["text"])
    plain = wait_for("metered").bound
    Generation.objects.all().delete()
    gateway.chat(**ASKS["output_audio"][0])
    sounding = wait_for("metered").bound
    assert sounding - plain >= 100 * (200 - 40) * Decimal("1.05") / 10**6


def test_a_model_that_makes_pictures_unasked_is_held_at_their_rate(gateway, upstream, priced):
    priced({"input": "0.3", "output": "2.5", "output_image": "30", "margin": "1.05"}, max_output_tokens=1_300)
    upstream.json = answer(usage=usage(10, 1_290, completion_tokens_details={"image_tokens": 1_290}))
    gateway.chat(max_tokens=1_300)
    found = wait_for("metered")
    assert found.cost == (Decimal("0.3") * 10 + 30 * 1_290) * Decimal("1.05") / 10**6
    assert found.cost <= found.bound
    assert not found.is_flagged


def test_sound_that_nobody_asked_for_is_charged_as_text_and_flagged(gateway, upstream):
    upstream.json = answer(usage=usage(1_000, 10, prompt_tokens_details={"audio_tokens": 400}))
    gateway.chat(messages=[{"role": "user", "content": "x" * 2_000}])
    found = wait_for("metered")
    assert found.cost == (1_000 * 10 + 10 * 40) * Decimal("1.05") / 10**6
    assert found.is_flagged


def test_a_fallback_sells_sound_at_the_rate_of_text(gateway, upstream, priced):
    priced({**PRICE, "fallback": ["input_audio"]})
    upstream.json = answer(usage=usage(1_000, 10, prompt_tokens_details={"audio_tokens": 900}))
    assert gateway.chat(messages=HEARD).status_code == 200
    found = wait_for("metered")
    assert found.cost == (1_000 * 10 + 10 * 40) * Decimal("1.05") / 10**6
    assert not found.is_flagged


def test_an_answer_about_sound_without_usage_is_estimated_at_its_rate(gateway, upstream, priced):
    priced()
    upstream.json = answer(usage=None)
    gateway.chat(messages=HEARD)
    found = wait_for("metered")
    assert found.usage_source == "estimated"
    assert found.more == {"input_audio": 60}


def test_a_search_is_charged_once_it_has_a_rate_and_the_model_may_call_tools(gateway, upstream, priced):
    price = {**PRICE, "web_search": "25"}
    priced(price)
    refused = gateway.chat(**ASKS["web_search"][0])
    assert (refused.status_code, "`web_search`" in refused.text) == (400, True)
    priced(price, max_tool_calls=2, context_window=8_000)
    assert gateway.chat(**ASKS["web_search"][0]).status_code == 200
    found = wait_for("metered")
    assert found.more == {"web_search": 1}
    assert found.cost == (Decimal(20 * 10 + 5 * 40) / 10**6 + Decimal("0.025")) * Decimal("1.05")
    # Two searches, and what each finds may fill the context once more.
    least = (2 * Decimal("0.025") + Decimal(3 * 8_000 * 10) / 10**6) * Decimal("1.05")
    assert found.bound >= least


def test_searches_that_an_answer_tells_of_are_charged_as_told(gateway, upstream, priced):
    priced({**PRICE, "web_search": "25"}, max_tool_calls=5, context_window=8_000)
    upstream.json = answer(usage=usage(server_tool_use={"web_search_requests": 3}))
    gateway.chat(**ASKS["web_search"][0])
    assert only_generation().more == {"web_search": 3}


def test_an_answer_that_searched_nothing_is_charged_for_no_search(gateway, upstream, priced):
    priced({**PRICE, "web_search": "25"}, max_tool_calls=5, context_window=8_000)
    upstream.json = answer(usage=usage(server_tool_use={"web_search_requests": 0}))
    gateway.chat(**ASKS["web_search"][0])
    assert only_generation().more is None


def test_a_call_costs_its_own_rate_beside_its_tokens(gateway, priced):
    priced({**PRICE, "request": "0.005"})
    shown = gateway.chat().json()
    found = wait_for("metered")
    assert found.cost == (Decimal(20 * 10 + 5 * 40) / 10**6 + Decimal("0.005")) * Decimal("1.05")
    assert shown["usage"]["cost"] == float(found.cost)
    settle()
    found.refresh_from_db()
    assert found.state == "settled"


def test_most_requests_keep_no_rare_counts(gateway):
    gateway.chat()
    assert wait_for("metered").more is None

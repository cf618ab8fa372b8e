"""What an upstream says beside its answer is stored, not passed on; what contradicts the price is flagged."""

from decimal import Decimal

import orjson
import pytest

from proxy.prices.loading import load_catalog
from proxy.relay.claims import is_same_model
from tests.proxy.conftest import catalog, only_generation
from tests.proxy.relay.answers.raw import answers, told
from tests.upstream import STREAM, answer, chunk, usage


def scripted(upstream, *, headers: dict[str, str], **more) -> None:
    """JSON and a stream that say the same."""
    said = {"usage": usage(**more.pop("usage", {})), **more}
    chunks = [
        chunk(None, choices=[{"index": 0, "delta": {"content": "one two three"}}], **more),
        *STREAM[-3:-2],
        chunk(None, **said),
        STREAM[-1],
    ]
    whole, parts = orjson.dumps(answer(**said)), b"".join(chunks)

    async def handler(request):
        from aiohttp import web

        body = parts if upstream.calls[-1].get("stream") else whole
        return web.Response(body=body, headers={"Content-Type": "text/plain", **headers})

    upstream.handler = handler


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("headers", "stored"),
    [
        ({"X-Request-Id": "req_1", "Request-Id": "req_2"}, "req_1"),
        ({"request-id": "req_2"}, "req_2"),
        ({"X-Request-Id": "req_1", "X-Generation-Id": "gen-3"}, "gen-3"),
        ({"X-Request-Id": "req_1", "X-Oneapi-Request-Id": "20261130"}, "20261130"),
        ({}, "chatcmpl-theirs"),
        ({"X-Request-Id": "r" * 900}, "r" * 200),
    ],
)
def test_the_upstreams_request_id_is_stored_and_not_passed_on(gateway, upstream, headers, stored, stream):
    scripted(upstream, headers=headers)
    _, events, head = told(gateway, stream=stream)
    assert only_generation().upstream_request_id == stored
    assert stored not in str(events) + str(head)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("headers", "said", "stored", "is_flagged"),
    [
        ({}, {"cost": 0.0001}, "0.0001", False),
        ({}, {"cost": 0.00042}, "0.00042", False),
        ({}, {"cost": 0.5}, "0.5", True),
        ({}, {"cost": {"total_cost": 0.5}}, "0.5", True),
        ({}, {"cost_in_usd_ticks": 4_200_000}, "0.00042", False),
        ({}, {"cost_in_usd_ticks": 5_000_000_000}, "0.5", True),
        ({}, {"cost_in_usd_ticks": -5}, None, False),
        ({"x-litellm-response-cost": "0.5"}, {}, "0.5", True),
        ({"x-litellm-response-cost": "1e-7"}, {}, "0.0000001", False),
        ({"x-litellm-response-cost": "NaN"}, {"cost": -1}, None, False),
        ({"x-litellm-response-cost": "x"}, {"cost": True}, None, False),
    ],
)
def test_a_stated_cost_is_a_claim(gateway, upstream, headers, said, stored, is_flagged, stream):
    scripted(upstream, headers=headers, usage=said)
    _, events, _ = told(gateway, stream=stream)
    generation = only_generation()
    assert generation.stated_cost == (None if stored is None else Decimal(stored))
    assert (generation.is_flagged, f"{generation.cost:f}") == (is_flagged, "0.00042000")
    assert events[-1]["usage"]["cost"] == 0.00042


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("tier", "is_flagged"), [("priority", True), ("Priority", True), ("default", False), ("flex", False), (None, False)]
)
def test_a_served_tier_above_the_price_is_flagged_and_charged_at_what_was_held(
    gateway, upstream, tier, is_flagged, stream
):
    scripted(upstream, headers={}, service_tier=tier)
    _, events, _ = told(gateway, stream=stream)
    assert (only_generation().is_flagged, events[-1]["x_chuizi"]["cost"]) == (is_flagged, "0.00042000")


@pytest.mark.parametrize("kind", ["openai", "openrouter", "litellm", "relay", "vllm"])
def test_another_model_than_was_asked_is_flagged_where_the_upstream_chooses(gateway, upstream, kind):
    named = catalog(upstream)
    named["upstreams"][0]["kind"] = kind
    load_catalog(named)
    gateway.look_at_catalog()
    answers(upstream, orjson.dumps(answer(model="m-at-upstream-mini")))
    told(gateway, stream=False)
    assert only_generation().is_flagged == (kind in ("openrouter", "litellm", "relay"))


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("openai/gpt-4o", "gpt-4o-2024-08-06"),
        ("openai/gpt-4o:nitro", "openai/gpt-4o"),
        ("GPT-4o", "azure/gpt-4o"),
        ("claude-sonnet-4-6", "claude-sonnet-4-6@20260101"),
        ("m", ""),
        ("m", "m-latest"),
    ],
)
def test_names_of_one_model(asked, answered):
    assert is_same_model(asked, answered)


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("gpt-4o", "gpt-4o-mini"),
        ("claude-sonnet-4", "claude-sonnet-4.5"),
        ("gpt-4", "gpt-4-32k"),
        ("m", "n"),
        ("m", "-1"),
    ],
)
def test_names_of_two_models(asked, answered):
    assert not is_same_model(asked, answered)

"""A chat completion over real HTTP: held before it leaves, metered before it ends, settled once."""

from decimal import Decimal

import orjson
import pytest
from openai import AuthenticationError, OpenAI

from accounts.keys import issuing
from billing.models import Hold, Transfer, Wallet
from proxy.models import Generation
from proxy.prices.loading import load_catalog
from tests.conftest import NOW
from tests.proxy.conftest import PRICE, Gateway, catalog, only_generation, settle
from tests.upstream import answer, chunk, usage

# 20 tokens in and 5 out at 10 and 40 USD per million, times 1.05.
COST = Decimal("0.00042000")


def sdk(gateway: Gateway) -> OpenAI:
    return OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0)


def test_the_official_client_gets_an_answer_that_is_held_metered_and_settled(gateway, customer):
    with sdk(gateway) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="openai/m", messages=[{"role": "user", "content": "hello"}], max_tokens=100
        )
    completion = raw.parse()
    assert completion.choices[0].message.content == "one two three"
    assert completion.id == raw.headers["x-generation-id"]
    assert completion.id.startswith("gen-")
    assert len(completion.id) == 28
    assert completion.model_extra["x_chuizi"]["cost"] == f"{COST:f}"
    generation = only_generation()
    assert (generation.state, generation.cost, generation.usage_source) == ("metered", COST, "upstream")
    assert Wallet.objects.get(customer=customer).held == generation.held > COST
    settle()
    wallet = Wallet.objects.get(customer=customer)
    assert (wallet.bonus, wallet.held, wallet.exposure) == (Decimal(10) - COST, 0, 0)
    assert Hold.objects.get().state == "captured"
    assert Transfer.objects.get(key=f"{completion.id}:bonus").amount == COST


def test_settling_again_charges_nothing(gateway, customer):
    gateway.chat()
    settle()
    settle()
    assert Wallet.objects.get(customer=customer).bonus == Decimal(10) - COST
    assert Transfer.objects.filter(kind="usage_bonus").count() == 1


def test_a_stream_through_the_official_client_carries_usage_and_receipt_on_its_last_chunk(gateway):
    with sdk(gateway) as client:
        stream = client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "hello"}], max_tokens=100, stream=True
        )
        chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "one two three "
    assert {c.id for c in chunks} == {only_generation().pk}
    last = chunks[-1]
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (20, 5)
    assert last.model_extra["x_chuizi"]["cost"] == f"{COST:f}"
    assert only_generation().streamed


def test_usage_is_asked_of_the_upstream_whether_or_not_the_client_did(gateway, upstream):
    with gateway.stream() as response:
        list(response.iter_raw())
    assert upstream.calls[0]["stream_options"] == {"include_usage": True}


def test_the_last_bytes_come_after_the_usage_is_committed(gateway):
    with gateway.stream() as response:
        for line in response.iter_lines():
            if line == "data: [DONE]":
                assert only_generation().state == Generation.State.METERED


def test_unknown_fields_go_upstream_untouched(gateway, upstream):
    gateway.chat(seed=7, x_custom={"deep": [1, None, "ü"]}, temperature=0.25)
    sent = upstream.calls[0]
    assert sent["x_custom"] == {"deep": [1, None, "ü"]}
    assert (sent["seed"], sent["temperature"], sent["model"], sent["max_tokens"]) == (7, 0.25, "m-at-upstream", 100)


def test_a_request_without_a_limit_is_sent_with_the_models(gateway, upstream):
    gateway.chat(max_tokens=None)
    assert upstream.calls[0]["max_tokens"] == 1000


def test_the_upstream_gets_its_own_key_and_none_of_the_clients_headers(gateway, upstream):
    gateway.chat(headers={"X-Secret": "mine", "Cookie": "a=b"})
    headers = {name.lower(): value for name, value in upstream.headers[0].items()}
    assert headers["authorization"] == "Bearer sk-first-upstream-key"
    assert "x-secret" not in headers
    assert "cookie" not in headers


@pytest.mark.parametrize("header", ["Authorization", "x-api-key", "x-goog-api-key"])
def test_each_header_carries_the_key(gateway, header):
    gateway.client.headers.pop("Authorization")
    value = f"Bearer {gateway.key}" if header == "Authorization" else gateway.key
    assert gateway.chat(headers={header: value}).status_code == 200


def test_two_different_keys_in_one_request_are_refused(gateway):
    assert gateway.chat(headers={"x-api-key": "ck-" + "a" * 32}).status_code == 401


def test_a_wrong_key_is_401_to_the_official_client(gateway):
    with (
        OpenAI(base_url=f"{gateway.url}/v1", api_key="ck-" + "x" * 32, max_retries=0) as client,
        pytest.raises(AuthenticationError) as raised,
    ):
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}])
    assert raised.value.code == "invalid_api_key"
    assert Generation.objects.count() == 0


BAD = [
    (b"{", 400, "validation_error", None),
    (b"[]", 400, "validation_error", None),
    (b'{"messages": [{"role": "user", "content": "x"}]}', 400, "validation_error", "model"),
    (b'{"model": "openai/m"}', 400, "validation_error", "messages"),
    (b'{"model": "openai/m", "messages": []}', 400, "validation_error", "messages"),
    (b'{"model": "openai/m", "messages": "hi"}', 400, "validation_error", "messages"),
    (b'{"model": "openai/m", "messages": [7]}', 400, "validation_error", "messages[0]"),
    (
        b'{"model": "openai/m", "messages": [{"role": "king", "content": "x"}]}',
        400,
        "validation_error",
        "messages[0].role",
    ),
    (
        b'{"model": "openai/m", "messages": [{"role": "user", "content": 5}]}',
        400,
        "validation_error",
        "messages[0].content",
    ),
    (b'{"model": "nobody/nothing", "messages": [{"role": "user", "content": "x"}]}', 404, "model_not_found", "model"),
]


@pytest.mark.parametrize(("body", "status", "code", "param"), BAD)
def test_a_bad_request_says_what_is_wrong_and_holds_nothing(gateway, upstream, customer, body, status, code, param):
    response = gateway.client.post("/v1/chat/completions", content=body)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error.get("param")) == (status, code, param)
    assert error["message"]
    assert response.headers["x-request-id"]
    assert (Generation.objects.count(), Hold.objects.count(), len(upstream.calls)) == (0, 0, 0)


@pytest.mark.parametrize("limit", [-1, 0, 1001, 10**12, 1.5, "100", True, []])
def test_an_odd_or_absurd_max_tokens_is_400(gateway, limit):
    response = gateway.chat(max_tokens=limit)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "max_tokens")
    assert Generation.objects.count() == 0


@pytest.mark.parametrize("field", [{"service_tier": "priority"}, {"web_search_options": {}}, {"modalities": ["audio"]}])
def test_what_is_billed_beyond_the_price_is_not_forwarded(gateway, upstream, field):
    assert gateway.chat(**field).json()["error"]["param"] == next(iter(field))
    assert upstream.calls == []


def test_a_body_over_the_limit_is_413_announced_or_not(gateway, settings):
    settings.MAX_BODY_BYTES = 10_000
    big = orjson.dumps({"model": "openai/m", "messages": [{"role": "user", "content": "x" * 20_000}]})
    for content in (big, iter([big[:9_000], big[9_000:]])):
        response = gateway.client.post("/v1/chat/completions", content=content)
        assert (response.status_code, response.json()["error"]["code"]) == (413, "request_too_large")
    assert Generation.objects.count() == 0


def test_too_little_balance_is_402_naming_available_needed_and_what_would_fit(gateway, upstream, make_customer):
    poor = issuing.issue(customer=make_customer("0.01", name="Poor"), name="k", now=NOW)
    response = gateway.chat(max_tokens=1000, headers={"Authorization": f"Bearer {poor.text}"})
    message = response.json()["error"]["message"]
    assert (response.status_code, response.json()["error"]["code"]) == (402, "insufficient_balance")
    assert "$0.01000000" in message
    fits = int(message.partition("max_tokens of ")[2].partition(" ")[0])
    assert gateway.chat(max_tokens=fits, headers={"Authorization": f"Bearer {poor.text}"}).status_code == 200
    assert len(upstream.calls) == 1


def test_usage_missing_from_an_answer_is_estimated_and_marked(gateway, upstream):
    upstream.json = answer(usage=None)
    body = gateway.chat().json()
    generation = only_generation()
    assert generation.usage_source == "estimated"
    assert 0 < generation.output_tokens < 10
    assert body["usage"]["completion_tokens"] == generation.output_tokens


def test_an_upstream_that_reports_billions_of_tokens_is_charged_at_the_bound_and_flagged(gateway, upstream, customer):
    upstream.json = answer(usage=usage(prompt=10**18, completion=10**18))
    gateway.chat()
    settle()
    generation = only_generation()
    assert (generation.cost, generation.is_flagged, generation.state) == (generation.bound, True, "settled")
    assert Wallet.objects.get(customer=customer).bonus == Decimal(10) - generation.bound


def test_cached_tokens_cost_their_rate_in_json_and_in_streams(gateway, upstream):
    cached = usage(prompt=1000, completion=5, prompt_tokens_details={"cached_tokens": 800})
    upstream.json = answer(usage=cached)
    assert gateway.chat().json()["x_chuizi"]["cost"] == "0.00441000"
    upstream.events = [chunk({"content": ""}, finish="stop"), chunk(None, usage=cached), b"data: [DONE]\n\n"]
    with gateway.stream() as response:
        lines = [line for line in response.iter_lines() if line]
    assert orjson.loads(lines[-2][6:])["x_chuizi"]["cost"] == "0.00441000"


def test_a_request_keeps_the_price_it_was_held_at(gateway, upstream):
    upstream.events.insert(2, 0.3)
    with gateway.stream() as response:
        pieces = response.iter_raw()
        first = next(pieces)
        load_catalog(catalog(upstream, price={**PRICE, "input": "999", "output": "999"}))
        rest = b"".join(pieces)
    assert f"{COST:f}".encode() in first + rest
    settle()
    assert only_generation().cost == COST


def test_generation_answers_for_its_own_customer_alone(gateway, make_customer):
    generation_id = gateway.chat().json()["id"]
    data = gateway.client.get("/v1/generation", params={"id": generation_id}).json()["data"]
    assert (data["status"], data["cost"], data["upstream_cost"]) == ("metered", f"{COST:f}", "0.00040000")
    assert data["line_items"] == [
        {"unit": "input_token", "quantity": 20, "price": "10", "amount": "0.0002"},
        {"unit": "output_token", "quantity": 5, "price": "40", "amount": "0.0002"},
    ]
    stranger = issuing.issue(customer=make_customer(name="Eve"), name="k", now=NOW)
    unknown = ("gen-none", "gen-" + "0" * 24, "\x00", generation_id + "\x00", "x" * 5000)
    for query, headers in ((generation_id, {"Authorization": f"Bearer {stranger.text}"}), *((u, {}) for u in unknown)):
        response = gateway.client.get("/v1/generation", params={"id": query}, headers=headers)
        assert (response.status_code, response.json()["error"]["code"]) == (404, "generation_not_found")


def test_key_info_shows_what_the_key_did_today(gateway):
    gateway.chat()
    info = gateway.client.get("/v1/key/info").json()["data"]
    assert info["usage_today"] == {"requests": 1, "tokens": 25, "cost": f"{COST:f}"}
    assert Decimal(info["available"]) == Decimal(info["balance"]) - Decimal(info["held"])
    assert info["held"] != "0.00000000"


def test_the_models_on_offer_are_listed_in_openais_shape(gateway):
    with sdk(gateway) as client:
        assert [model.id for model in client.models.list()] == ["openai/m"]

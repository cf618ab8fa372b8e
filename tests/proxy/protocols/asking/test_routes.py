"""What we add to a request: by the route's settings, and by what an upstream was found not to take."""

import orjson
import pytest
from aiohttp import web

from billing.models import Hold
from proxy.prices.loading import load_catalog
from proxy.protocols.base import BadRequest
from proxy.protocols.openai import chat
from proxy.protocols.steering import OTHER_LIMITS, STEERING
from tests.proxy.conftest import catalog, wait_for
from tests.proxy.protocols.asking.test_members import HELLO, sent
from tests.upstream import answer


def asked(**fields: object) -> bytes:
    return orjson.dumps({"model": "m", "messages": orjson.loads(HELLO), **fields})


def body(raw: bytes, **route: object) -> dict[str, object]:
    return dict(orjson.loads(sent(raw, **route)))


def test_the_limit_goes_under_the_routes_name_else_the_callers_else_the_models():
    assert body(asked())["max_tokens"] == 50
    assert body(asked(max_completion_tokens=9))["max_completion_tokens"] == 50
    assert body(asked(max_tokens=9, max_completion_tokens=9))["max_tokens"] == 50
    theirs = body(asked(max_tokens=9), limit_field="max_completion_tokens")
    assert (theirs["max_completion_tokens"], "max_tokens" in theirs) == (50, False)


@pytest.mark.parametrize("asks", [None, True, False])
def test_usage_is_asked_for_where_the_route_lets_us(asks):
    raw = asked(stream=True, **({} if asks is None else {"stream_options": {"include_usage": asks}}))
    assert body(raw)["stream_options"] == {"include_usage": True}
    assert "stream_options" not in body(raw, ask_usage=False)
    more = asked(stream=True, stream_options={"include_usage": True, "x": 1})
    assert body(more, ask_usage=False)["stream_options"] == {"x": 1}


@pytest.mark.parametrize(
    ("kind", "tier", "goes"),
    [
        ("openai", None, "default"),
        ("openai", "auto", "default"),
        ("openai", "default", "default"),
        ("openai", "flex", "flex"),
        ("openrouter", None, None),
        ("vllm", None, None),
        ("azure", "auto", None),
        ("azure", "flex", "flex"),
        ("vllm", "auto", None),
        ("litellm", "auto", None),
        ("relay", "default", "default"),
    ],
)
def test_the_tier_is_never_what_the_operators_account_is_set_to(kind, tier, goes):
    assert body(asked(**({"service_tier": tier} if tier else {})), kind=kind).get("service_tier") == goes


@pytest.mark.parametrize("field", sorted(STEERING | OTHER_LIMITS))
def test_what_would_steer_an_upstream_is_refused_by_name(field):
    camel = field.split("_")[0] + "".join(word.title() for word in field.split("_")[1:])
    for name in (field, field.upper(), camel, field.replace("_", "-"), field.replace("_", "")):
        with pytest.raises(BadRequest) as error:
            chat.read(asked(**{name: 1}))
        assert error.value.param == name


@pytest.mark.parametrize(
    "field",
    [
        *("maxTokens", "maxCompletionTokens", "MAXTOKENS", "max-tokens", "maxOutputTokens", "generationConfig"),
        *("aws_access_key_id", "vertex_project", "azure_ad_token", "litellm_session_id", "mock_timeout"),
        *("input_cost_per_token", "output_cost_per_second", "dataSources", "providerOptions", "Extra_Body", "apiBase"),
        *("cachedContent", "inferenceGeo", "additionalModelRequestFields"),
    ],
)
def test_other_spellings_and_families_of_steering_fields_are_refused_too(field):
    with pytest.raises(BadRequest):
        chat.read(asked(**{field: 1}))


@pytest.mark.parametrize("name", ["tags", "guardrails", "model_info", "api_base", "Tags"])
def test_an_aggregators_orders_in_the_metadata_are_refused_and_everybodys_words_are_not(name):
    for order in (["gpu-2"], {"a": 1}):
        with pytest.raises(BadRequest) as error:
            chat.read(asked(metadata={"trace": "1", name: order}))
        assert error.value.param == f"metadata.{name}"
    assert body(asked(metadata={name: "words"}))["metadata"] == {name: "words"}


@pytest.mark.parametrize(
    "field", ["temperature", "reasoning_effort", "response_format", "logit_bias", "chat_template_kwargs", "store", "x"]
)
def test_what_steers_nothing_goes_upstream_as_it_came(field):
    assert body(asked(**{field: "v"}))[field] == "v"


def strict(*refused: str):  # type: ignore[no-untyped-def]
    """An upstream that does not know some fields, and says so of one at a time."""
    calls: list[dict[str, object]] = []

    async def handle(request: web.Request) -> web.Response:
        calls.append(told := orjson.loads(await request.read()))
        for field in refused:
            if field in told:
                error = {
                    "message": f"Unsupported parameter: '{field}' is not supported with this model.",
                    "param": field,
                }
                return web.json_response({"error": error}, status=400)
        return web.json_response(answer())

    return calls, handle


@pytest.mark.parametrize(
    ("refused", "goes"),
    [
        (("max_tokens",), {"max_completion_tokens": 1000}),
        (("service_tier",), {"max_tokens": 1000}),
        (("service_tier", "max_tokens"), {"max_completion_tokens": 1000}),
    ],
)
def test_a_field_of_ours_that_an_upstream_refuses_is_left_out_under_the_same_hold_and_remembered(
    gateway, upstream, refused, goes
):
    calls, upstream.handler = strict(*refused)
    message = {"model": "openai/m", "messages": [{"role": "user", "content": "hello"}]}
    assert gateway.client.post("/v1/chat/completions", json=message).status_code == 200
    assert len(calls) == 1 + len(refused)
    assert Hold.objects.count() == 1
    assert goes.items() <= calls[-1].items()
    assert not set(refused) & set(calls[-1])
    assert gateway.client.post("/v1/chat/completions", json=message).status_code == 200
    assert len(calls) == 2 + len(refused), "it is remembered"


def test_the_limit_itself_is_never_left_out(gateway, upstream):
    calls, upstream.handler = strict("max_tokens", "max_completion_tokens")
    refused = gateway.client.post(
        "/v1/chat/completions", json={"model": "openai/m", "messages": [{"role": "user", "content": "hello"}]}
    )
    assert refused.status_code == 400
    assert all({"max_tokens", "max_completion_tokens"} & set(call) for call in calls)
    wait_for("released")


def test_a_field_that_the_caller_sent_is_the_callers_to_leave_out(gateway, upstream):
    calls, upstream.handler = strict("max_tokens")
    assert gateway.chat(max_tokens=5).json()["error"]["param"] == "max_tokens"
    assert len(calls) == 1


def test_audio_is_refused_until_a_price_names_it(gateway):
    sound = {"type": "input_audio", "input_audio": {"data": "A" * 4000, "format": "mp3"}}
    error = gateway.chat(messages=[{"role": "user", "content": [sound]}]).json()["error"]
    assert (error["code"], "`input_audio`" in error["message"]) == ("validation_error", True)
    assert not Hold.objects.exists()


def test_an_upstream_of_an_unspoken_protocol_is_refused_with_the_catalog(upstream, db, monkeypatch):
    monkeypatch.setattr("proxy.prices.loading.SPOKEN", frozenset({"openai"}))
    data = catalog(upstream)
    data["upstreams"][0]["protocol"] = "gemini"
    with pytest.raises(ValueError, match="gemini"):
        load_catalog(data)

"""Gemini's `generateContent` passed through: what goes upstream, what comes back, what it costs."""

from decimal import Decimal

import orjson
import pytest
from aiohttp import web

from billing.models import Hold
from proxy.models import Generation
from proxy.prices.loading import load_catalog
from tests.proxy.conftest import PRICE, catalog, only_generation, settle, wait_for
from tests.spoken import GENERATE, GENERATED_USAGE, generated, piece, renamed

pytestmark = pytest.mark.parametrize("spoken", [GENERATE], ids=str)
COST = Decimal("0.00042000")
HELLO = [{"role": "user", "parts": [{"text": "hello"}]}]


def said_by(response) -> list:
    return GENERATE.events_in(response.read().decode())


def load(gateway, upstream, **model) -> None:
    load_catalog(catalog(upstream, **model))
    gateway.look_at_catalog()


def test_an_answer_in_one_piece_comes_as_it_is_with_what_it_cost(gateway, upstream):
    answer = gateway.chat(safetySettings=[], generationConfig={"maxOutputTokens": 100, "temperature": 0.5})
    assert answer.status_code == 200, answer.text
    generation = only_generation()
    told = answer.json()
    assert told.pop("x_chuizi") == {
        "generation_id": generation.pk,
        "latency_ms": generation.latency_ms,
        "cost": f"{COST:f}",
    }
    assert told == {
        **GENERATE.told,
        "modelVersion": "openai/m",
        "usageMetadata": {**GENERATED_USAGE, "cost": float(COST)},
    }
    assert answer.headers["x-generation-id"] == generation.pk
    assert (generation.protocol, generation.finish_reason, generation.cost) == ("gemini", "STOP", COST)
    assert upstream.calls == [
        {
            "generationConfig": {"maxOutputTokens": 100, "temperature": 0.5},
            "contents": HELLO,
            "safetySettings": [],
        }
    ]
    settle()
    assert (only_generation().state, Hold.objects.get().captured) == ("settled", COST)


def test_a_stream_comes_event_by_event_and_its_last_one_tells_what_it_cost(gateway, upstream):
    with gateway.stream() as response:
        text = response.read()
    generation = only_generation()
    assert text.startswith(renamed(b"".join(GENERATE.stream[:-1])))
    [*_begun, last] = GENERATE.events_in(text.decode())
    assert last["usageMetadata"] == {**GENERATED_USAGE, "cost": float(COST)}
    assert last["x_chuizi"]["generation_id"] == generation.pk == response.headers["x-generation-id"]
    assert (generation.input_tokens, generation.output_tokens, generation.streamed) == (20, 5, True)


@pytest.mark.parametrize("root", ["/v1beta", "/v1", "/gemini/v1beta", "/gemini/v1", "/v1beta/"])
@pytest.mark.parametrize("model", ["models/m", "models/openai/m", "models/openai%2Fm", "models/%6Fpenai/m", "openai/m"])
def test_the_model_stands_in_the_path_with_or_without_a_slash(gateway, root, model):
    answer = gateway.client.post(f"{root}/{model}:generateContent", json=GENERATE.asked)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("model", ["openai%252Fm", "openai/m:free", "a//b", "..", "%00", "m%3Fkey=1"])
def test_what_is_no_model_is_none(gateway, model):
    answer = gateway.client.post(f"/v1beta/models/{model}:generateContent", json=GENERATE.asked)
    assert answer.status_code == 404
    assert "/" not in model or answer.json()["error"]["status"] == "NOT_FOUND"
    assert not Hold.objects.exists()


def test_headers_of_the_list_go_upstream_and_the_upstreams_key_is_the_only_one(gateway, upstream):
    sent = {
        "x-goog-api-client": "google-genai-sdk/3.6.1",
        "x-goog-user-project": "theirs",
        "x-goog-api-key": gateway.key,
        "cookie": "a=b",
    }
    answer = gateway.client.post(GENERATE.path + "?alt=json&fields=x", json=GENERATE.asked, headers=sent)
    assert answer.status_code == 200, answer.text
    [went] = [{name.lower(): value for name, value in headers.items()} for headers in upstream.headers]
    assert (went["x-goog-api-client"], went["x-goog-api-key"]) == (sent["x-goog-api-client"], "sk-first-upstream-key")
    assert not {"authorization", "cookie", "x-goog-user-project"} & went.keys()
    assert gateway.key not in str(went)


def test_a_key_in_the_address_is_refused_with_words(gateway):
    for headers, status in (({"Authorization": ""}, 401), ({}, 400)):
        answer = gateway.client.post(f"{GENERATE.path}?key={gateway.key}", json=GENERATE.asked, headers=headers)
        assert (answer.status_code, "header" in answer.json()["error"]["message"]) == (status, True)
        assert gateway.key not in answer.text


def test_an_error_has_this_protocols_shape(gateway):
    answer = gateway.chat(contents=[])
    assert answer.status_code == 400
    assert answer.json() == {
        "error": {
            "code": 400,
            "message": "`contents` must be a list of at least one content.",
            "status": "INVALID_ARGUMENT",
        }
    }
    unknown = gateway.client.post("/v1beta/models/google/none:generateContent", json=GENERATE.asked)
    assert (unknown.status_code, unknown.json()["error"]["status"]) == (404, "NOT_FOUND")
    other = gateway.client.put(GENERATE.path, json={})
    assert (other.status_code, other.json()["error"]["code"]) == (405, 405)


@pytest.mark.parametrize("stream", [False, True])
def test_thoughts_are_output_and_what_tools_found_is_input(gateway, upstream, stream):
    usage = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 60,
        "toolUsePromptTokenCount": 11,
        "candidatesTokenCount": 5,
        "thoughtsTokenCount": 7,
        "totalTokenCount": 123,
    }
    thought = {"text": "Let me see.", "thought": True}
    signed = {"functionCall": {"name": "look", "args": {}}, "thoughtSignature": "EqQB/+="}
    upstream.json = piece(thought, signed, finish="STOP", usage=usage)
    upstream.events = [generated(thought), generated(signed), generated("", finish="STOP", usage=usage)]
    if stream:
        with gateway.stream() as response:
            assert response.read().startswith(renamed(b"".join(upstream.events[:-1])))
    else:
        assert gateway.chat().json()["candidates"] == upstream.json["candidates"]
    found = only_generation()
    assert (found.input_tokens, found.cached_tokens, found.output_tokens, found.reasoning_tokens) == (111, 60, 12, 7)
    assert found.cost == Decimal("1.05") * (51 * 10 + 60 * Decimal("2.5") + 12 * 40) / 1_000_000
    assert not found.is_flagged


def test_each_count_of_a_streams_usage_is_its_last_that_is_not_null(gateway, upstream):
    first = {"promptTokenCount": 20, "candidatesTokenCount": 2, "thoughtsTokenCount": 3}
    last = {"promptTokenCount": None, "candidatesTokenCount": 5}
    upstream.events = [generated("a", usage=first), generated("", finish="STOP"), generated(usage=last)]
    with gateway.stream() as response:
        events = said_by(response)
    assert (only_generation().input_tokens, only_generation().output_tokens) == (20, 8)
    assert len(events) == 3
    assert events[-1]["usageMetadata"]["candidatesTokenCount"] == 5


def test_a_prompt_that_is_blocked_is_an_answer_and_its_input_is_billed(gateway, upstream):
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 20}}
    upstream.json = blocked
    upstream.events = [b"data: " + orjson.dumps(blocked) + b"\n\n"]
    assert gateway.chat().json()["promptFeedback"] == {"blockReason": "SAFETY"}
    with gateway.stream() as response:
        [event] = said_by(response)
    assert event["promptFeedback"] == {"blockReason": "SAFETY"}
    for found in Generation.objects.all():
        assert (found.finish_reason, found.cost, found.output_tokens) == ("SAFETY", Decimal("0.00021"), 0)


def test_several_candidates_multiply_the_bound_and_each_has_to_end(gateway, upstream):
    gateway.chat()
    once = only_generation().bound
    Generation.objects.all().delete()
    gateway.chat(generationConfig={"max_output_tokens": 100, "candidate_count": 3})
    assert only_generation().bound > 2 * once
    Generation.objects.all().delete()
    other = orjson.dumps({"candidates": [{"index": 1, "content": {"parts": [{"text": "b"}]}}]})
    upstream.events = [generated("a", finish="STOP", usage=GENERATED_USAGE), b"data: " + other + b"\n\n"]
    with gateway.stream() as response:
        *_said, last = said_by(response)
    assert (last["error"]["status"], only_generation().settlement_reason) == ("INTERNAL", "upstream_eof")


def test_a_stream_that_comes_as_an_array_is_read_and_an_answer_as_events_too(gateway, upstream):
    async def other(request):
        if ":stream" in request.path:
            pieces = [orjson.loads(event[6:]) for event in GENERATE.stream]
            return web.Response(body=orjson.dumps(pieces), content_type="application/json")
        return web.Response(body=b"".join(GENERATE.stream), content_type="text/event-stream")

    upstream.handler = other
    with gateway.stream() as response:
        assert "".join(map(GENERATE.words_of, said_by(response))) == "one two three "
    assert GENERATE.words_of(gateway.chat().json()) == "one two three "
    assert [one.cost for one in Generation.objects.all()] == [COST, COST]


def test_googles_words_for_a_bad_key_are_the_operators_problem(gateway, upstream):
    upstream.status = 400
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
    words = "API key not valid. Please pass a valid API key."
    upstream.json = {"error": {"code": 400, "message": words, "status": "INVALID_ARGUMENT", "details": details}}
    answer = gateway.chat()
    assert (answer.status_code, "valid" in answer.json()["error"]["message"]) == (502, False)
    assert wait_for("released").cost == 0


TOOL = {"functionDeclarations": [{"name": "look", "parameters": {"type": "OBJECT"}}]}


def test_tools_of_the_provider_that_are_only_offered_are_taken_out_and_named(gateway, upstream):
    answer = gateway.chat(tools=[{**TOOL, "google_search": {}}, {"urlContext": {}}, {"codeExecution": {}}])
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-chuizi-removed"] == "googleSearch, urlContext, codeExecution"
    assert upstream.calls[0]["tools"] == [TOOL]
    gateway.chat(tools=[{"google_search": {}}])
    assert "tools" not in upstream.calls[1]


def test_what_a_tool_found_earlier_makes_it_more_than_offered(gateway):
    ran = [{"role": "model", "parts": [{"executable_code": {"code": "1"}}]}]
    answer = gateway.chat(tools=[{"code_execution": {}}], contents=HELLO + ran)
    assert (answer.status_code, "code" in answer.json()["error"]["message"]) == (400, True)


def test_searches_are_held_and_charged_where_they_are_priced(gateway, upstream):
    load(gateway, upstream, price={**PRICE, "web_search": "14"}, max_tool_calls=3, context_window=1000)
    grounds = {"webSearchQueries": ["a", "b", "a"], "groundingChunks": [{}]}
    upstream.json = piece("one", finish="STOP", usage=GENERATED_USAGE)
    upstream.json["candidates"][0]["groundingMetadata"] = grounds
    answer = gateway.chat(tools=[{"googleSearch": {}}])
    assert upstream.calls[0]["tools"] == [{"googleSearch": {}}]
    assert "x-chuizi-removed" not in answer.headers
    found = only_generation()
    assert found.cost == COST + Decimal("1.05") * 2 * 14 / 1000
    assert found.bound > Decimal("1.05") * 3 * 14 / 1000
    Generation.objects.all().delete()
    upstream.json["modelVersion"] = "gemini-2.5-flash"
    gateway.chat(tools=[{"googleSearch": {}}])
    assert only_generation().cost == COST + Decimal("1.05") * 14 / 1000


def test_addresses_are_fetched_within_the_catalogs_cap_and_code_is_a_session(gateway, upstream):
    load(gateway, upstream, price={**PRICE, "code_session": "0.05"}, max_tool_calls=2, context_window=1000)
    ran = [{"executableCode": {"code": "1"}}, {"codeExecutionResult": {"output": "1"}}, "one"]
    upstream.json = piece(*ran, finish="STOP", usage=GENERATED_USAGE)
    upstream.events = [generated(*ran), generated("", finish="STOP", usage=GENERATED_USAGE)]
    tools = [{"urlContext": {}}, {"codeExecution": {}}]
    answer = gateway.chat(tools=tools)
    assert (upstream.calls[0]["tools"], "x-chuizi-removed" in answer.headers) == (tools, False)
    found = only_generation()
    assert (found.cost, found.more) == (COST + Decimal("1.05") * Decimal("0.05"), {"code_session": 1})
    assert found.bound > 5 * 1000 * Decimal("10.5") / 10**6
    Generation.objects.all().delete()
    with gateway.stream(tools=tools[1:]) as response:
        response.read()
    assert only_generation().more == {"code_session": 1}


BAD = {
    "cached_content": {"cachedContent": "cachedContents/a"},
    "file search": {"tools": [{"fileSearch": {"fileSearchStoreNames": ["a"]}}]},
    "unknown tool": {"tools": [{"newerTool": {}}]},
    "kept file": {"contents": [{"parts": [{"fileData": {"fileUri": "files/abc"}}]}]},
    "kept file's address": {
        "contents": [
            {"parts": [{"file_data": {"file_uri": "https://generativelanguage.googleapis.com/v1beta/files/a"}}]}
        ]
    },
    "gs": {"contents": [{"parts": [{"fileData": {"fileUri": "gs://a/b.pdf", "mimeType": "application/pdf"}}]}]},
    "sound without a price": {"contents": [{"parts": [{"inlineData": {"mimeType": "audio/mp3", "data": "AAAA"}}]}]},
    "film without a price": {"contents": [{"parts": [{"fileData": {"fileUri": "https://youtu.be/a"}}]}]},
    "no type": {"contents": [{"parts": [{"inlineData": {"data": "AAAA"}}]}]},
    "sound in a result": {
        "contents": [
            {"parts": [{"functionResponse": {"parts": [{"inlineData": {"mimeType": "audio/mp3", "data": "AA"}}]}}]}
        ]
    },
    "unknown part": {"contents": [{"parts": [{"hologram": {"uri": "https://a"}}]}]},
    "sound out": {"generationConfig": {"responseModalities": ["AUDIO"]}},
    "unknown modality": {"generationConfig": {"responseModalities": ["SMELL"]}},
    "tier": {"serviceTier": "priority"},
    "limit beyond the model's": {"generationConfig": {"maxOutputTokens": 1001}},
    "both spellings": {"generationConfig": {"maxOutputTokens": 5}, "generation_config": {"maxOutputTokens": 900}},
    "both spellings inside": {"generationConfig": {"maxOutputTokens": 5, "max_output_tokens": 900}},
    "other letters": {"generationConfig": {"MaxOutputTokens": 900}},
    "other letters outside": {"GenerationConfig": {"maxOutputTokens": 900}},
    "two candidates": {"generationConfig": {"candidateCount": 1, "candidate_count": 8}},
    "two addresses": {
        "contents": [
            {"parts": [{"fileData": {"fileUri": "https://a/b.png", "file_uri": "files/a", "mimeType": "image/png"}}]}
        ]
    },
    "two types": {
        "contents": [{"parts": [{"inlineData": {"mime_type": "audio/mp3", "mimeType": "image/png", "data": "AA"}}]}]
    },
    "two modalities": {"generationConfig": {"response_modalities": ["IMAGE"], "responseModalities": ["TEXT"]}},
    "two tiers": {"service_tier": "priority", "serviceTier": "standard"},
    "another limit": {"generationConfig": {"max_tokens": 900}},
    "another model": {"generationConfig": {"routingConfig": {"autoMode": {}}}},
    "a limit elsewhere": {"max_output_tokens": 900},
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_held_or_priced_is_refused_by_name(gateway, upstream, name):
    answer = gateway.chat(**BAD[name])
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT"), answer.text
    assert "`" in answer.json()["error"]["message"] or "at most" in answer.json()["error"]["message"] or name == "tier"
    assert upstream.calls == []
    assert not Hold.objects.exists()


@pytest.mark.parametrize("other", [b"maxOutputTokens", b"max\\u004futputTokens"])
def test_a_name_that_stands_twice_is_refused(gateway, other):
    body = b'{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"maxOutputTokens":5,"%b":900}}' % other
    answer = gateway.client.post(GENERATE.path, content=body)
    assert (answer.status_code, "twice" in answer.json()["error"]["message"]) == (400, True)


def test_pictures_documents_and_unknown_fields_go_on_untouched(gateway, upstream):
    parts = [
        {"text": "see"},
        {"inline_data": {"mime_type": "image/png", "data": "AAAA"}},
        {"fileData": {"fileUri": "https://example.com/a.pdf", "mimeType": "application/pdf"}},
    ]
    asked = {"contents": {"parts": parts}, "system_instruction": {"parts": {"text": "be short"}}, "newer": {"a": [1]}}
    load(gateway, upstream, context_window=10_000)
    answer = gateway.chat(**asked)
    assert answer.status_code == 200, answer.text
    assert upstream.calls[0] == {"generationConfig": {"maxOutputTokens": 100}, **asked}


def test_media_are_charged_by_what_they_are(gateway, upstream):
    price = {**PRICE, "input_audio": "30", "input_video": "20", "output_image": "100"}
    load(gateway, upstream, price=price | {"cache_read_audio": "3", "cache_read_video": "2"}, context_window=10_000)
    usage = {
        "promptTokenCount": 1000,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 100},
            {"modality": "AUDIO", "tokenCount": 300},
            {"modality": "VIDEO", "tokenCount": 600},
        ],
        "candidatesTokenCount": 50,
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 40}, {"modality": "TEXT", "tokenCount": 10}],
        "totalTokenCount": 1050,
    }
    upstream.json = piece("one", finish="STOP", usage=usage)
    film = {"fileData": {"fileUri": "https://www.youtube.com/watch?v=a"}}
    answer = gateway.chat(
        contents=[{"parts": [film]}],
        generationConfig={"maxOutputTokens": 100, "responseModalities": ["Text", "IMAGE"]},
    )
    assert answer.status_code == 200, answer.text
    found = only_generation()
    exact = 100 * 10 + 300 * 30 + 600 * 20 + 40 * 100 + 10 * 40
    assert (found.cost, found.is_flagged) == (Decimal("1.05") * exact / 1_000_000, False)
    assert found.cost <= found.bound


def test_a_limit_that_nobody_names_is_sent(gateway, upstream):
    gateway.chat(generationConfig={"topK": 5})
    gateway.client.post(GENERATE.path, json={"contents": HELLO})
    sent = [call["generationConfig"] for call in upstream.calls]
    assert sent == [{"maxOutputTokens": 1000, "topK": 5}, {"maxOutputTokens": 1000}]


def test_a_service_tier_with_a_price_goes_on_and_is_charged(gateway, upstream):
    variants = [{"when": {"service_tier": "flex"}, "input": "5", "output": "20"}]
    load(gateway, upstream, price={**PRICE, "variants": variants})
    upstream.json = piece("one", finish="STOP", usage={**GENERATED_USAGE, "serviceTier": "SERVICE_TIER_FLEX"})
    assert gateway.chat(serviceTier="flex").status_code == 200
    assert upstream.calls[0]["serviceTier"] == "flex"
    assert (only_generation().cost, only_generation().service_tier) == (COST / 2, "flex")

"""Gemini's embeddings: one content, and many at once."""

from decimal import Decimal

import pytest

from billing.models import Hold
from proxy.prices.loading import load_catalog
from tests.proxy.conftest import catalog, only_generation
from tests.spoken import GENERATE

pytestmark = pytest.mark.parametrize("spoken", [GENERATE], ids=str)
PATH = "/v1beta/models/openai/m:"
SAID = {"parts": [{"text": "hello " * 40}]}
VECTOR = {"values": [0.25, -1]}


@pytest.fixture(autouse=True)
def embeds(gateway, upstream):
    load_catalog(catalog(upstream, price={"input": "10"}, max_output_tokens=None))
    gateway.look_at_catalog()


def test_one_content_is_charged_by_what_the_answer_tells(gateway, upstream):
    upstream.json = {"embedding": VECTOR, "usageMetadata": {"promptTokenCount": 40, "totalTokenCount": 40}}
    asked = {"model": "models/other", "content": SAID, "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 2}
    answer = gateway.client.post(PATH + "embedContent", json=asked)
    assert answer.status_code == 200, answer.text
    assert upstream.calls == [{**asked, "model": "models/m-at-upstream"}]
    found = only_generation()
    assert (found.cost, found.usage_source, found.is_flagged) == (Decimal("0.00042"), "upstream", False)
    told = answer.json()
    assert (told["embedding"], told["usageMetadata"]["cost"]) == (VECTOR, 0.00042)
    assert told["x_chuizi"]["generation_id"] == found.pk


def test_a_batch_is_counted_fairly_where_nobody_tells(gateway, upstream):
    upstream.json = {"embeddings": [{"values": [0.5] * 3000}, VECTOR]}
    asked = {"requests": [{"model": "models/a", "content": SAID}, {"content": {"parts": {"text": "b"}}, "title": "t"}]}
    answer = gateway.client.post("/gemini/v1/models/m:batchEmbedContents", json=asked)
    assert answer.status_code == 200, answer.text
    assert answer.json()["embeddings"] == upstream.json["embeddings"]
    assert [one["model"] for one in upstream.calls[0]["requests"]] == ["models/m-at-upstream"] * 2
    assert upstream.calls[0]["requests"][1]["title"] == "t"
    found = only_generation()
    assert (found.usage_source, 60 < found.input_tokens < 130, found.output_tokens) == ("estimated", True, 0)
    assert found.cost <= found.bound


@pytest.mark.parametrize(
    ("verb", "asked"),
    [
        ("embedContent", {}),
        ("embedContent", {"content": SAID, "contents": [SAID]}),
        ("embedContent", {"content": SAID, "Model": "models/dear"}),
        ("embedContent", {"content": {"parts": [{"inlineData": {"mimeType": "audio/wav", "data": "AA"}}]}}),
        ("batchEmbedContents", {"requests": []}),
        ("batchEmbedContents", {"requests": [{"content": SAID, "cachedContent": "a"}]}),
        ("batchEmbedContents", {"requests": [{"content": SAID}] * 2049}),
        ("generateContent", {"contents": [SAID]}),
    ],
)
def test_what_cannot_be_held_or_priced_is_refused(gateway, upstream, verb, asked):
    answer = gateway.client.post(PATH + verb, json=asked)
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT"), answer.text
    assert upstream.calls == []
    assert not Hold.objects.exists()


def test_an_answer_without_vectors_is_none(gateway, upstream):
    for told in ({}, {"embedding": {}}, {"error": {"code": 500, "message": "no"}}):
        upstream.json = told
        assert gateway.client.post(PATH + "embedContent", json={"content": SAID}).status_code == 502

"""Each path: held, sent as it came, metered by its own units, and shown to its caller with the cost."""

from decimal import Decimal

import orjson
import pytest

from billing.models import Hold, Wallet
from proxy.models import Generation
from proxy.prices.loading import load_catalog
from tests.proxy.conftest import catalog, only_generation, settle, wait_for
from tests.proxy.protocols.kin.conftest import post
from tests.proxy.protocols.kin.table import ALL, COHERE, EMBEDDINGS, JINA

EACH = pytest.mark.parametrize("kin", ALL, ids=str)


@EACH
def test_an_answer_is_charged_by_its_units_and_tells_its_cost(served, upstream, kin):
    answer = post(served, kin, user="somebody", a_new_field={"x": [1, 1.5e3]})
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert {name: said[name] for name in kin.told if name != "usage"} == {
        name: value for name, value in kin.shown.items() if name != "usage"
    }
    assert Decimal(said["x_chuizi"]["cost"]) == kin.cost
    assert Decimal(str(said["usage"]["cost"])) == kin.cost
    assert said["usage"] == {**kin.told.get("usage", {}), "cost": said["usage"]["cost"]}
    assert answer.headers["x-generation-id"] == said["x_chuizi"]["generation_id"]
    [sent] = upstream.calls
    assert sent == {**kin.sent, "user": "somebody", "a_new_field": {"x": [1, 1.5e3]}, "model": "m-at-upstream"}
    assert upstream.headers[0]["Authorization"] == "Bearer sk-first-upstream-key"
    settle()
    generation = only_generation()
    assert (generation.cost, generation.usage_source, generation.is_flagged) == (kin.cost, "upstream", False)
    assert generation.cost <= generation.bound
    assert Wallet.objects.get().bonus == 10 - kin.cost
    assert Hold.objects.get().captured == kin.cost


@EACH
def test_a_plain_answer_is_the_upstreams_without_its_cost(served, upstream, kin):
    upstream.json = {**kin.told, "cost": 1}
    answer = served.client.post(kin.path, json=kin.sent, headers={"X-Chuizi-Body": "plain"})
    assert answer.content == orjson.dumps(kin.told)
    assert wait_for("metered").cost == kin.cost


@EACH
def test_its_units_stand_in_the_receipt(served, kin):
    answer = post(served, kin)
    wait_for("metered")
    told = served.client.get("/v1/generation", params={"id": answer.headers["x-generation-id"]}).json()["data"]
    assert {line["unit"]: Decimal(line["quantity"]) for line in told["line_items"]} == kin.lines
    assert {name: Decimal(count) for name, count in told["usage"].items()} == kin.lines
    assert told["input_tokens"] == kin.lines.get("input_token", 0)
    assert told["output_tokens"] == 0


@EACH
def test_an_answer_without_usage_is_charged_at_a_fair_count(served, upstream, kin):
    upstream.json = {name: value for name, value in kin.told.items() if name not in ("usage", "meta")}
    assert post(served, kin).status_code == 200
    generation = wait_for("metered")
    assert generation.usage_source == "estimated"
    assert 0 < generation.cost <= generation.bound
    assert generation.output_tokens == 0


@EACH
def test_more_than_can_be_is_charged_at_the_bound_and_flagged(served, upstream, kin):
    huge = {"prompt_tokens": 10**9, "total_tokens": 10**9}
    upstream.json = {**kin.told, "usage": huge, "meta": {"billed_units": {"search_units": 10**9}}}
    assert post(served, kin).status_code == 200
    generation = wait_for("metered")
    assert (generation.cost, generation.is_flagged) == (generation.bound, True)


@EACH
def test_an_error_in_a_success_is_none_of_the_callers_money(served, upstream, kin):
    upstream.json = {"error": {"message": "overloaded", "type": "server_error", "code": 500}}
    answer = post(served, kin)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_error")
    assert wait_for("released").cost in (None, 0)


@EACH
@pytest.mark.parametrize(
    "raw",
    [
        b'{"model":"openai/m","model":"openai/n",%b}',
        b'{"Model":"openai/n","model":"openai/m",%b}',
        b'{"mod\\u0065l":"openai/n","model":"openai/m",%b}',
        b'{"model":"openai/m","models":["openai/n"],%b}',
        b'{"model":"openai/m","stream":true,%b}',
        b'{"model":7,%b}',
        b'{"model":"openai/m"}',
        b"[]",
    ],
)
def test_what_servers_would_not_read_alike_is_refused(served, upstream, kin, raw):
    body = raw.replace(b"%b", orjson.dumps(kin.asked)[1:-1])
    answer = served.client.post(kin.path, content=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert not upstream.calls
    assert not Generation.objects.exists()


@EACH
@pytest.mark.parametrize("field", ["input", "query", "documents"])
def test_a_field_that_prices_may_not_stand_twice(served, kin, field):
    if field in kin.asked:
        twin = b'"%b":"x"' % field.upper().encode()
        answer = served.client.post(kin.path, content=b"{%b,%b" % (twin, orjson.dumps(kin.sent)[1:]))
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, field.upper())


@EACH
def test_a_model_that_writes_is_none_of_this_path_and_its_own_is_none_of_chats(served, upstream, kin):
    answer = served.client.post("/v1/chat/completions", json={"model": "openai/m", "messages": [{"role": "user"}]})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")
    load_catalog(catalog(upstream))
    served.look_at_catalog()
    answer = post(served, kin)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")
    assert not upstream.calls


@EACH
def test_a_wallet_that_cannot_pay_is_refused_in_openais_shape(served, kin):
    Wallet.objects.update(bonus=0)
    answer = post(served, kin)
    assert (answer.status_code, answer.json()["error"]["code"]) == (402, "insufficient_balance")


@pytest.mark.parametrize(
    "said", [[1, 2, 3], [[1, 2], [3]], "a text", ["a"] * 2048, ["é" * 50]], ids=["ids", "lists", "text", "most", "wide"]
)
def test_texts_and_ids_in_each_form_are_embedded(served, upstream, said):
    answer = post(served, EMBEDDINGS, input=said, dimensions=2, encoding_format="base64")
    assert answer.status_code == 200, answer.text
    assert upstream.calls[0]["input"] == said
    assert upstream.calls[0]["encoding_format"] == "base64"


@pytest.mark.parametrize(
    "said", [[], ["a", 1], [["a"]], [1.5], {"text": "a"}, [{"image": "x"}], None, 7, ["a"] * 2049, [[1], "a"]]
)
def test_other_inputs_are_refused(served, said):
    answer = post(served, EMBEDDINGS, input=said)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input"), answer.text


def test_a_long_answer_passes_without_being_parsed(served, upstream):
    data = [{"object": "embedding", "index": at, "embedding": [at / 7] * 500} for at in range(60)]
    upstream.json = {**EMBEDDINGS.told, "data": data}
    answer = post(served, EMBEDDINGS)
    assert answer.json()["data"] == data
    assert Decimal(answer.json()["x_chuizi"]["cost"]) == EMBEDDINGS.cost


@pytest.mark.parametrize("kin", [EMBEDDINGS, COHERE], ids=str)
def test_with_a_price_by_the_request_calls_or_searches_are_counted(served, upstream, kin):
    load_catalog(catalog(upstream, price={"request": "0.01"}))
    served.look_at_catalog()
    assert post(served, kin).status_code == 200
    assert wait_for("metered").cost == Decimal("0.0105")


@pytest.mark.parametrize("kin", [COHERE], ids=str)
def test_a_long_document_counts_for_several_in_the_hold(served):
    post(served, COHERE, documents=["word " * 10_000])
    assert wait_for("metered").bound == Decimal("0.0042")  # 102 chunks of 500 less the query
    Generation.objects.all().delete()
    post(served, COHERE, documents=["w"] * 101)
    assert wait_for("metered").bound == Decimal("0.0042")


@pytest.mark.parametrize("kin", [JINA], ids=str)
@pytest.mark.parametrize("said", [[], "a text", [7], [{"image": "https://x/y.png"}], [["a"]]])
def test_documents_that_are_no_texts_are_refused(served, said):
    answer = post(served, JINA, documents=said)
    assert answer.status_code == 400, answer.text

"""Pictures: by size and quality, or by tokens; in one piece and as events; and what of that the receipt remembers."""

from decimal import Decimal

import orjson
import pytest
from aiohttp import web
from django.db import transaction

from proxy.models import Generation
from proxy.prices.loading import load_catalog
from proxy.purchases import rows
from proxy.purchases.costs import Prices
from tests.proxy.conftest import Gateway, catalog, settle, wait_for
from tests.spoken import Spoken
from tests.upstream import FakeUpstream

BY_PICTURE = {
    "image": "0.04",
    "variants": [
        {"when": {"size": "1792x1024"}, "image": "0.08"},
        {"when": {"size": "1024x1024", "quality": "hd"}, "image": "0.10"},
    ],
}
BY_TOKEN = {"input_text": "5", "input_image": "8", "output_image": "30"}
USAGE = {
    "input_tokens": 50,
    "output_tokens": 1000,
    "total_tokens": 1050,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
}
PICTURE = {"b64_json": "AAAA"}


@pytest.fixture
def price():
    return BY_PICTURE


@pytest.fixture
def served(gateway: Gateway, upstream: FakeUpstream, price) -> Gateway:
    upstream.json = {"created": 1, "data": [PICTURE]}
    load_catalog(catalog(upstream, price=price, max_output_tokens=None))
    gateway.look_at_catalog()
    return gateway


def ask(gateway: Gateway, **more):
    return gateway.client.post("/v1/images/generations", json={"model": "openai/m", "prompt": "a crab", **more})


def event(kind: str, **said) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **said}))


@pytest.mark.parametrize(
    ("asked", "told", "bound", "cost"),
    [
        ({}, {}, "0.105", "0.042"),
        ({"size": "auto", "quality": "auto"}, {}, "0.105", "0.042"),
        ({"size": "1792x1024"}, {}, "0.084", "0.084"),
        ({"size": "1024x1024"}, {}, "0.105", "0.042"),
        ({"size": "1024x1024", "quality": "hd"}, {}, "0.105", "0.105"),
        ({"size": "1024x1024", "quality": "low"}, {}, "0.042", "0.042"),
        ({"size": "auto"}, {"size": "1792x1024", "quality": "low"}, "0.105", "0.084"),
        ({"size": "1024x1024", "quality": "low"}, {"size": "1792x1024"}, "0.042", "0.042"),
        ({"n": 3, "size": "1792x1024"}, {}, "0.252", "0.252"),
    ],
)
def test_a_picture_is_held_at_the_dearest_that_was_asked_and_charged_at_what_was_served(
    served, upstream, asked, told, bound, cost
):
    upstream.json = {"created": 1, **told, "data": [PICTURE] * asked.get("n", 1)}
    answer = ask(served, **asked, background="opaque")
    assert answer.status_code == 200, answer.text
    assert upstream.calls == [{"model": "m-at-upstream", "prompt": "a crab", **asked, "background": "opaque"}]
    generation = wait_for("metered")
    assert (generation.bound, generation.cost) == (Decimal(bound), Decimal(cost))
    assert answer.json()["data"] == upstream.json["data"]
    assert Decimal(answer.json()["x_chuizi"]["cost"]) == generation.cost
    shown = served.client.get("/v1/generation", params={"id": generation.pk}).json()["data"]
    [line] = shown["line_items"]
    assert (line["unit"], Decimal(line["quantity"])) == ("image", asked.get("n", 1))
    assert Decimal(line["amount"]) * Decimal("1.05") == Decimal(cost), "the receipt knows the size that was charged"


def test_what_its_upstream_takes_goes_by_the_size_that_was_served(served, upstream):
    upstream.json = {"created": 1, "size": "1792x1024", "data": [PICTURE]}
    ask(served, size="auto")
    settle()
    with transaction.atomic():
        [used] = rows.read(rows.Batch(1, [Generation.objects.get().pk], []))
    assert Prices([used]).purchase_of(used).cost == Decimal("0.08")


@pytest.mark.parametrize("price", [BY_TOKEN], ids=["tokens"])
def test_tokens_of_text_and_of_pictures_have_each_their_price(served, upstream):
    upstream.json = {"created": 1, "size": "1024x1024", "quality": "low", "data": [PICTURE], "usage": USAGE}
    answer = ask(served)
    generation = wait_for("metered")
    assert generation.cost == Decimal("0.0318885")  # (10 x 5 + 40 x 8 + 1,000 x 30) a million, and the margin
    assert answer.json()["usage"] == {**USAGE, "cost": float(generation.cost)}
    shown = served.client.get("/v1/generation", params={"id": generation.pk}).json()["data"]
    units = {line["unit"]: Decimal(line["quantity"]) for line in shown["line_items"]}
    assert units == {"input_text_token": 10, "input_image_token": 40, "output_image_token": 1000}
    assert (generation.is_flagged, generation.usage_source) == (False, "upstream")


@pytest.mark.parametrize("price", [BY_TOKEN], ids=["tokens"])
@pytest.mark.parametrize("usage", [None, {**USAGE, "output_tokens": 0, "total_tokens": 50}], ids=["none", "zero"])
def test_pictures_without_usage_are_charged_at_a_fair_count(served, upstream, usage):
    upstream.json = {"created": 1, "data": [PICTURE]} | ({} if usage is None else {"usage": usage})
    ask(served, quality="low")
    generation = wait_for("metered")
    assert (generation.usage_source, generation.output_tokens) == ("estimated", 272)
    assert generation.is_flagged is (usage is not None)


@pytest.mark.parametrize("price", [BY_TOKEN, BY_PICTURE], ids=["tokens", "pictures"])
def test_partial_pictures_go_on_at_once_and_the_last_tells_the_cost(served, upstream):
    partial = event("image_generation.partial_image", b64_json="A" * 200_000, partial_image_index=0)
    last = event("image_generation.completed", b64_json="B" * 5_000_000, usage=USAGE, size="1024x1024")
    upstream.events = [partial, last[:100], last[100:3_000_000], last[3_000_000:]]
    answer = ask(served, stream=True, partial_images=1)
    assert answer.status_code == 200, answer.text[:500]
    assert answer.text.encode().startswith(partial)
    [_first, said] = Spoken.events_in(answer.text)
    generation = wait_for("metered")
    assert (said["type"], len(said["b64_json"])) == ("image_generation.completed", 5_000_000)
    assert Decimal(said["x_chuizi"]["cost"]) == generation.cost > 0
    assert said["usage"] == {**USAGE, "cost": float(generation.cost)}


def test_a_stream_that_is_answered_in_one_piece_becomes_an_event(served, upstream):
    async def whole(request):
        return web.json_response({"created": 1, "data": [PICTURE], "size": "1024x1024"})

    upstream.handler = whole
    answer = ask(served, stream=True)
    [said] = Spoken.events_in(answer.text)
    assert (said["type"], said["b64_json"]) == ("image_generation.completed", "AAAA")
    assert wait_for("metered").cost == Decimal("0.042")


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"n": 11}, "n"),
        ({"n": 0}, "n"),
        ({"n": 2, "stream": True}, "n"),
        ({"size": 1024}, "size"),
        ({"quality": "low\0"}, "quality"),
        ({"width": 4096}, "width"),
        ({"num_images": 9}, "num_images"),
        ({"image": "data:image/png;base64,AAAA"}, "image"),
        ({"partial_images": 4}, "partial_images"),
        ({"stream": "yes"}, "stream"),
        ({"Size": "1792x1024"}, "Size"),
        ({"models": []}, "models"),
    ],
)
def test_what_would_change_the_price_unseen_is_refused(served, upstream, more, param):
    answer = ask(served, **more)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text
    assert not upstream.calls


def test_a_size_without_a_price_is_refused_with_its_unit_named(served, upstream):
    load_catalog(catalog(upstream, price={"input": "1", "variants": [{"when": {"size": "s"}, "image": "0.02"}]}))
    served.look_at_catalog()
    answer = ask(served, size="l")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "size")
    assert "`image`" in answer.json()["error"]["message"]
    assert ask(served, size="s").status_code == 200

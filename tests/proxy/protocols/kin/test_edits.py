"""Edits of pictures: as files and at addresses, by the picture and by tokens, in one piece and as events."""

from decimal import Decimal

import orjson
import pytest

from proxy.models import Generation
from proxy.prices.loading import load_catalog
from tests.proxy.conftest import Gateway, catalog, wait_for
from tests.spoken import Spoken
from tests.uploads import KIND, fields, form
from tests.upstream import FakeUpstream

BY_PICTURE = {"image": "0.04", "variants": [{"when": {"size": "1792x1024"}, "image": "0.08"}]}
BY_TOKEN = {"input_text": "5", "input_image": "10", "output_image": "40"}
USAGE = {
    "input_tokens": 50,
    "output_tokens": 1000,
    "total_tokens": 1050,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
}
PATH, PNG = "/v1/images/edits", b"\x89PNG"
AT = {"image_url": "https://elsewhere.example/a.png"}


@pytest.fixture
def price():
    return BY_TOKEN


@pytest.fixture
def served(gateway: Gateway, upstream: FakeUpstream, price) -> Gateway:
    upstream.json = {"created": 1, "data": [{"b64_json": "AAAA"}], "usage": USAGE}
    load_catalog(catalog(upstream, price=price, max_output_tokens=None))
    gateway.look_at_catalog()
    return gateway


def upload(gateway: Gateway, **said):
    body = form(*fields(**{"model": "openai/m", "prompt": "a crab", **said}))
    return gateway.client.post(PATH, content=body, headers={"Content-Type": KIND})


def refer(gateway: Gateway, **said):
    return gateway.client.post(PATH, json={"model": "openai/m", "prompt": "a crab", **said})


@pytest.mark.parametrize("is_form", [True, False], ids=["form", "json"])
def test_pictures_in_and_out_have_each_their_price(served, upstream, is_form):
    more = {"quality": "low", "size": "1024x1024"}
    if is_form:
        answer = upload(served, **{"image[]": [PNG, PNG], "mask": PNG}, **more)
        file = ("a.wav", "audio/wav", PNG)
        assert upstream.calls == [
            {"model": "m-at-upstream", "prompt": "a crab", "image[]": [file, file], "mask": file, **more}
        ]
    else:
        answer = refer(served, images=[AT, {"image_url": "data:image/png;base64,AAAA"}], mask=AT, **more)
        assert upstream.calls[0]["images"][0] == AT
    generation = wait_for("metered")
    assert answer.json()["usage"] == {**USAGE, "cost": float(generation.cost)}
    assert generation.cost == Decimal("0.0424725")  # (10 x 5 + 40 x 10 + 1,000 x 40) a million, and the margin
    # 3 x 16,384 at 10, 8,192 at 40, the prompt and its frame at 5
    assert Decimal("0.86") < generation.bound < Decimal("0.87")
    assert (generation.usage_source, generation.is_flagged) == ("upstream", False)


def test_without_usage_pictures_are_charged_at_a_fair_count(served, upstream):
    upstream.json = {"created": 1, "data": [{"b64_json": "AAAA"}]}
    upload(served, image=PNG, quality="low")
    generation = wait_for("metered")
    assert (generation.usage_source, generation.output_tokens, generation.input_tokens) == ("estimated", 272, 1603)
    assert generation.more == {"input_image": 1600, "output_image": 272}


@pytest.mark.parametrize("price", [BY_PICTURE], ids=["pictures"])
def test_by_the_picture_it_is_the_size_and_the_number_that_count(served, upstream):
    upstream.json = {"created": 1, "size": "1024x1024", "data": [{"b64_json": "AAAA"}] * 2}
    upload(served, image=PNG, n=2)
    generation = wait_for("metered")
    assert (generation.bound, generation.cost) == (Decimal("0.168"), Decimal("0.084"))


def test_events_end_with_what_it_cost(served, upstream):
    part = b'data: {"type":"image_edit.partial_image","b64_json":"AA","partial_image_index":0}\n\n'
    last = {"type": "image_edit.completed", "b64_json": "BB", "usage": USAGE}
    upstream.events = [part, b"data: " + orjson.dumps(last) + b"\n\n"]
    answer = upload(served, image=PNG, stream="true", partial_images=1)
    assert answer.text.encode().startswith(part)
    said = Spoken.events_in(answer.text)[-1]
    generation = wait_for("metered")
    assert (said["type"], said["usage"]) == ("image_edit.completed", {**USAGE, "cost": float(generation.cost)})


def test_what_servers_might_read_otherwise_is_refused_before_a_hold(served, upstream):
    uploads = [
        ({}, "image"),
        ({"image": "a text"}, "image"),
        ({"image": b""}, "image"),
        ({"image": [PNG, PNG]}, "image"),
        ({"image": PNG, "image[]": [PNG]}, "image"),
        ({"image[]": [PNG] * 17}, "image[]"),
        ({"image[0]": PNG}, "image[0]"),
        ({"image": PNG, "mask[]": [PNG]}, "mask[]"),
        ({"image": PNG, "mask": [PNG, PNG]}, "mask"),
        ({"image": PNG, "n": "11"}, "n"),
        ({"image": PNG, "n": "02"}, "n"),
        ({"image": PNG, "n": ["1", "5"]}, "n"),
        ({"image": PNG, "N": "5"}, "N"),
        ({"image": PNG, "n[]": ["5"]}, "n[]"),
        ({"image": PNG, "stream": "1"}, "stream"),
        ({"image": PNG, "stream": "true", "n": "2"}, "n"),
        ({"image": PNG, "svg[model]": "dear"}, "svg[model]"),
        ({"image": PNG, "svg": "{}"}, "svg"),
        ({"image": PNG, "output_format": "gif"}, "output_format"),
        ({"image": PNG, "frame_count": "16"}, "frame_count"),
        ({"image": PNG, "num_images": "9"}, "num_images"),
        ({"image": PNG, "images": "x"}, "images"),
        ({"image": PNG, "prompt": ""}, "prompt"),
    ]
    bodies = [
        ({}, "images"),
        ({"images": []}, "images"),
        ({"images": "x"}, "images"),
        ({"images": [{"file_id": "file-1"}]}, "images[0].file_id"),
        ({"images": [{**AT, "file_id": "file-1"}]}, "images[0].file_id"),
        ({"images": [AT, {"image_url": "file:///etc/passwd"}]}, "images[1].image_url"),
        ({"images": [{"image_url": AT}]}, "image_url"),
        ({"images": [AT] * 17}, "images"),
        ({"images": [AT], "mask": {"file_id": "f"}}, "mask.file_id"),
        ({"images": [AT], "image": "x"}, "image"),
        ({"images": [AT], "svg": {"model": "dear"}}, "svg"),
        ({"images": [AT], "output_format": "svg"}, "output_format"),
    ]
    for ask, cases in ((upload, uploads), (refer, bodies)):
        for said, param in cases:
            answer = ask(served, **said)
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "validation_error"), (
                said,
                answer.text,
            )
            assert answer.json()["error"]["param"] == param, said
    assert not upstream.calls
    assert not Generation.objects.exists()

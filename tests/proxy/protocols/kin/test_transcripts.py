"""Transcripts and translations: by the second and by tokens; as JSON, as text and as events."""

from decimal import Decimal

import orjson
import pytest
from aiohttp import web

from proxy.models import Generation
from proxy.prices.loading import load_catalog
from tests.proxy.conftest import Gateway, catalog, wait_for
from tests.spoken import Spoken
from tests.uploads import KIND, fields, form, sound
from tests.upstream import FakeUpstream

BY_SECOND = {"second": "0.0001"}
BY_TOKEN = {"input": "2.5", "input_audio": "6", "output": "10"}
SOUND = sound(9.5)
TOKENS = {
    "type": "tokens",
    "input_tokens": 104,
    "input_token_details": {"text_tokens": 4, "audio_tokens": 100},
    "output_tokens": 30,
    "total_tokens": 134,
}


@pytest.fixture
def price() -> dict[str, str]:
    return BY_SECOND


@pytest.fixture
def served(gateway: Gateway, upstream: FakeUpstream, price: dict[str, str]) -> Gateway:
    upstream.json = {"text": "one two three"}
    load_catalog(catalog(upstream, price=price, max_output_tokens=None))
    gateway.look_at_catalog()
    return gateway


def ask(gateway: Gateway, path: str = "transcriptions", **more):
    body = form(*fields(**{"model": "openai/m", "file": SOUND, **more}))
    return gateway.client.post(f"/v1/audio/{path}", content=body, headers={"Content-Type": KIND})


def receipt(gateway: Gateway, generation: Generation):
    told = gateway.client.get("/v1/generation", params={"id": generation.pk}).json()["data"]
    return {line["unit"]: Decimal(line["quantity"]) for line in told["line_items"]}


@pytest.mark.parametrize(
    ("asked", "told", "seconds"),
    [
        ({}, {}, "9.5"),
        ({}, {"usage": {"type": "duration", "seconds": 10}}, "10"),
        ({"response_format": "verbose_json"}, {"duration": 9.52, "language": "english"}, "9.52"),
        ({"response_format": "verbose_json"}, {"duration": "9.4"}, "9.4"),
        ({}, {"usage": {"type": "duration", "seconds": 4000}}, "11"),
        ({}, {"usage": {"type": "duration", "seconds": 0}}, "9.5"),
        ({}, {"usage": {"type": "duration", "seconds": -3}}, "9.5"),
    ],
)
def test_seconds_are_charged_as_told_within_the_bound_and_else_as_counted(served, upstream, asked, told, seconds):
    upstream.json = {"text": "one two three", **told}
    answer = ask(served, **asked)
    assert answer.status_code == 200, answer.text
    generation = wait_for("metered")
    assert generation.bound == Decimal("0.001155")  # 9.5 s, rounded up and one more
    assert generation.cost == Decimal("0.000105") * Decimal(seconds)
    assert generation.is_flagged is (told.get("usage", {}).get("seconds") in (4000, 0, -3))
    said = answer.json()
    assert (said["text"], Decimal(said["x_chuizi"]["cost"])) == ("one two three", generation.cost)
    assert Decimal(str(said["usage"]["cost"])) == generation.cost
    assert said["usage"]["type"] == "duration"
    if not generation.is_flagged:
        assert receipt(served, generation) == {"second": Decimal(seconds)}


def test_the_form_goes_on_as_it_came_with_the_upstreams_model_in_it(served, upstream):
    more = {"prompt": "Grüße", "timestamp_granularities[]": ["word", "segment"], "include[]": ["logprobs"]}
    assert ask(served, **more).status_code == 200
    [call] = upstream.calls
    assert call.pop("file") == ("a.wav", "audio/wav", SOUND)
    assert call == {"model": "m-at-upstream", **more}
    assert upstream.headers[0]["Authorization"] == "Bearer sk-first-upstream-key"


@pytest.mark.parametrize("form", ["text", "srt", "vtt"])
@pytest.mark.parametrize("price", [BY_SECOND, BY_TOKEN], ids=["seconds", "tokens"])
def test_a_text_is_relayed_as_it_is_and_charged_as_its_sound_was_counted(served, upstream, form, price):
    async def said(request):
        return web.Response(text="one two three\n" * 1000, content_type="text/plain")

    upstream.handler = said
    answer = ask(served, response_format=form)
    assert (answer.text, answer.headers["content-type"]) == ("one two three\n" * 1000, "text/plain; charset=utf-8")
    generation = wait_for("metered")
    if price is BY_SECOND:
        assert (generation.cost, generation.usage_source) == (Decimal("0.0009975"), "upstream")
    else:
        assert (generation.usage_source, generation.input_tokens, generation.output_tokens) == ("estimated", 96, 39)
        assert 0 < generation.cost < generation.bound


@pytest.mark.parametrize("price", [BY_TOKEN], ids=["tokens"])
def test_tokens_of_sound_and_of_text_have_each_their_price(served, upstream):
    upstream.json = {"text": "one two three", "usage": TOKENS}
    answer = ask(served)
    generation = wait_for("metered")
    assert generation.cost == Decimal("0.0009555")  # 4 x 2.5 + 100 x 6 + 30 x 10 a million, and the margin
    assert receipt(served, generation) == {"input_token": 4, "input_audio_token": 100, "output_token": 30}
    assert answer.json()["usage"] == {**TOKENS, "cost": float(generation.cost)}
    assert (generation.usage_source, generation.is_flagged) == ("upstream", False)


@pytest.mark.parametrize("price", [BY_TOKEN], ids=["tokens"])
def test_a_transcript_as_events_ends_with_what_it_cost(served, upstream):
    delta = b'event: transcript.text.delta\ndata: {"type":"transcript.text.delta","delta":"one "}\n\n'
    last = {"type": "transcript.text.done", "text": "one two", "usage": TOKENS}
    upstream.events = [delta, b"data: " + orjson.dumps(last) + b"\n\n"]
    answer = ask(served, stream="true")
    assert answer.text.encode().startswith(delta)
    said = Spoken.events_in(answer.text)[-1]
    generation = wait_for("metered")
    assert said["usage"] == {**TOKENS, "cost": float(generation.cost)}
    assert (said["type"], said["text"], generation.streamed) == ("transcript.text.done", "one two", True)


def test_a_stream_that_is_answered_in_one_piece_becomes_an_event(served, upstream):
    async def whole(request):
        return web.json_response({"text": "one two"})

    upstream.handler = whole
    [said] = Spoken.events_in(ask(served, stream="true").text)
    assert (said["type"], said["text"]) == ("transcript.text.done", "one two")
    assert wait_for("metered").cost == Decimal("0.0009975")


@pytest.mark.parametrize("price", [{**BY_SECOND, "minimum": "10", "round": "4"}], ids=["rounded"])
@pytest.mark.parametrize(("told", "charged"), [("3.5", "10"), ("9.5", "12"), ("12", "12")])
def test_seconds_are_rounded_up_as_the_price_says(served, upstream, told, charged):
    upstream.json = {"text": "", "duration": float(told)}
    ask(served, response_format="verbose_json", file=sound(float(told)))
    generation = wait_for("metered")
    assert generation.cost == Decimal("0.000105") * Decimal(charged)
    assert not generation.is_flagged
    assert receipt(served, generation) == {"second": Decimal(charged)}


def test_a_translation_is_asked_for_at_its_own_path_and_never_as_events(served, upstream):
    paths = []

    async def noted(request):
        paths.append(request.path)
        return web.json_response(upstream.json)

    upstream.handler = noted
    assert ask(served, "translations").status_code == 200
    assert paths == ["/v1/audio/translations"]
    for more in ({"stream": "true"}, {"response_format": "diarized_json"}):
        refused = ask(served, "translations", **more)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, next(iter(more)))


def test_what_cannot_be_counted_is_held_by_its_bytes(served, upstream):
    upstream.json = {"text": "", "usage": {"type": "duration", "seconds": 25}}
    ask(served, file=b"no sound at all " * 25)
    generation = wait_for("metered")
    assert (generation.bound, generation.cost) == (Decimal("0.004305"), Decimal("0.002625"))  # 400 bytes at 10 a second


ODD = [
    ({"file": b""}, "file"),
    ({"file": "a text"}, "file"),
    ({"file": [SOUND, SOUND]}, "file"),
    ({"model": ""}, "model"),
    ({"model": ["openai/m", "openai/m"]}, "model"),
    ({"Model": "openai/dear"}, "Model"),
    ({"model[]": ["openai/dear"]}, "model[]"),
    ({"model[id]": "openai/dear"}, "model[id]"),
    ({"response_format": "wav"}, "response_format"),
    ({"stream": "yes"}, "stream"),
    ({"stream[]": ["true"]}, "stream[]"),
    ({"response-format": "text"}, "response-format"),
    ({"audio_url": "https://elsewhere.example/a.mp3"}, "audio_url"),
    ({"url": "https://elsewhere.example/a.mp3"}, "url"),
    ({"fallbacks": "x"}, "fallbacks"),
    ({"fallbacks[]": ["x"]}, "fallbacks[]"),
    ({"api_base": "https://elsewhere.example"}, "api_base"),
    ({"language": ["de", "en"]}, "language"),
    ({"prompt": b"a file"}, "prompt"),
    ({"other": b"a file"}, "other"),
    ({"prompt": "x" * 300_000}, "prompt"),
    ({"extra[a]": "x"}, "extra[a]"),
]


def test_a_field_that_servers_might_read_otherwise_is_refused_before_a_hold(served, upstream):
    for asked, param in ODD:
        answer = ask(served, **asked)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "validation_error"), (asked, answer.text)
        assert answer.json()["error"]["param"].partition("[")[0] == param.partition("[")[0], asked
    assert not upstream.calls
    assert not Generation.objects.exists()


def test_json_is_no_form(served):
    answer = served.client.post("/v1/audio/transcriptions", json={"model": "openai/m", "file": "x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("price", [{"input": "1", "output": "2"}, {"input": "1"}, {"character": "1"}])
def test_a_model_for_something_else_is_refused(served, price):
    answer = ask(served)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")

"""Speech: sound as bytes and as events, by characters and by tokens."""

import asyncio
import threading
import time
from base64 import b64encode
from decimal import Decimal

import httpx2 as httpx
import orjson
import pytest
from aiohttp import web

from chuizi.asgi import gateway as process
from proxy.models import Upstream
from proxy.prices.loading import load_catalog
from proxy.settlement.metering import Unwritten
from tests.proxy.conftest import Gateway, catalog, wait_for
from tests.upstream import FakeUpstream, stream

SOUND = bytes(range(256)) * 100
BY_CHARACTER, BY_TOKEN = {"character": "15"}, {"input": "1", "output_audio": "12"}
DONE = {"type": "speech.audio.done", "usage": {"input_tokens": 4, "output_tokens": 50, "total_tokens": 54}}
SAID = {"model": "openai/m", "input": "Grüße 🦀", "voice": "alloy"}
"""Seven characters."""


def event(said: dict) -> bytes:
    return b"data: " + orjson.dumps(said) + b"\n\n"


def delta(piece: bytes) -> bytes:
    return event({"type": "speech.audio.delta", "audio": b64encode(piece).decode()})


EVENTS = [delta(SOUND[:9000]), delta(SOUND[9000:]), event(DONE)]


@pytest.fixture
def price() -> dict[str, str]:
    return BY_CHARACTER


@pytest.fixture
def served(gateway: Gateway, upstream: FakeUpstream, price: dict[str, str]) -> Gateway:
    async def sound(request: web.Request) -> web.StreamResponse:
        if upstream.calls[-1].get("stream_format") == "sse":
            return await stream(request, upstream.events)
        return web.Response(body=SOUND, content_type="audio/mpeg")

    upstream.handler, upstream.events = sound, list(EVENTS)
    load_catalog(catalog(upstream, price=price, max_output_tokens=None))
    gateway.look_at_catalog()
    return gateway


def ask(gateway: Gateway, **more):
    return gateway.client.post("/v1/audio/speech", json={**SAID, **more})


def test_sound_goes_on_as_it_comes_and_each_character_is_charged(served, upstream):
    answer = ask(served, response_format="mp3", speed=0.5)
    assert (answer.content, answer.headers["content-type"]) == (SOUND, "audio/mpeg")
    assert upstream.calls == [{**SAID, "model": "m-at-upstream", "response_format": "mp3", "speed": 0.5}]
    generation = wait_for("metered")
    assert generation.cost == generation.bound == Decimal("0.00011025")  # 7 x 15 a million, and the margin
    assert (generation.usage_source, generation.is_flagged) == ("upstream", False)
    told = served.client.get("/v1/generation", params={"id": answer.headers["x-generation-id"]}).json()["data"]
    assert [(line["unit"], Decimal(line["quantity"])) for line in told["line_items"]] == [("character", 7)]


@pytest.mark.parametrize("price", [BY_TOKEN], ids=["tokens"])
def test_by_tokens_sound_is_charged_at_a_fair_count_of_its_text(served):
    assert ask(served).content == SOUND
    generation = wait_for("metered")
    assert generation.usage_source == "estimated"
    assert (generation.input_tokens, generation.output_tokens) == (4, 22)  # 4 letters and 3 that are not ASCII
    assert 0 < generation.cost < generation.bound


@pytest.mark.parametrize("price", [BY_TOKEN], ids=["tokens"])
def test_events_tell_their_tokens_and_the_last_one_its_cost(served):
    answer = ask(served, stream_format="sse")
    assert answer.text.encode().startswith(EVENTS[0] + EVENTS[1])
    last = answer.text.removeprefix((EVENTS[0] + EVENTS[1]).decode())
    assert last.startswith("event: speech.audio.done\ndata: ")
    said = orjson.loads(last.split("data: ")[1])
    generation = wait_for("metered")
    assert generation.cost == Decimal("0.0006342")  # 4 at 1 and 50 at 12 a million, and the margin
    assert said["usage"] == {**DONE["usage"], "cost": float(generation.cost)}
    assert said["x_chuizi"]["generation_id"] == generation.pk
    assert (generation.usage_source, generation.streamed, generation.is_flagged) == ("upstream", True, False)


@pytest.mark.parametrize("price", [BY_CHARACTER, BY_TOKEN], ids=["characters", "tokens"])
@pytest.mark.parametrize(
    ("events", "status", "reason"),
    [
        ([*EVENTS[:2]], 200, "upstream_eof"),
        ([EVENTS[0], b'data: {"type":"error","error":{"message":"no"}}\n\n'], 200, "upstream_error"),
        ([EVENTS[0], b'event: error\ndata: {"message":"no"}\n\n'], 200, "upstream_error"),
        ([EVENTS[0], 5.0, *EVENTS[1:]], 200, "timeout"),
        ([], 502, "upstream_eof"),
        ([b"data: {not json\n\n"], 502, "upstream_eof"),
        ([b'data: {"error":{"message":"no"}}\n\n'], 502, "upstream_error"),
    ],
)
def test_events_that_break_off_cost_nothing_and_say_so(served, upstream, events, status, reason):
    upstream.events = events
    answer = ask(served, stream_format="sse")
    assert answer.status_code == status
    if status == 200:
        said = orjson.loads(answer.text.strip().rpartition("data: ")[2])
        assert (said["type"], said["error"]["type"]) == ("error", "api_error")
        assert "speech.audio.done" not in answer.text
    generation = wait_for("metered" if status == 200 else "released")
    assert (generation.cost or 0, generation.settlement_reason) == (0, reason)


def test_garbage_among_events_is_not_relayed(served, upstream):
    upstream.events = [EVENTS[0], b"data: {not json\n\n<html>\n\n: hello\n\n", *EVENTS[1:], b"data: [DONE]\n\n"]
    answer = ask(served, stream_format="sse")
    assert "not json" not in answer.text
    assert answer.text.encode().startswith(EVENTS[0] + EVENTS[1])


def test_an_upstream_that_answers_in_json_failed(served, upstream):
    async def failed(request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": "too busy"}})

    upstream.handler = failed
    assert ask(served, stream_format="sse").status_code == 502
    assert wait_for("released").cost in (None, 0)


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b'{"error":{"message":"too busy","type":"server_error"}}', "application/json", 502),
        (b'{"error":{"message":"bad words","code":"content_filter"}}', "application/json", 400),
        (b"<html>", "text/html", 502),
        (b"not json", "application/json", 502),
        (b"", "audio/mpeg", 502),
    ],
)
def test_what_is_no_sound_is_an_error_and_costs_nothing(served, upstream, body, kind, status):
    async def failed(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type=kind)

    upstream.handler = failed
    answer = ask(served)
    assert (answer.status_code, answer.json()["error"]["type"]) == (
        status,
        "api_error" if status == 502 else "invalid_request_error",
    )
    assert wait_for("released").cost in (None, 0)


def test_the_end_waits_for_the_usage_to_be_written_and_is_cut_where_it_cannot_be(served, monkeypatch):
    async def away(*args, **kwargs):
        raise Unwritten

    monkeypatch.setattr(process._metering, "write", away)
    heard: list[bytes] = []
    with (
        served.client.stream("POST", "/v1/audio/speech", json=SAID) as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        heard.extend(answer.iter_bytes())
    assert b"".join(heard) == SOUND[:-4096]


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": ["a"]}, "input"),
        ({"instructions": 7}, "instructions"),
        ({"speed": 0.1}, "speed"),
        ({"speed": "1"}, "speed"),
        ({"stream_format": "wav"}, "stream_format"),
        ({"stream": True}, "stream"),
        ({"fallbacks": ["x"]}, "fallbacks"),
    ],
)
def test_what_cannot_be_held_is_refused(served, upstream, more, param):
    answer = ask(served, **more)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert not upstream.calls


def test_a_model_without_a_price_for_sound_is_refused_with_the_units_named(served, upstream):
    load_catalog(catalog(upstream))
    served.look_at_catalog()
    answer = ask(served)
    assert answer.status_code == 400
    assert "`character` or `output_audio`" in answer.json()["error"]["message"]
    assert not upstream.calls


def leave_in_the_midst(gateway: Gateway, upstream: FakeUpstream) -> None:
    """Hang up once the first sound has come; the upstream has more to say."""
    went = threading.Event()

    async def slowly(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "audio/mpeg"})
        await response.prepare(request)
        await response.write(SOUND[:9000])
        await asyncio.to_thread(went.wait, 10)
        await response.write(SOUND[9000:])
        return response

    upstream.handler = slowly
    with gateway.client.stream("POST", "/v1/audio/speech", json=SAID) as answer:
        next(answer.iter_bytes())
    time.sleep(0.5)  # the gateway hears of it
    went.set()


def test_who_leaves_in_the_midst_pays_for_what_was_asked(served, upstream):
    leave_in_the_midst(served, upstream)
    generation = wait_for("metered")
    assert (generation.settlement_reason, generation.cost) == ("client_disconnected", Decimal("0.00011025"))


def test_who_leaves_one_that_does_not_bill_it_pays_nothing(served, upstream):
    Upstream.objects.update(bills_abandoned=False)
    served.look_at_catalog()
    leave_in_the_midst(served, upstream)
    assert wait_for("released").settlement_reason == "client_disconnected"


@pytest.mark.parametrize("price", [BY_CHARACTER, BY_TOKEN], ids=["characters", "tokens"])
@pytest.mark.parametrize("reason", ["upstream_eof", "timeout"])
def test_sound_that_breaks_off_is_cut_and_costs_nothing(served, upstream, reason):
    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "audio/mpeg", "Content-Length": str(len(SOUND))})
        await response.prepare(request)
        await response.write(SOUND[:9000])
        await asyncio.sleep(5 if reason == "timeout" else 0.1)
        request.transport.close()
        return response

    upstream.handler = half
    heard: list[bytes] = []
    with (
        served.client.stream("POST", "/v1/audio/speech", json=SAID) as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        heard.extend(answer.iter_bytes())
    assert SOUND.startswith(b"".join(heard))
    generation = wait_for("metered")
    assert (generation.settlement_reason, generation.cost) == (reason, 0)

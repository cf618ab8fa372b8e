"""The seam between the gateway and a protocol, by endpoints of other shapes than chat's."""

from collections.abc import Iterator
from decimal import Decimal

import httpx2 as httpx
import pytest
from aiohttp import web

from billing.models import Hold, Wallet
from proxy.gateway import routes
from proxy.gateway.routes import Routes
from proxy.models import PATHS, SPOKEN, Generation
from proxy.prices import catalog as catalogs
from proxy.prices.loading import load_catalog
from proxy.settlement.settle import settle_all
from tests.conftest import NOW
from tests.proxy.conftest import Gateway
from tests.proxy.protocols.seam.toys import KEYS, TOYS, ToyChat, ToyUpstream, ToyVerb

FORM = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n%b\r\n--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n--b--\r\n'  # noqa: E501


@pytest.fixture
def toys() -> Iterator[ToyUpstream]:
    server = ToyUpstream()
    yield server
    server.stop()


@pytest.fixture
def other() -> Iterator[ToyUpstream]:
    server = ToyUpstream()
    yield server
    server.stop()


@pytest.fixture
def served(gateway: Gateway, toys: ToyUpstream, other: ToyUpstream, monkeypatch) -> Gateway:
    """The toys' paths beside chat's, and models for them: by tokens, by the second, by the request, elsewhere."""
    monkeypatch.setattr("chuizi.asgi.ROUTES", Routes([toy() for toy in TOYS]))
    monkeypatch.setattr(catalogs, "SPOKEN", frozenset({"openai", "anthropic"}))
    monkeypatch.setattr("proxy.prices.loading.SPOKEN", frozenset({"openai", "anthropic"}))
    upstreams = [
        {"name": "toys", "protocol": "openai", "base_url": toys.url, "account": "mine", "priority": 2},
        {"name": "other", "protocol": "anthropic", "base_url": other.url, "api_key": "sk-other", "priority": 1},
    ]
    tokens = {"billing": "per_token", "input": "10", "output": "40"}
    load_catalog(
        {
            "upstreams": upstreams,
            "models": [
                {"id": "toy/words", "upstreams": ["toys"], "price": tokens},
                {"id": "toy/both", "upstreams": ["other", "toys"], "price": tokens},
                {"id": "toy/ears", "upstreams": ["toys"], "price": {"billing": "per_second", "second": "0.001"}},
                {"id": "toy/voice", "upstreams": ["toys"], "price": {"billing": "per_request", "request": "0.02"}},
            ],
        }
    )
    gateway.look_at_catalog()
    return gateway


def json(**said: object) -> web.Response:
    return web.json_response(said)


def charged() -> tuple[str, Decimal]:
    settle_all(now=NOW)
    [found] = Generation.objects.all()
    [hold] = Hold.objects.all()
    assert (found.state, hold.state, hold.captured) == ("settled", "captured", found.cost)
    assert Wallet.objects.get().bonus == 10 - found.cost
    return found.model.slug, found.cost


def test_json_to_json_is_held_sent_in_its_form_and_told_its_cost(served, toys):
    toys.answers["/toy"] = json(words="hi", used={"in": 3, "out": 5}, no="n1")
    answer = served.client.post("/toy/chat", json={"model": "toy/words", "say": "hello", "most": 7})
    assert answer.status_code == 200, answer.text
    [(method, path, body, headers)] = toys.asked
    assert (method, path, body) == ("POST", "/toy", b'{"name":"words","most":7,"say":"hello"}')
    assert headers["X-Toy-Key"] == KEYS["X-Toy-Key"]
    assert "Authorization" not in headers
    slug, cost = charged()
    assert (slug, answer.json()["cost"]) == ("toy/words", f"{cost:f}")
    assert answer.json()["id"] == answer.headers["x-generation-id"]


def test_json_to_events_ends_with_its_own_mark(served, toys):
    toys.answers["/toy"] = [b'data: {"word":"a"}\n\n', b'data: {"word":"b"}\n\ndata: {"used":{"in":3,"out":2}}\n\n']
    answer = served.client.post("/toy/chat", json={"model": "words", "say": "x", "stream": True})
    _slug, cost = charged()
    end = f'data: {{"cost":"{cost:f}"}}\n\nevent: over\ndata: {{}}\n\n'
    assert answer.text == 'data: {"word":"a"}\n\ndata: {"word":"b"}\n\n' + end


def test_a_form_to_plain_text_is_billed_by_the_second(served, toys):
    toys.answers["/hear"] = web.Response(text="what was said", headers={"X-Seconds": "7"})
    answer = served.client.post(
        "/toy/hear", content=FORM % b"toy/ears", headers={"Content-Type": "multipart/form-data"}
    )
    assert (answer.status_code, answer.text) == (200, "what was said")
    assert answer.headers["content-type"].startswith("text/plain")
    assert toys.asked[0][3]["Content-Type"].startswith("multipart/form-data")
    assert charged() == ("toy/ears", Decimal("0.00735"))  # with the margin of 5 %


def test_json_to_bytes_is_billed_by_the_request(served, toys):
    sound = bytes(range(256)) * 400
    toys.answers["/speak"] = web.Response(body=sound, content_type="audio/mpeg")
    answer = served.client.post("/toy/speak", json={"model": "toy/voice", "say": "x"})
    assert (answer.content, answer.headers["content-type"]) == (sound, "audio/mpeg")
    assert charged() == ("toy/voice", Decimal("0.021"))


def test_model_and_verb_stand_in_the_path(served, toys):
    toys.answers["/toy"] = json(words="la", used={"in": 1, "out": 1})
    assert served.client.post("/toy/models/toy%2Fwords:sing").status_code in (200, 404)  # as servers read %2F
    answer = served.client.post("/toy/models/words:sing")
    assert (answer.status_code, answer.json()["words"]) == (200, "la")
    assert b'"verb":"sing"' in toys.asked[-1][2]
    refused = served.client.post("/toy/models/words:shout")
    assert (refused.status_code, refused.json()) == (400, {"toy_error": "validation_error", "status": 400})


def test_what_is_free_is_held_for_by_nobody(served, toys):
    toys.answers["/count"] = json(n=12)
    answer = served.client.post("/toy/count", json={"model": "toy/words", "say": "x"})
    assert (answer.status_code, answer.json()) == (200, {"counted": 12})
    assert not Generation.objects.exists()
    assert not Hold.objects.exists()


def test_an_id_goes_to_the_account_that_knows_it_without_a_body(served, toys, other):
    toys.answers["/things/7"] = json(thing=7)
    answer = served.client.get("/toy/things/mine-7")
    assert (answer.status_code, answer.json()) == (200, {"thing": 7})
    assert toys.asked[0][:3] == ("GET", "/things/7", b"")
    assert served.client.get("/toy/things/theirs-7").status_code == 503
    assert (len(toys.asked), other.asked) == (1, [])
    wrong = served.client.post("/toy/things/mine-7")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "DELETE, GET")


def test_an_upstream_of_another_protocol_is_spoken_to_in_its_own(served, toys, other):
    other.answers["/elsewhere"] = json(text="hallo", tokens=[3, 5])
    answer = served.client.post("/toy/translated", json={"model": "toy/both", "say": "hello"})
    assert answer.json()["words"] == "hallo"
    [(_method, _path, body, headers)] = other.asked
    assert (body, headers["X-Other-Key"], toys.asked) == (b'{"prompt":"hello"}', "sk-other", [])
    assert charged()[0] == "toy/both"


def test_hints_that_a_route_does_not_know_are_told_in_headers_and_on_the_receipt(served, toys, other):
    other.answers["/elsewhere"] = json(text="hallo", tokens=[3, 5])
    answer = served.client.post("/toy/translated", json={"model": "toy/both", "say": "hello"})
    assert answer.headers["x-chuizi-ignored"] == "tone, user"
    told = served.client.get("/v1/generation", params={"id": answer.headers["x-generation-id"]}).json()["data"]
    assert (told["removed"], told["ignored"]) == ([], ["tone", "user"])
    free = served.client.post("/toy/count-elsewhere", json={"model": "toy/both", "say": "hello"})
    assert (free.status_code, free.headers["x-chuizi-ignored"]) == (200, "tone, user")
    assert "x-chuizi-ignored" not in served.client.post("/toy/translated", json={"model": "both", "say": "x"}).headers


def test_after_a_failover_the_hints_are_those_of_the_route_that_answered(served, toys, other):
    other.answers["/elsewhere"] = web.Response(text="no JSON")
    toys.answers["/toy"] = json(words="hi", used={"in": 3, "out": 5})
    answer = served.client.post("/toy/translated", json={"model": "toy/both", "say": "hello"})
    assert (answer.json()["words"], len(other.asked)) == ("hi", 1)
    assert "x-chuizi-ignored" not in answer.headers
    assert Generation.objects.get().left_out is None


def test_where_the_first_speaks_nothing_of_ours_the_next_is_asked(served, toys, other):
    toys.answers["/toy"] = json(words="hi", used={"in": 3, "out": 5})
    answer = served.client.post("/toy/chat", json={"model": "toy/both", "say": "hello"})
    assert (answer.json()["words"], other.asked) == ("hi", [])


def test_errors_before_an_answer_and_in_it_look_as_the_endpoint_has_them(served, toys):
    for body, status in ((b"{", 400), (b'{"model":"no","say":"x"}', 404), (b'{"model":"toy/ears","say":"x"}', 400)):
        answer = served.client.post("/toy/chat", content=body)
        assert (answer.status_code, answer.json()["status"]) == (status, status)
    toys.answers["/toy"] = web.json_response({"message": "no"}, status=400)
    assert served.client.post("/toy/chat", json={"model": "words", "say": "x"}).json()["toy_error"]
    nobody = httpx.post(f"{served.url}/toy/chat", json={})
    assert (nobody.status_code, nobody.json()["toy_error"]) == (401, "invalid_api_key")


def test_the_table_of_routes_takes_each_path_and_method_once():
    table = Routes([ToyChat(), ToyVerb()])
    found = table.find("/toy/models/a b:say")
    assert found is not None
    assert dict(found.place) == {"model": "a b", "verb": "say"}
    assert table.find("/toy/models/a/b:say") is None
    assert table.find("/toy/chat/") is None
    with pytest.raises(ValueError, match="taken"):
        table.add(ToyChat())


def test_what_the_catalog_takes_is_what_is_spoken():
    assert routes.ROUTES.spoken() == SPOKEN
    assert routes.ROUTES.asked() <= set(PATHS)

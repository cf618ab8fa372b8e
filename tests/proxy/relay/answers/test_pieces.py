"""A long answer goes on as it comes: the same value wherever it is cut, its end kept back, its usage found wherever."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import pairwise
from unittest import mock

import httpx2 as httpx
import orjson
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from chuizi.asgi import gateway as process
from proxy.prices.loading import load_catalog
from proxy.protocols.base import Manner
from proxy.relay.answers import pieces as module
from proxy.relay.answers.pieces import KEPT, Pieces
from tests.proxy.conftest import catalog, wait_for

SCALARS = st.none() | st.booleans() | st.integers(-9, 10**15) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(max_size=60) | st.sampled_from(['a\\"]}', "\\", "\\\\", '"', "[{", "x" * 90])
VALUES = st.recursive(SCALARS | TEXTS, lambda of: st.lists(of, max_size=6) | st.dictionaries(TEXTS, of, max_size=4))
NAMES = st.sampled_from(["data", "usage", "cost", "model", "x_chuizi", "object", 'a"b', "\u00e9\\"])


def cut(raw: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(place % (len(raw) + 1) for place in cuts), len(raw)]
    return [raw[a:b] for a, b in pairwise(places)]


@given(
    said=st.dictionaries(NAMES, VALUES, max_size=8),
    cuts=st.lists(st.integers(0, 2000), max_size=8),
    indent=st.sampled_from([0, orjson.OPT_INDENT_2]),
)
def test_wherever_it_is_cut_the_same_goes_on_but_for_what_is_ours(said, cuts, indent):
    with mock.patch.object(module, "KEPT", 40):
        pieces, out = Pieces(Manner("gen-ours", "asked"), usage="usage"), b""
        for piece in cut(orjson.dumps(said, option=indent), cuts):
            pieces.feed(piece)
            out += pieces.ready()
        assert pieces.is_complete
        out += pieces.ending({"usage": b'{"ours":1}'})
    small = {name: value for name, value in said.items() if len(orjson.dumps(value, option=indent)) <= 20}
    kept = {name: value for name, value in said.items() if name not in ("usage", "cost", "x_chuizi", "model")}
    found = orjson.loads(out)
    assert found["usage"] == {"ours": 1} or "usage" not in small
    assert {name: found[name] for name in kept} == kept
    assert not {"cost", "x_chuizi"} & found.keys() & small.keys()
    assert "model" not in small or found["model"] == "asked"


@pytest.mark.parametrize(
    "raw", [b"[1]", b"x", b'{"a":1}x', b"{1:2}", b'{"a":1 "b":2}', b'{"a":nope}', b'{"a":,}', b'{"a":"b"]']
)
def test_what_is_no_object_is_refused(raw):
    with pytest.raises(ValueError, match=r".+"):
        Pieces(Manner("gen-ours"), usage="usage").feed(raw)


def test_what_is_kept_is_bounded():
    pieces, size = Pieces(Manner("gen-ours"), usage="usage"), 0
    pieces.feed(b'{"data":[')
    for _ in range(200):
        pieces.feed(b'"' + b"x" * 30_000 + b'",')
        size += len(pieces.ready())
        assert len(pieces._rest) <= KEPT + 30_003
        assert pieces._size <= 2 * KEPT
    pieces.feed(b'"x"]}')
    assert (pieces.is_complete, pieces.answer["data"].items) == (True, 201)
    assert size + len(pieces.ending({})) == len(b'{"data":["x"]}') + 200 * 30_003
    with pytest.raises(ValueError, match="too many members"):
        Pieces(Manner("gen-ours"), usage="usage").feed(b"{" + b'"a":"%b",' % (b"x" * 50_000) * 30)


VECTORS = [{"object": "embedding", "index": at, "embedding": [0.125, -0.5] * 5_000} for at in range(25)]
USED = {"prompt_tokens": 8, "total_tokens": 8, "cost": 0.1}
ASKED = {"model": "openai/m", "input": ["a", "b"]}


@pytest.fixture
def served(gateway, upstream):
    load_catalog(catalog(upstream, price={"input": "10"}))
    gateway.look_at_catalog()
    return gateway


@pytest.mark.parametrize("place", [0, 1, 3], ids=["usage first", "behind one", "last"])
@pytest.mark.parametrize("plain", [False, True], ids=["", "plain"])
def test_vectors_go_on_as_they_come_and_are_charged_by_their_usage(served, upstream, place, plain):
    members = [("object", "list"), ("data", VECTORS), ("model", "theirs"), ("cost", 5)]
    upstream.json = dict([*members[:place], ("usage", USED), *members[place:]])
    answer = served.client.post("/v1/embeddings", json=ASKED, headers={"X-Chuizi-Body": "plain"} if plain else {})
    assert len(answer.content) > 1_000_000
    assert "content-length" not in answer.headers
    generation, said = wait_for("metered"), answer.json()
    assert generation.cost == Decimal("0.000084")
    shown = {"prompt_tokens": 8, "total_tokens": 8}
    told = {"object": "list", "data": VECTORS, "model": "theirs", "usage": shown}
    if not plain:
        assert said.pop("x_chuizi")["generation_id"] == generation.pk == answer.headers["x-generation-id"]
        assert said["usage"].pop("cost") == float(generation.cost)
        told["model"] = "openai/m"
    assert said == told


def test_the_beginning_is_there_before_the_end_has_come_and_the_end_after_meter(served, upstream):
    go_on, loop = asyncio.Event(), []
    begun = b'{"object":"list","data":[' + b",".join([b"[%b0]" % (b"0," * 500_000)] * 2)

    async def slowly(request):
        loop.append(asyncio.get_running_loop())
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(begun)
        await go_on.wait()
        await response.write(b'],"usage":{"prompt_tokens":3}}')
        return response

    upstream.handler = slowly
    with served.client.stream("POST", "/v1/embeddings", json=ASKED) as response:
        said, heard = response.iter_raw(), 0
        while heard < len(begun) - KEPT:
            heard += len(next(said))
        assert wait_for("held").metered_at is None
        loop[0].call_soon_threadsafe(go_on.set)
        rest = b"".join(said)
    assert heard + len(rest) > len(begun)
    assert rest.endswith(b'"cost":"0.00003150"}}')
    assert wait_for("metered").input_tokens == 3


@pytest.mark.parametrize(
    "end", [b"", b'],"error":{"message":"it broke"}}', b"]}}", b'],"usage":nope}'], ids=["", "error", "more", "no JSON"]
)
def test_what_breaks_off_is_cut_and_costs_nothing(served, upstream, end):
    async def broken(request):
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(b'{"usage":{"prompt_tokens":3},"data":[' + b"0," * 1_000_000 + b"[0]" + end)
        return response

    upstream.handler = broken
    with pytest.raises(httpx.RemoteProtocolError):
        served.client.post("/v1/embeddings", json=ASKED)
    generation = wait_for("metered")
    assert (generation.cost, generation.usage_source) == (0, "none")


def test_a_long_error_is_no_answer_and_one_of_unknown_form_is_read_whole(served, upstream):
    upstream.json = {"error": {"message": "no"}, "data": VECTORS}
    assert served.client.post("/v1/embeddings", json=ASKED).status_code == 502
    upstream.json = {"extra": "x" * 1_100_000, "data": [VECTORS[0]], "usage": USED}
    answer = served.client.post("/v1/embeddings", json=ASKED)
    assert (answer.status_code, answer.json()["data"]) == (200, [VECTORS[0]])


def test_pictures_of_a_long_answer_are_counted(gateway, upstream):
    load_catalog(catalog(upstream, price={"image": "0.04"}))
    gateway.look_at_catalog()
    upstream.json = {"created": 1, "data": [{"b64_json": "QUJD" * 300_000}, {"b64_json": '\\"[' * 200_000}]}
    answer = gateway.client.post("/v1/images/generations", json={"model": "m", "prompt": "a crab", "n": 2})
    assert answer.json()["data"] == upstream.json["data"]
    assert wait_for("metered").cost == Decimal("0.084")


def test_ten_answers_of_30_mb_at_once_take_little_memory(served, upstream):
    vector, budget = b"[%b0]," % (b"0.125," * 10_000), process._client.answers.left
    count, all_there = 30_000_000 // len(vector), threading.Barrier(10)

    async def many(request):
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(b'{"data":[')
        for _ in range(count):
            await response.write(vector)
        await response.write(b'[0]],"usage":{"prompt_tokens":3}}')
        return response

    def read(_at: int) -> int:
        size = 0
        with httpx.stream("POST", f"{served.url}/v1/embeddings", json=ASKED, headers=headers, timeout=60) as response:
            all_there.wait(30)
            for piece in response.iter_raw():
                size += len(piece)
        return size

    upstream.handler, headers = many, {"Authorization": f"Bearer {served.key}"}
    before = peak()
    with ThreadPoolExecutor(10) as pool:
        sizes = set(pool.map(read, range(10)))
    assert min(sizes) > count * len(vector)
    assert peak(reset=False) - before < 60_000
    assert process._client.answers.left == budget


def peak(*, reset: bool = True) -> int:
    """The most memory of this process since it was last reset, in kB."""
    if reset:
        with open("/proc/self/clear_refs", "w") as refs:
            refs.write("5")
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

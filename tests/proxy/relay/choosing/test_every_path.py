"""On every path an upstream that fails before its first byte is replaced, under one hold or none where it is free."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web

from billing.models import Hold
from proxy.models import Generation, Upstream
from proxy.prices.loading import load_catalog
from tests.gateways import free_port
from tests.proxy.conftest import PRICE, catalog
from tests.proxy.protocols.kin.table import COHERE, EMBEDDINGS, JINA, PICTURES, SPEECH
from tests.spoken import ALL, CHAT, GENERATE, MESSAGES, RESPONSES, Spoken
from tests.upstream import FakeUpstream

PLAIN = {"price": {"input": "10"}}
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
CONTENT = {"content": {"parts": [{"text": "hello"}]}}
VECTOR = {"values": [0.25, -0.5]}


@dataclass(frozen=True)
class Path:
    """`told` is the upstream's answer; bytes are sound."""

    path: str
    asked: dict[str, Any]
    told: Any
    spoken: Spoken = CHAT
    price: dict[str, Any] | None = None
    is_free: bool = False
    is_stream: bool = False


def of_spoken(spoken: Spoken, *, stream: bool) -> Path:
    return Path(spoken.place(stream=stream), spoken.body(stream=stream), spoken.told, spoken, is_stream=stream)


def at(verb: str) -> str:
    return GENERATE.path.replace("generateContent", verb)


KIN = [Path(kin.path, kin.sent, kin.told, price=kin.price) for kin in (EMBEDDINGS, COHERE, JINA)]
PATHS = [
    *(of_spoken(spoken, stream=stream) for spoken in ALL for stream in (False, True)),
    *KIN,
    Path(SPEECH.path, SPEECH.sent, b"sound" * 100, price=SPEECH.price),
    Path(PICTURES.path, PICTURES.sent, {"created": 1, "data": [{"b64_json": "AA=="}] * 2}, price=PICTURES.price),
    Path(
        "/v1/moderations",
        {"model": "openai/m", "input": "hello"},
        {"id": "modr-1", "results": [{"flagged": False}]},
        price={"request": "0"},
        is_free=True,
    ),
    Path(
        "/v1/responses/compact",
        {"model": "openai/m", "input": "hello"},
        {"id": "resp_1", "object": "response.compaction", "output": [], "usage": RESPONSES.told["usage"]},
        RESPONSES,
    ),
    Path(
        "/v1/responses/input_tokens",
        {"model": "openai/m", "input": "hello"},
        {"object": "response.input_tokens", "input_tokens": 5},
        RESPONSES,
        is_free=True,
    ),
    Path("/v1/messages/count_tokens", MESSAGES.asked, {"input_tokens": 5}, MESSAGES, is_free=True),
    Path(at("countTokens"), CONTENTS, {"totalTokens": 5}, GENERATE, is_free=True),
    Path(at("embedContent"), CONTENT, {"embedding": VECTOR}, GENERATE, price={"input": "10"}),
    Path(
        at("batchEmbedContents"),
        {"requests": [{"model": "models/openai/m", **CONTENT}]},
        {"embeddings": [VECTOR]},
        GENERATE,
        price={"input": "10"},
    ),
]


async def hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def page(request: web.Request) -> web.StreamResponse:
    return web.Response(text="<html>not found</html>", content_type="text/html")


def refusing(status: int) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": "no"}}, status=status)

    return refuse


FAULTS = {
    **{str(status): refusing(status) for status in (302, 401, 404, 429, 503)},
    "hang up": hang_up,
    "page": page,
}


@pytest.fixture
def without_cooldown(settings):
    """Asked for before the gateway: else what failed three times is not asked any more."""
    settings.UPSTREAM_FAILURES = 0


@pytest.mark.parametrize("asked", PATHS, ids=lambda one: one.path.partition("?")[0] + (" stream" * one.is_stream))
def test_a_failing_upstream_is_replaced(without_cooldown, gateway, asked, request):
    first, second = (FakeUpstream(asked.spoken.protocol, json=asked.told, events=asked.spoken.stream) for _ in range(2))
    request.addfinalizer(first.stop)
    request.addfinalizer(second.stop)

    async def sound(request: web.Request) -> web.StreamResponse:
        return web.Response(body=asked.told, content_type="audio/mpeg")

    if isinstance(asked.told, bytes):
        second.handler = sound
    load_catalog(catalog(first, second=second, price=asked.price or PRICE))
    gateway.look_at_catalog()
    count = 0
    for name, fault in [*FAULTS.items(), ("not there", None)]:
        first.handler = fault
        if fault is None:
            Upstream.objects.filter(name="first").update(base_url=f"http://127.0.0.1:{free_port()}/v1")
            gateway.look_at_catalog()
        answer = gateway.client.post(asked.path, json=asked.asked)
        count += 1
        assert (answer.status_code, len(second.calls)) == (200, count), (name, answer.text)
        assert len(first.calls) == (count if fault is not None else count - 1)
        assert "x-should-retry" not in answer.headers
        assert "sk-first-upstream-key" not in str(second.headers)
    held = 0 if asked.is_free else count
    assert (Hold.objects.count(), Generation.objects.count()) == (held, held)
    assert not Generation.objects.exclude(state="metered").exists()

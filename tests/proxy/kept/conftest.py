"""A gateway that serves toys before two upstreams of one protocol, each an account of its own."""

from collections.abc import Iterator

import pytest

from proxy.gateway.routes import Routes
from proxy.prices.loading import load_catalog
from tests.proxy.conftest import Gateway
from tests.proxy.kept.toys import TOYS
from tests.proxy.protocols.seam.toys import ToyUpstream

TOKENS = {"billing": "per_token", "input": "10", "output": "40"}


@pytest.fixture
def one() -> Iterator[ToyUpstream]:
    server = ToyUpstream()
    yield server
    server.stop()


@pytest.fixture
def other() -> Iterator[ToyUpstream]:
    server = ToyUpstream()
    yield server
    server.stop()


def catalog(one: ToyUpstream, other: ToyUpstream) -> dict[str, object]:
    """`toy/words` at both; `toy/other` at the other alone."""
    upstreams = [
        {"name": "one", "protocol": "openai", "base_url": one.url, "account": "mine"},
        {"name": "two", "protocol": "openai", "base_url": other.url, "priority": 2},
    ]
    for upstream in upstreams:
        upstream |= {"timeout_seconds": 2, "total_timeout_seconds": 20}
    models = [
        {"id": "toy/words", "upstreams": ["one", "two"], "price": TOKENS, "context_window": 100_000},
        {"id": "toy/other", "upstreams": ["two"], "price": TOKENS},
    ]
    return {"upstreams": upstreams, "models": models}


@pytest.fixture
def served(gateway: Gateway, one: ToyUpstream, other: ToyUpstream, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    monkeypatch.setattr("chuizi.asgi.ROUTES", Routes([toy() for toy in TOYS]))
    load_catalog(catalog(one, other))
    gateway.look_at_catalog()
    return gateway

"""A gateway with the demo catalog's models, before the sandbox."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chuizi.local.demo import EMBEDDING, load_models, models_beside_chat
from proxy.prices.loading import load_catalog
from tests.conftest import NOW
from tests.proxy.conftest import Gateway, customer, gateway
from tests.sandbox_server import SandboxServer
from tests.spoken import CHAT, Spoken

__all__ = ["customer", "gateway"]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    server = SandboxServer(state=Path(tmp_path_factory.mktemp("sandbox")))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def spoken() -> Spoken:
    return CHAT


@pytest.fixture
def upstream(sandbox: SandboxServer) -> SimpleNamespace:
    return SimpleNamespace(url=sandbox.upstream_url, protocol="openai")


@pytest.fixture
def demo(gateway: Gateway, sandbox: SandboxServer) -> Gateway:
    """With all models of a first `make run`."""
    load_models(url=sandbox.upstream_url, now=NOW)
    gateway.look_at_catalog()
    return gateway


@pytest.fixture
def served(gateway: Gateway, upstream: Any) -> Gateway:
    there = {"base_url": upstream.url, "api_key": "sk-upstream-sandbox"}
    upstreams = [
        {"name": "sandbox", "protocol": "openai", **there},
        {"name": "sandbox-anthropic", "protocol": "anthropic", **there},
        {"name": "sandbox-gemini", "protocol": "gemini", **there},
    ]
    price = {"input": "3", "output": "15", "cache_read": "0.3", "cache_write": "3.75", "cache_write_1h": "6"}
    claude = {"id": "anthropic/claude-sonnet-4-6", "upstreams": ["sandbox-anthropic"], "price": price}
    gemini = {
        "id": "google/gemini-2.5-flash",
        "upstreams": ["sandbox-gemini"],
        "price": {"input": "0.3", "output": "2.5"},
    }
    nano = {"id": "openai/gpt-4.1-nano", "upstreams": ["sandbox"], "price": {"input": "0.10", "output": "0.40"}}
    load_catalog(
        {"upstreams": upstreams, "models": [claude, gemini, nano, EMBEDDING, *models_beside_chat(upstream="sandbox")]}
    )
    gateway.look_at_catalog()
    return gateway

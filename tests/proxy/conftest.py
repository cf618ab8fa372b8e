"""A real gateway: uvicorn in a thread, on the test database, before scripted upstreams."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2 as httpx
import pytest
import uvicorn
from django.db import connections

from accounts import keys
from accounts.models import Customer
from proxy.loading import load_catalog
from proxy.models import Generation
from proxy.settlement import settle_all
from tests.conftest import NOW
from tests.upstream import FakeUpstream

PRICE = {"billing": "per_token", "input": "10", "output": "40", "cache_read": "2.5"}


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    server = FakeUpstream()
    yield server
    server.stop()


@pytest.fixture
def second_upstream() -> Iterator[FakeUpstream]:
    server = FakeUpstream()
    yield server
    server.stop()


def catalog(upstream: FakeUpstream, *, second: FakeUpstream | None = None, **model: Any) -> dict[str, Any]:
    """`openai/m`, 10 and 40 USD per million: a token in and out costs 0.0000105 and 0.000042 with the margin."""
    upstreams = [{"name": "first", "protocol": "openai", "base_url": upstream.url, "api_key": "sk-first-upstream-key"}]
    if second is not None:
        upstreams.append({"name": "second", "protocol": "openai", "base_url": second.url, "priority": 2})
    for item in upstreams:
        item |= {"timeout_seconds": 2, "total_timeout_seconds": 20}
    return {
        "upstreams": upstreams,
        "models": [
            {
                "id": "openai/m",
                "upstreams": [item["name"] for item in upstreams],
                "upstream_model": "m-at-upstream",
                "max_output_tokens": 1000,
                "price": PRICE,
                **model,
            }
        ],
    }


class Gateway:
    """The server under test and a client of it."""

    def __init__(self, port: int, key: str) -> None:
        self.key = key
        self.url = f"http://127.0.0.1:{port}"
        self.client = httpx.Client(base_url=self.url, timeout=30, headers={"Authorization": f"Bearer {key}"})

    def chat(self, **body: Any) -> httpx.Response:
        headers = body.pop("headers", None)
        message = {"model": "openai/m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 100}
        return self.client.post("/v1/chat/completions", json={**message, **body}, headers=headers)

    def stream(self, **body: Any) -> Any:
        headers = body.pop("headers", None)
        message = {"model": "openai/m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 100}
        asked = {"stream": True, **message, **body}
        return self.client.stream("POST", "/v1/chat/completions", json=asked, headers=headers)


@pytest.fixture
def customer(transactional_db: None, make_customer: Callable[..., Customer]) -> Customer:
    return make_customer("10")


@pytest.fixture
def gateway(customer: Customer, upstream: FakeUpstream, settings: Any) -> Iterator[Gateway]:
    """Serving `openai/m` of `upstream` to a customer with 10 USD of bonus."""
    settings.DRAIN_SECONDS = 1
    load_catalog(catalog(upstream))
    issued = keys.issue(customer=customer, name="test", now=NOW)
    from chuizi.asgi import application

    config = uvicorn.Config(application, port=0, log_level="warning", access_log=False, timeout_graceful_shutdown=3)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started and time.monotonic() < deadline and thread.is_alive():
        time.sleep(0.01)
    assert server.started, "the gateway did not start"
    client = Gateway(server.servers[0].sockets[0].getsockname()[1], issued.text)
    yield client
    client.client.close()
    server.should_exit = True
    thread.join(15)
    connections.close_all()


def only_generation() -> Generation:
    [generation] = Generation.objects.all()
    return generation


def wait_for(state: str, *, seconds: float = 5) -> Generation:
    """The one generation, once it is in that state."""
    deadline = time.monotonic() + seconds
    while (generation := Generation.objects.first()) is None or generation.state != state:
        assert time.monotonic() < deadline, f"{generation and generation.state}, not {state}"
        time.sleep(0.02)
    return generation


def settle() -> None:
    settle_all(now=NOW)

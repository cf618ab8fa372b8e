"""A real gateway: uvicorn in a thread, on the test database, before scripted upstreams."""

import itertools
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx2 as httpx
import pytest
from django.db import connections

from accounts.keys import issuing
from accounts.models import Customer
from billing import receivers
from billing.books import holds
from billing.models import Hold
from proxy.ids import new_generation_id
from proxy.models import Generation, Model, Price
from proxy.prices.loading import load_catalog
from proxy.settlement.settle import settle_all
from tests.catalog_rows import load_first
from tests.conftest import NOW
from tests.serving import Server
from tests.spoken import CHAT, Spoken
from tests.upstream import FakeUpstream

PRICE = {"billing": "per_token", "input": "10", "output": "40", "cache_read": "2.5"}


@pytest.fixture
def upstream(spoken: Spoken) -> Iterator[FakeUpstream]:
    server = spoken.upstream()
    yield server
    server.stop()


@pytest.fixture
def second_upstream(spoken: Spoken) -> Iterator[FakeUpstream]:
    server = spoken.upstream()
    yield server
    server.stop()


def catalog(upstream: FakeUpstream, *, second: FakeUpstream | None = None, **model: Any) -> dict[str, Any]:
    """`openai/m`, 10 and 40 USD per million: a token in and out costs 0.0000105 and 0.000042 with the margin."""
    first = {"name": "first", "protocol": upstream.protocol, "base_url": upstream.url}
    upstreams: list[dict[str, Any]] = [{**first, "api_key": "sk-first-upstream-key"}]
    if second is not None:
        upstreams.append({"name": "second", "protocol": second.protocol, "base_url": second.url, "priority": 2})
    for item in upstreams:
        item |= {"timeout_seconds": 2, "total_timeout_seconds": 20}
        item |= {"paths": list(paths)} if (paths := getattr(upstream, "paths", ())) else {}
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

    def __init__(self, port: int, key: str, server: Server | None = None, *, spoken: Spoken = CHAT) -> None:
        self._server = server
        self.spoken = spoken
        self.key = key
        self.url = f"http://127.0.0.1:{port}"
        self.client = httpx.Client(base_url=self.url, timeout=30, headers={"Authorization": f"Bearer {key}"})

    def chat(self, **body: Any) -> httpx.Response:
        headers = body.pop("headers", None)
        return self.client.post(self.spoken.path, json={**self.spoken.asked, **body}, headers=headers)

    def stream(self, **body: Any) -> Any:
        headers = body.pop("headers", None)
        asked = self.spoken.body(stream=True, **body)
        return self.client.stream("POST", self.spoken.place(stream=True), json=asked, headers=headers)

    def look_at_catalog(self) -> None:
        """Now; by itself it does each second."""
        from chuizi.asgi import gateway

        assert self._server is not None
        self._server.run_there(gateway._look_at_catalog())


@pytest.fixture
def customer(transactional_db: None, make_customer: Callable[..., Customer]) -> Customer:
    return make_customer("10")


@pytest.fixture
def gateway(customer: Customer, upstream: FakeUpstream, spoken: Spoken, settings: Any) -> Iterator[Gateway]:
    """Serving `openai/m` of `upstream` to a customer with 10 USD of bonus."""
    settings.DRAIN_SECONDS = 1
    load_first(catalog(upstream))
    with pytest.MonkeyPatch.context() as patch:  # what programs are shown of a key takes longer than to make it
        patch.setattr(receivers, "record", lambda *args, **kwargs: None)
        issued = issuing.issue(customer=customer, name="test", now=NOW)
    from chuizi.asgi import application

    server = Server(application, log_level="warning", access_log=False, timeout_graceful_shutdown=3).start()
    client = Gateway(server.port, issued.text, server, spoken=spoken)
    yield client
    client.client.close()
    server.stop()
    connections.close_all()


@pytest.fixture
def make_generation(customer: Customer, key: Any) -> Callable[..., Generation]:
    """A function: a request with a hold, metered at `cost` unless that is None."""
    first = {"name": "u", "protocol": "openai", "base_url": "http://127.0.0.1:1/v1"}
    model = {"id": "openai/m", "upstreams": ["u"], "price": {"input": "10", "output": "40"}}
    load_catalog({"upstreams": [first], "models": [model]})

    numbers = itertools.count()

    def make(
        *,
        cost: str | None,
        held: str = "1",
        bound: str = "1",
        lease_id: int | None = None,
        at: datetime = NOW,
    ) -> Generation:
        generation_id = new_generation_id(int(at.timestamp() * 10**9) + next(numbers) * 10**6)
        holds.place(customer_id=customer.pk, key=generation_id, kind=Hold.Kind.REQUEST, amount=Decimal(held), now=at)
        metered = {} if cost is None else {"state": "metered", "cost": Decimal(cost), "metered_at": at}
        return Generation.objects.create(
            pk=generation_id,
            customer=customer,
            key=key.key,
            model=Model.objects.get(),
            price=Price.objects.get(),
            lease_id=lease_id,
            protocol="openai",
            streamed=False,
            bound=Decimal(bound),
            held=Decimal(held),
            created_at=at,
            usage_source="upstream" if cost is not None else "none",
            **metered,
        )

    return make


def only_generation() -> Generation:
    [generation] = Generation.objects.all()
    return generation


def wait_for(state: str, *, seconds: float = 15) -> Generation:
    """The one generation, once it is in that state."""
    deadline = time.monotonic() + seconds
    while (generation := Generation.objects.first()) is None or generation.state != state:
        assert time.monotonic() < deadline, f"{generation and generation.state}, not {state}"
        time.sleep(0.02)
    return generation


def settle() -> None:
    settle_all(now=NOW)

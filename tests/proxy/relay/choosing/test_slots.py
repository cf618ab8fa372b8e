"""An upstream has so many requests at once as it takes, of all gateways together; what is beyond goes elsewhere."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from aiohttp import web
from django.db.models.functions import Now

from proxy.models import Generation, Lease, Upstream
from proxy.prices.loading import load_catalog
from proxy.relay.choosing.slots import Slots
from proxy.settlement import lease
from tests.gateways import free_port
from tests.proxy.conftest import catalog, wait_for
from tests.proxy.metrics_text import metric
from tests.proxy.relay.choosing.test_cooldown import destination
from tests.spoken import CHAT, MESSAGES, each_protocol
from tests.upstream import FakeUpstream, asks_stream, stream


@pytest.mark.parametrize(("limit", "gateways", "share"), [(1, 1, 1), (10, 3, 4), (9, 3, 3), (1, 5, 1)])
def test_a_process_has_its_share_of_the_limit_rounded_up(limit, gateways, share):
    slots, place = Slots(), replace(destination("a"), max_concurrency=limit)
    slots.gateways = gateways
    assert [slots.take(place) for _ in range(share + 1)] == [True] * share + [False]
    slots.give_back("a")
    assert slots.take(place)
    assert not slots.take(place)
    assert slots.take(replace(destination("b"), max_concurrency=1))


def test_gateways_are_counted_by_leases_that_are_renewed(db):
    own = lease.take()
    for age in (1, 14, 16, 120):
        Lease.objects.create(started_at=Now(), renewed_at=Now() - timedelta(seconds=age), host="another")
    assert lease.live() == 3
    Lease.objects.exclude(pk=own).delete()
    assert lease.live() == 1


@pytest.fixture
def limited(gateway, upstream, second_upstream) -> Callable[..., None]:
    """A function: sell `openai/m` of `first`, which takes two at once, and of `second`."""

    def sell(*, alone: bool = False) -> None:
        data = catalog(upstream, second=None if alone else second_upstream)
        data["upstreams"][0] |= {"max_concurrency": 2, "timeout_seconds": 1}
        load_catalog(data)
        gateway.look_at_catalog()

    return sell


class Slow:
    """An upstream's handler that answers when `go` is set, and before begins with these events."""

    def __init__(self, server: FakeUpstream, begun: Sequence[bytes] = ()) -> None:
        self.server = server
        self.begun = begun
        self.go = threading.Event()
        server.handler = self

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        if self.begun:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            await response.write(b"".join(self.begun))
            await self._gone()
            await response.write(b"".join(self.server.events))
            return response
        await self._gone()
        if asks_stream(request, self.server.calls[-1]):
            return await stream(request, self.server.events)
        return web.json_response(self.server.json)

    async def _gone(self) -> None:
        while not self.go.is_set():
            await asyncio.sleep(0.01)

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 10
        while len(self.server.calls) < count:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def taken() -> int:
    from chuizi.asgi import gateway

    return gateway._client.slots.taken["first"]


def none_is_taken() -> bool:
    deadline = time.monotonic() + 10
    while taken() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not taken()


@pytest.mark.parametrize("spoken", [CHAT, MESSAGES], ids=str)
def test_what_is_beyond_goes_to_the_next(gateway, upstream, second_upstream, limited, spoken):
    limited()
    slow = Slow(upstream)
    with ThreadPoolExecutor(3) as threads:
        first = [threads.submit(gateway.chat) for _ in range(2)]
        slow.wait_for(2)
        assert gateway.chat().status_code == 200
        assert (len(upstream.calls), len(second_upstream.calls), taken()) == (2, 1, 2)
        assert "sk-first-upstream-key" not in str(second_upstream.headers)
        slow.go.set()
        assert [one.result().status_code for one in first] == [200, 200]
    assert none_is_taken()
    assert gateway.chat().status_code == 200
    assert len(upstream.calls) == 3
    assert metric(gateway, "chuizi_upstream_full_total", upstream="first") >= 1


@pytest.mark.parametrize("spoken", [CHAT, MESSAGES], ids=str)
def test_where_all_are_full_it_is_503_at_once_and_its_hold_goes_back(gateway, upstream, limited, spoken):
    limited(alone=True)
    slow = Slow(upstream)
    with ThreadPoolExecutor(2) as threads:
        first = [threads.submit(gateway.chat) for _ in range(2)]
        slow.wait_for(2)
        refused = gateway.chat()
        assert refused.status_code == 503
        assert spoken.code_of(refused.json()) == spoken.code("provider_unavailable")
        assert refused.headers["retry-after"] == "1"
        wait_for_states(held=2, released=1)
        slow.go.set()
        assert [one.result().status_code for one in first] == [200, 200]
    assert none_is_taken()
    assert gateway.chat().status_code == 200


def wait_for_states(**counts: int) -> None:
    deadline = time.monotonic() + 10
    while {state: Generation.objects.filter(state=state).count() for state in counts} != counts:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@each_protocol
def test_a_stream_counts_to_its_end_and_one_that_is_drained_too(gateway, upstream, limited, spoken):
    limited(alone=True)
    slow, upstream.events = Slow(upstream, spoken.begun), list(spoken.ending)
    with gateway.stream() as answer:
        next(answer.iter_bytes())
        assert taken() == 1
        with gateway.stream() as second:
            next(second.iter_bytes())
            assert taken() == 2
            assert gateway.chat().status_code == 503
    assert taken() == 2  # both callers are gone, and their upstream works on
    slow.go.set()
    assert none_is_taken()


@pytest.mark.parametrize("how", [400, 429, 500, "garbage", "hang up", "silent", "not there"])
def test_none_is_left_taken_however_it_ends(gateway, upstream, second_upstream, limited, how):
    limited()

    async def handler(request: web.Request) -> web.StreamResponse:
        if how == "garbage":
            return web.Response(text="<html>", content_type="text/html")
        if how == "hang up":
            assert request.transport is not None
            request.transport.close()
        await asyncio.sleep(1.5 if how == "silent" else 0)
        return web.Response()

    if isinstance(how, int):
        upstream.status = how
    elif how == "not there":
        Upstream.objects.filter(name="first").update(base_url=f"http://127.0.0.1:{free_port()}/v1")
        gateway.look_at_catalog()
    else:
        upstream.handler = handler
    assert gateway.chat().status_code == (400 if how == 400 else 200)
    assert none_is_taken()


@pytest.mark.parametrize("spoken", [MESSAGES], ids=str)
def test_a_request_without_a_hold_takes_one_too(gateway, upstream, second_upstream, limited, spoken):
    limited()
    slow = Slow(upstream)
    upstream.json = second_upstream.json = {"input_tokens": 5}
    with ThreadPoolExecutor(2) as threads:

        def count() -> int:
            return gateway.client.post("/v1/messages/count_tokens", json=spoken.asked).status_code

        first = [threads.submit(count) for _ in range(2)]
        slow.wait_for(2)
        assert count() == 200
        assert (len(upstream.calls), len(second_upstream.calls)) == (2, 1)
        slow.go.set()
        assert [one.result() for one in first] == [200, 200]
    assert none_is_taken()


def test_the_share_shrinks_when_another_gateway_is_there(gateway, upstream, second_upstream, limited):
    limited()
    Lease.objects.create(started_at=Now(), renewed_at=Now(), host="another")
    from chuizi.asgi import gateway as process

    gateway._server.run_there(process._renew())
    assert process._client.slots.gateways == 2
    slow = Slow(upstream)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(gateway.chat)
        slow.wait_for(1)
        assert gateway.chat().status_code == 200
        assert (len(upstream.calls), len(second_upstream.calls)) == (1, 1)
        slow.go.set()
        assert first.result().status_code == 200
    wait_for("metered")

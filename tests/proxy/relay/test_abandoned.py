"""A caller hangs up: what its upstream goes on with and bills is learnt and charged, what it does not bill is cut."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

import orjson
import pytest
from aiohttp import web

from billing.models import Wallet
from chuizi.asgi import gateway as application
from proxy.batches.timeouts import timeout
from proxy.gateway.drains import Drains
from proxy.models import Generation, Upstream
from proxy.prices.loading import load_catalog
from proxy.relay import relay
from tests.faults.conftest import wait_until
from tests.proxy.conftest import catalog, only_generation, wait_for
from tests.spoken import each_protocol
from tests.upstream import asks_stream
from tests.upstream import stream as play

COST = Decimal("0.00042000")


@contextmanager
def asking(gateway, *, stream: bool = False, content: str = "hello", headers: str = "") -> Iterator[socket.socket]:
    """Ask, and hang up at the end of the block."""
    body = orjson.dumps(gateway.spoken.body(content, stream=stream))
    host, port = gateway.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            f"POST {gateway.spoken.place(stream=stream)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gateway.key}\r\n"
            f"Content-Length: {len(body)}\r\n{headers}\r\n".encode()
            + body
        )
        yield connection


def slow(upstream, seconds: float, *, status: int = 200, head: bool = False):
    """The upstream answers after so long, its `head` at once; the moments at which its callers hung up."""
    hung_up: list[float] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        if head:
            told = upstream.events if asks_stream(request, body) else [orjson.dumps(upstream.json)]
            return await play(request, [b" ", seconds, *told])
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if request.transport is None or request.transport.is_closing():
                hung_up.append(time.monotonic())
                return web.Response()
            await asyncio.sleep(0.02)
        if status != 200:
            return web.json_response({"error": {"message": "no"}}, status=status)
        return await play(request, upstream.events) if asks_stream(request, body) else web.json_response(upstream.json)

    upstream.handler = handler
    return hung_up


def is_the_prompt_alone(generation: Generation) -> bool:
    """Whether it was charged as the prompt's fair count: no output, and not a token a byte."""
    priced = generation.input_tokens * Decimal("0.0000105")
    return generation.output_tokens == 0 < generation.input_tokens < 40 and generation.cost == priced


def called(upstream) -> None:
    wait_until(lambda: upstream.calls)


@each_protocol
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_a_caller_that_leaves_before_the_upstreams_head_is_charged_what_it_used(gateway, upstream, customer, stream):
    slow(upstream, 1.5)
    with asking(gateway, stream=stream):
        called(upstream)
        time.sleep(0.3)
    generation = wait_for("metered")
    assert (generation.settlement_reason, generation.usage_source) == ("client_disconnected", "upstream")
    assert generation.cost == COST


@each_protocol
def test_a_caller_that_leaves_after_the_upstreams_head_is_charged_what_it_used(gateway, upstream):
    async def head_first(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(b"  ")
        await asyncio.sleep(1.2)
        await response.write(orjson.dumps(upstream.json))
        await response.write_eof()
        return response

    upstream.handler = head_first
    with asking(gateway):
        called(upstream)
        time.sleep(0.4)
    assert wait_for("metered").cost == COST


@each_protocol
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_a_caller_that_has_shut_its_sending_side_alone_gets_the_answer(gateway, upstream, stream):
    slow(upstream, 0.5)
    with asking(gateway, stream=stream) as connection:
        connection.shutdown(socket.SHUT_WR)
        text = b"".join(iter(lambda: connection.recv(65536), b""))
    assert (b"HTTP/1.1 200 OK" in text, b"x_chuizi" in text) == (True, True)
    assert only_generation().settlement_reason == "completed"


def test_an_abandoned_request_counts_as_in_flight_until_its_upstream_is_done(gateway, upstream):
    slow(upstream, 1.2)
    with asking(gateway):
        called(upstream)
    time.sleep(0.4)
    assert only_generation().state == "held"
    assert wait_for("metered").cost == COST


@each_protocol
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_what_stays_unknown_at_the_total_timeout_is_charged_as_the_prompts_fair_count(
    gateway, upstream, customer, stream
):
    Upstream.objects.update(timeout_seconds=1, total_timeout_seconds=1)
    slow(upstream, 8)
    gateway.look_at_catalog()
    with asking(gateway, stream=stream):
        called(upstream)
        time.sleep(0.2)
    generation = wait_for("metered")
    assert (generation.settlement_reason, generation.usage_source) == ("client_disconnected", "estimated")
    assert is_the_prompt_alone(generation)


@each_protocol
@pytest.mark.parametrize(("stream", "head"), [(False, False), (False, True), (True, True)])
def test_a_silence_longer_than_a_caller_would_wait_is_waited_for_once_it_left(gateway, upstream, stream, head):
    Upstream.objects.update(timeout_seconds=1)
    gateway.look_at_catalog()
    slow(upstream, 1.6, head=head)
    with asking(gateway, stream=stream):
        called(upstream)
        time.sleep(0.3)
    assert (wait_for("metered").usage_source, only_generation().cost) == ("upstream", COST)


@each_protocol
def test_a_stream_cut_at_its_total_timeout_is_charged_the_prompt_and_what_was_relayed(gateway, upstream, spoken):
    Upstream.objects.update(timeout_seconds=1, total_timeout_seconds=1)
    upstream.events = [*spoken.begun, 6.0]
    gateway.look_at_catalog()
    with asking(gateway, stream=True) as connection:
        while b"four" not in connection.recv(65536):
            pass
    generation = wait_for("metered")
    assert (generation.settlement_reason, generation.usage_source) == ("client_disconnected", "estimated")
    assert (generation.output_tokens, generation.input_tokens > 0) == (5, True)


@each_protocol
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_an_upstream_that_does_not_bill_what_is_abandoned_is_hung_up_on_at_once(gateway, upstream, customer, stream):
    load(gateway, upstream, bills_abandoned=False)
    hung_up = slow(upstream, 5)
    with asking(gateway, stream=stream):
        called(upstream)
        time.sleep(0.3)
    left = time.monotonic()
    generation = wait_for("released")
    assert (generation.settlement_reason, generation.cost) == ("client_disconnected", 0)
    assert Wallet.objects.get(customer=customer).held == 0
    wait_until(lambda: hung_up)
    assert hung_up[0] - left < 4


@each_protocol
def test_of_a_stream_hung_up_on_what_was_relayed_is_charged(gateway, upstream, spoken):
    load(gateway, upstream, bills_abandoned=False)
    upstream.events = [*spoken.begun, 1.9, *spoken.stream[-3:]]
    with asking(gateway, stream=True) as connection:
        while b"four" not in connection.recv(65536):
            pass
    left = time.monotonic()
    generation = wait_for("metered")
    assert time.monotonic() - left < 1.8
    assert (generation.usage_source, generation.output_tokens) == ("estimated", 5)


def load(gateway, upstream, *, second=None, **fields) -> None:
    told = catalog(upstream, second=second)
    told["upstreams"][0] |= fields
    load_catalog(told)
    gateway.look_at_catalog()


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("failure", ["refuses", "is silent", "breaks off"])
def test_nobody_goes_on_to_the_next_upstream_once_the_caller_left(gateway, upstream, second_upstream, stream, failure):
    load(gateway, upstream, second=second_upstream, timeout_seconds=1, total_timeout_seconds=1)
    if failure == "breaks off":

        async def break_off(request: web.Request) -> web.StreamResponse:
            await asyncio.sleep(0.5)
            request.transport.close()
            return web.Response()

        upstream.handler = break_off
    else:
        slow(upstream, 0.5 if failure == "refuses" else 4, status=500)
    with asking(gateway, stream=stream):
        called(upstream)
        time.sleep(0.2)
    generation = wait_for("metered" if failure == "is silent" else "released")
    assert generation.settlement_reason == "client_disconnected"
    assert (generation.cost > 0) == (failure == "is silent"), "what failed is not charged, what is unknown is"
    time.sleep(0.3)
    assert second_upstream.calls == []


def test_a_caller_that_left_before_its_body_was_written_upstream_is_charged_nothing(gateway, upstream, customer):
    """The upstream accepts the connection and does not read: a large body does not get through."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        told = catalog(upstream)
        told["upstreams"][0] |= {"base_url": f"http://127.0.0.1:{deaf.getsockname()[1]}/v1", "timeout_seconds": 10}
        load_catalog(told)
        Wallet.objects.filter(customer=customer).update(bonus=1000)
        gateway.look_at_catalog()
        with asking(gateway, content="x" * 15_000_000):
            taken, _address = deaf.accept()
            time.sleep(0.5)
        generation = wait_for("released")
        taken.close()
    assert (generation.settlement_reason, generation.cost) == ("client_disconnected", 0)


def test_a_caller_that_left_while_the_upstream_was_not_reached_is_charged_nothing(gateway, upstream):
    with socket.create_server(("127.0.0.1", 0), backlog=1) as full:
        address = full.getsockname()
        waiting = [socket.create_connection(address) for _ in range(2)]  # nobody accepts: the next one hangs
        told = catalog(upstream)
        told["upstreams"][0]["base_url"] = f"http://127.0.0.1:{address[1]}/v1"
        load_catalog(told)
        gateway.look_at_catalog()
        with asking(gateway):
            wait_until(lambda: Generation.objects.exists())
            time.sleep(0.3)
        generation = wait_for("released")
        for connection in waiting:
            connection.close()
    assert (generation.settlement_reason, generation.cost) == ("client_disconnected", 0)


def test_a_caller_that_left_while_it_was_admitted_is_not_sent_on(gateway, upstream, monkeypatch):
    original = relay.Relay.run

    async def late(self):
        await asyncio.sleep(0.5)
        await original(self)

    monkeypatch.setattr(relay.Relay, "run", late)
    with asking(gateway):
        wait_until(lambda: Generation.objects.exists())
    assert wait_for("released").settlement_reason == "client_disconnected"
    assert upstream.calls == []


def test_beyond_the_most_the_one_with_the_least_left_is_cut_and_charged_as_unknown(gateway, upstream, monkeypatch):
    monkeypatch.setattr(application, "_drains", Drains(most=1))
    slow(upstream, 1.8)
    for count in (1, 2):
        with asking(gateway):
            wait_until(lambda count=count: len(upstream.calls) == count)
            time.sleep(0.3)
        time.sleep(0.3)
    wait_until(lambda: Generation.objects.filter(state="metered").count() == 2)
    first, second = Generation.objects.order_by("pk")
    assert (first.usage_source, is_the_prompt_alone(first)) == ("estimated", True)
    assert (second.usage_source, second.cost) == ("upstream", COST)


def test_drains_cut_the_oldest_of_those_with_the_least_left():
    async def run() -> list[int]:
        drains, cut = Drains(most=2), []

        async def wait(number: int, ends_at: float) -> None:
            try:
                with timeout(60) as bound:
                    drains.add(bound, ends_at=ends_at)
                    await asyncio.sleep(5)
            except TimeoutError:
                cut.append(number)

        tasks = []
        for number, ends_at in enumerate((50.0, 10.0, 10.0, 60.0)):
            tasks.append(asyncio.create_task(wait(number, ends_at)))
            await asyncio.sleep(0.25)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return cut

    assert asyncio.run(run()) == [1, 2]


def test_answers_awaited_are_no_drains(gateway, upstream):
    slow(upstream, 0.5)
    caller = threading.Thread(target=gateway.chat)
    caller.start()
    called(upstream)
    time.sleep(0.2)
    assert len(application._drains) == 0
    caller.join()
    with asking(gateway):
        wait_until(lambda: len(upstream.calls) == 2)
    wait_until(lambda: len(application._drains) == 1)
    wait_until(lambda: len(application._drains) == 0)

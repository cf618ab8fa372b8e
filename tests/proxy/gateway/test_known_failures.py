"""What went wrong in gateways like this one, and what happens here instead. Others stand beside what they are about."""

import asyncio
import socket
import time
from datetime import timedelta
from decimal import Decimal

import httpx2 as httpx
import orjson
import pytest
from aiohttp import web
from django.utils import timezone

from accounts.keys import issuing
from billing.books import holds
from billing.models import Hold, Transfer, Wallet
from proxy.admission import writer
from proxy.models import Generation, Lease, Upstream
from proxy.prices.loading import load_catalog
from proxy.settlement import settle as settlement
from tests.conftest import NOW
from tests.gateways import GatewayProcess, ask_many
from tests.proxy.conftest import catalog, only_generation, settle, wait_for
from tests.spoken import each_protocol
from tests.upstream import STREAM, answer, chunk, usage

COST = Decimal("0.00042000")
"""Of 20 tokens in and 5 out."""


@pytest.fixture
def two_processes(customer, upstream):
    load_catalog(catalog(upstream))
    processes = [GatewayProcess(), GatewayProcess()]
    yield [process.wait().url for process in processes]
    for process in processes:
        process.stop()


# --- Overdraft --------------------------------------------------------------------------------------------------------


def test_a_capped_key_of_a_rich_wallet_does_not_overspend_even_in_a_race(two_processes, make_customer):
    """One hold at the bound is 0.00427 USD: each of the requests is held, none trusted, and the cap is never passed."""
    rich = make_customer("10000", name="Rich")
    issued = issuing.issue(customer=rich, name="k", now=NOW, daily_limit=Decimal("0.05"))
    statuses = asyncio.run(ask_many(two_processes, issued.text, 200))
    assert set(statuses) == {200, 403}
    # Holds of settled requests are their costs by now.
    open_holds = sum(Hold.objects.filter(state="open").values_list("amount", flat=True))
    assert open_holds + sum(Hold.objects.values_list("captured", flat=True)) <= Decimal("0.05")
    assert Hold.objects.count() == statuses[200]


def test_a_customers_limit_holds_over_all_its_keys_and_all_processes(two_processes, make_customer):
    busy = make_customer("50", name="Busy")
    busy.rpm_limit = 20
    busy.save(update_fields=["rpm_limit"])
    issued = [issuing.issue(customer=busy, name=name, now=NOW).text for name in "ab"]

    async def ask_with_both():
        return await asyncio.gather(*(ask_many(two_processes, key, 60) for key in issued))

    first, second = asyncio.run(ask_with_both())
    assert first + second == {200: 20, 429: 100}


def test_a_long_stream_cannot_outlive_the_balance_as_all_it_may_cost_is_held_before(gateway, upstream, make_customer):
    """0.05 USD buys 1,190 tokens: the limit that is sent upstream is what the wallet covers."""
    load_catalog(catalog(upstream, max_output_tokens=100_000))
    gateway.look_at_catalog()
    poor = make_customer("0.05", name="Poor")
    headers = {"Authorization": f"Bearer {issuing.issue(customer=poor, name='k', now=NOW).text}"}
    upstream.events = [*STREAM[:-2], chunk(None, usage=usage(completion=1_000_000)), STREAM[-1]]
    body = {"model": "openai/m", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    response = gateway.client.post("/v1/chat/completions", json=body, headers=headers)
    assert response.status_code == 200
    assert 1_000 < upstream.calls[0]["max_tokens"] < 1_190
    settle()
    wallet = Wallet.objects.get(customer=poor)
    assert (0 <= wallet.bonus < Decimal("0.001"), wallet.paid, wallet.held) == (True, 0, 0)
    refused = gateway.client.post("/v1/chat/completions", json=body, headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "insufficient_balance")


# --- Holds that leak --------------------------------------------------------------------------------------------------


def test_leaked_reservations_make_no_phantom_over_budget_errors(gateway, customer):
    """A gateway died with the whole balance held; once swept, the customer spends as before."""
    bad = Generation.objects.create(
        id="gen-000000000000000000000001",
        customer=customer,
        key_id=customer.keys.get().pk,
        model_id=1,
        price_id=1,
        lease_id=10**9,
        protocol="openai",
        streamed=False,
        held=Decimal(10),
        bound=Decimal(10),
        created_at=timezone.now(),
    )
    holds.place(customer_id=customer.pk, key=bad.pk, kind=Hold.Kind.REQUEST, amount=Decimal(10), now=timezone.now())
    assert gateway.chat().status_code == 402
    assert [settlement.sweep(now=timezone.now()) for _ in range(2)] == [1, 0]
    assert gateway.chat().status_code == 200


def test_worst_case_holds_do_not_fill_a_small_budget_at_nearly_nothing_spent(gateway, upstream, make_customer):
    """A caller's own limit bounds its hold: fifty small requests fit into a dollar at once, whatever the model's."""
    load_catalog(catalog(upstream, max_output_tokens=100_000))
    gateway.look_at_catalog()
    small = issuing.issue(customer=make_customer("1", name="Small"), name="k", now=NOW)

    async def slowly(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.5)
        return web.json_response(answer())

    upstream.handler = slowly
    assert asyncio.run(ask_many([gateway.url], small.text, 50)) == {200: 50}


def test_a_poisoned_request_fails_alone(gateway, customer, monkeypatch):
    """One that the database refuses is found by halving; its neighbours in the batch are served."""
    row, poisoned = writer.Writer._row, issuing.issue(customer=customer, name="poisoned", now=NOW)

    def with_poison(self, ask, admitted):
        found = row(self, ask, admitted)
        if ask.policy.key_id == poisoned.key.pk:
            found[6] = "\x00"
        return found

    monkeypatch.setattr(writer.Writer, "_row", with_poison)

    async def ask_both():
        return await asyncio.gather(ask_many([gateway.url], gateway.key, 60), ask_many([gateway.url], poisoned.text, 3))

    fine, bad = asyncio.run(ask_both())
    assert (fine, bad) == ({200: 60}, {500: 3})
    assert Hold.objects.count() == Generation.objects.count() == 60


# --- Streams and disconnects ------------------------------------------------------------------------------------------


def give_up_waiting(gateway, **body) -> None:
    """A client with 0.3 s of patience."""
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{gateway.url}/v1/chat/completions",
            json={"model": "openai/m", "messages": [{"role": "user", "content": "hello"}], **body},
            headers={"Authorization": f"Bearer {gateway.key}"},
            timeout=0.3,
        )


def test_a_client_that_times_out_without_a_stream_is_not_served_for_free(gateway, upstream):
    async def slowly(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.6)
        return web.json_response(answer())

    upstream.handler = slowly
    give_up_waiting(gateway, max_tokens=100)
    generation = wait_for("metered")
    assert (generation.settlement_reason, generation.usage_source) == ("client_disconnected", "upstream")
    assert generation.cost == COST


def test_a_cancelled_stream_does_not_log_zero_spend(gateway, upstream):
    """The upstream never tells its usage: what was relayed is billed, marked as estimated, with the prompt."""
    Upstream.objects.update(total_timeout_seconds=2)
    gateway.look_at_catalog()
    upstream.events = [*STREAM[:4], 5.0, *STREAM[4:]]
    with gateway.stream() as response:
        assert "three" in "".join(_until(response, "three"))
    generation = wait_for("metered")
    assert (generation.settlement_reason, generation.usage_source) == ("client_disconnected", "estimated")
    assert min(generation.input_tokens, generation.output_tokens, generation.cost) > 0


def _until(response, word: str):
    for text in response.iter_text():
        yield text
        if word in text:
            return


def test_a_client_gone_after_the_last_byte_is_a_completed_request(gateway, upstream):
    with gateway.stream() as response:
        assert response.read().endswith(b"data: [DONE]\n\n")
    generation = only_generation()
    assert (generation.state, generation.settlement_reason, generation.cost) == ("metered", "completed", COST)


@each_protocol
def test_a_slow_reader_holds_its_upstream_back_instead_of_filling_the_gateways_memory(gateway, upstream, spoken):
    """Of a stream of 50 MB the upstream gets rid of what sockets and one chunk take, until the client reads on."""
    sent = 0
    big = spoken.word("x" * 100_000)

    async def pour(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in spoken.opening:
            await response.write(event)
        for _ in range(500):
            await response.write(big)
            sent += len(big)
        for event in spoken.ending:
            await response.write(event)
        return response

    upstream.handler = pour
    body = orjson.dumps(spoken.body(stream=True))
    host, port = gateway.url.removeprefix("http://").split(":")
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        client.settimeout(20)
        client.connect((host, int(port)))
        client.sendall(
            f"POST {spoken.place(stream=True)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gateway.key}\r\n"
            f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        before = -1
        while before != sent or not sent:  # until nothing moves
            before = sent
            time.sleep(0.5)
        assert sent < 20_000_000
        seen, tail = 0, b""
        while piece := client.recv(1_000_000):
            seen += len(piece)
            tail = (tail + piece)[-200:]
    assert seen > 50_000_000
    assert spoken.last in tail
    assert wait_for("metered").settlement_reason == "completed"


def test_a_stream_of_fifteen_minutes_keeps_its_hold_as_long_as_its_gateway_lives(gateway, upstream):
    """Sweepers go by leases: a quarter of an hour later by the clock the hold of a living process is left alone."""
    upstream.events = [*STREAM[:2], 0.8, *STREAM[2:]]
    with gateway.stream() as response:
        pieces = response.iter_text()
        next(pieces)
        long_ago = timezone.now() - timedelta(minutes=15)
        Generation.objects.update(created_at=long_ago)
        Lease.objects.update(started_at=long_ago)  # and renewed, as the process does every five seconds
        assert settlement.sweep(now=timezone.now()) == 0
        assert only_generation().state == "held"
        assert "".join(pieces).endswith("data: [DONE]\n\n")
    assert (only_generation().state, only_generation().cost) == ("metered", COST)


# --- Prices -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_one_call_is_logged_and_charged_once(gateway, upstream, stream):
    if stream:
        with gateway.stream() as response:
            response.read()
    else:
        gateway.chat()
    for _ in range(3):
        settle()
    assert Generation.objects.count() == Transfer.objects.filter(kind="usage_bonus").count() == 1

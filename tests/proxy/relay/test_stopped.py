"""A stream was ended for want of balance: what its upstream writes on is charged to nobody."""

import asyncio
import threading
from decimal import Decimal

import pytest
from aiohttp import web

from billing.audit.run import audit
from billing.models import Wallet
from chuizi.asgi import gateway as application
from proxy.models import Attempt, Upstream
from proxy.prices.usage import Usage
from proxy.relay.answers.stopped import beyond
from tests.proxy.conftest import only_generation, settle, wait_for
from tests.proxy.relay.windowed import LIMIT, endless, limited, wait_until, with_output, written
from tests.spoken import CHAT, each_protocol
from tests.upstream import stream as play

pytestmark = pytest.mark.usefixtures("small_windows", "long_answers")


def writes_on(upstream, spoken, *, ending) -> threading.Event:
    """The upstream has written far more than the wallet covers, and ends once the event is set."""
    go_on = threading.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = await play(request, written(spoken, 25))
        await asyncio.to_thread(go_on.wait, 10)
        for event in ending:
            await response.write(event)
        return response

    upstream.handler = handler
    return go_on


def attempts() -> list[Attempt]:
    return list(Attempt.objects.all())


@each_protocol
def test_who_bills_what_is_abandoned_is_heard_out_and_the_house_bears_the_rest(gateway, upstream, spoken, poor):
    go_on = writes_on(upstream, spoken, ending=with_output(spoken, 2_900))
    with gateway.stream(**limited(spoken)) as response:
        assert spoken.last in response.read()
    generation = only_generation()
    assert (generation.state, generation.settlement_reason) == ("metered", "insufficient_balance")
    assert gateway.client.get("/v1/key/info").status_code == 200  # nobody waits for the rest, on the same connection
    go_on.set()
    gateway_writes = application._write_attempts
    wait_until(lambda: gateway._server.run_there(gateway_writes()) or attempts())
    [attempt] = attempts()
    assert (attempt.outcome, attempt.is_known) == ("abandoned", True)
    assert attempt.output_tokens == 2_900 - generation.output_tokens
    assert attempt.input_tokens == max(0, 20 - generation.input_tokens)
    settle()
    assert Wallet.objects.get(customer=poor).bonus == Decimal("0.05") - only_generation().cost
    assert only_generation().cost == generation.cost
    assert audit().drifts == []


def test_an_upstream_that_never_ends_is_given_up_with_its_time_and_its_usage_is_unknown(gateway, upstream, poor):
    Upstream.objects.update(total_timeout_seconds=1, timeout_seconds=1)
    gateway.look_at_catalog()
    writes_on(upstream, CHAT, ending=[])
    with gateway.stream(**limited(CHAT)) as response:
        response.read()
    wait_for("metered")
    wait_until(lambda: gateway._server.run_there(application._write_attempts()) or attempts())
    [attempt] = attempts()
    assert (attempt.outcome, attempt.is_known) == ("abandoned", False)


def test_who_does_not_bill_what_is_abandoned_is_hung_up_on(gateway, upstream, poor):
    Upstream.objects.update(bills_abandoned=False)
    gateway.look_at_catalog()
    hung_up = endless(upstream, CHAT)
    with gateway.stream(**limited(CHAT)) as response:
        response.read()
    assert hung_up.wait(5)
    gateway._server.run_there(application._write_attempts())
    assert attempts() == []


def test_a_stream_that_its_limit_ends_has_no_rest(gateway, upstream, spoken):
    upstream.events = [*written(spoken, 25), *with_output(spoken, LIMIT)]
    with gateway.stream(**limited(spoken)) as response:
        response.read()
    gateway._server.run_there(application._write_attempts())
    assert attempts() == []


@pytest.mark.parametrize(
    ("told", "charged", "more"),
    [
        (Usage(20, 2_900), Usage(15, 1_000), Usage(5, 1_900)),
        (Usage(0, 2_900), Usage(15, 1_000), Usage(0, 1_900)),
        (Usage(10, 900), Usage(15, 1_000), Usage()),
        (Usage(20, 9, 5, 0, 0, 3), Usage(20, 4, 5), Usage(0, 5, 0, 0, 0, 3)),
        (Usage(20, 9, more={"web_search": 3}), Usage(20, 9, more={"web_search": 1}), Usage(more={"web_search": 2})),
        (Usage(20, 9, more={"web_search": 1}), Usage(20, 9, more={"web_search": 1}), Usage()),
    ],
)
def test_the_rest_is_what_was_told_beyond_what_was_charged(told, charged, more):
    assert beyond(told, charged) == more

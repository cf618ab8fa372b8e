"""Upstreams that keep failing are left alone for a while; all of it under one hold."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from aiohttp import web

from billing.models import Hold, Wallet
from proxy.models import Generation
from proxy.prices.catalog import Destination
from proxy.prices.loading import load_catalog
from proxy.relay.choosing.cooldown import PROBE_GRACE_SECONDS, Cooldown, Failed
from tests.gateways import free_port
from tests.proxy.conftest import Gateway, catalog, only_generation
from tests.proxy.metrics_text import metric

CHAT, PICTURES = "/v1/chat/completions", "/v1/images/generations"


def destination(host: str, model: str = "m", *, key: str = "") -> Destination:
    return Destination(
        model=f"openai/{model}",
        upstream_id=1,
        upstream=host,
        protocol="openai",
        base_url=f"https://{host}.example",
        api_key=key,
        upstream_model=model,
        timeout=30,
        total_timeout=600,
    )


A, B, A_OTHER = destination("a"), destination("b"), destination("a", "other")


def cooldown(after: int = 3) -> Cooldown:
    return Cooldown(after=after, seconds=5, most=30)


def first(cool: Cooldown, now: float, *destinations: Destination, path: str = CHAT) -> str:
    return cool.order(destinations or (A, B), path, now=now)[0].upstream


def fail(cool: Cooldown, *times: float, to: Destination = A, what: Failed = Failed.ROUTE, path: str = CHAT) -> None:
    for now in times:
        cool.begins(to, path, now=now)
        cool.failed(to, path, now=now, what=what)


def test_failures_in_a_row_make_an_upstream_the_last_one_tried():
    cool = cooldown()
    fail(cool, 0, 1)
    assert first(cool, 1) == "a"
    fail(cool, 2)
    assert [d.upstream for d in cool.order((A, B), CHAT, now=2)] == ["b", "a"]


def test_an_answer_in_between_begins_the_count_anew():
    cool = cooldown()
    fail(cool, 0, 1)
    cool.answered(A, CHAT)
    fail(cool, 2, 3)
    assert first(cool, 3) == "a"


def test_after_the_cool_down_one_request_probes_and_the_others_go_on_skipping():
    cool = cooldown()
    fail(cool, 0, 0, 0)
    assert (first(cool, 4.9), first(cool, 5.0)) == ("b", "a")
    cool.begins(A, CHAT, now=5.0)
    assert first(cool, 5.1) == "b"
    cool.answered(A, CHAT)
    assert first(cool, 5.2) == "a"


def test_a_probe_that_never_ends_lets_another_one_try():
    cool = cooldown()
    fail(cool, 0, 0, 0)
    cool.begins(A, CHAT, now=5.0)
    assert first(cool, 5 + A.timeout + PROBE_GRACE_SECONDS - 1) == "b"
    assert first(cool, 5 + A.timeout + PROBE_GRACE_SECONDS) == "a"


def test_each_failed_probe_doubles_the_time_up_to_the_most():
    cool, now, lasted = cooldown(), 0.0, []
    fail(cool, now, now, now)
    for _ in range(5):
        since = now
        while first(cool, now) == "b":
            now += 0.5
        lasted.append(now - since)
        fail(cool, now)
    assert lasted == [5, 10, 20, 30, 30]


def test_requests_that_fail_together_count_as_one_cool_down():
    cool = cooldown()
    fail(cool, *[0.0] * 200)
    assert first(cool, 5.0) == "a"


def test_a_host_that_cannot_be_reached_stands_for_all_its_models_and_a_failing_model_for_itself():
    cool = cooldown()
    fail(cool, 0, 0, 0)
    assert first(cool, 1, A_OTHER, B) == "a"
    cool = cooldown()
    fail(cool, 0, 0, 0, what=Failed.HOST)
    assert first(cool, 1, A_OTHER, B) == "b"


def test_a_host_that_is_reached_again_is_not_held_to_have_vanished():
    cool = cooldown()
    fail(cool, 0, 0, 0, what=Failed.HOST)
    fail(cool, 5)
    assert first(cool, 6) == "a"


def test_what_fails_at_one_path_is_not_skipped_at_another():
    cool = cooldown()
    fail(cool, 0, 0, 0, path=PICTURES)
    assert (first(cool, 1, path=PICTURES), first(cool, 1)) == ("b", "a")
    cool.answered(A, CHAT)
    assert first(cool, 1, path=PICTURES) == "b"


def test_a_key_that_is_refused_is_skipped_whatever_is_asked_and_no_other_key_with_it():
    cool, second = cooldown(), destination("a", key="sk-second")
    fail(cool, 0, 0, 0, what=Failed.ACCOUNT)
    assert first(cool, 1, A_OTHER, B, path=PICTURES) == "b"
    assert first(cool, 1, second, B) == "a"
    assert first(cool, 1, destination("a", key="sk-corrected"), B) == "a"
    fail(cool, 5, path=PICTURES)
    assert first(cool, 5.1, A_OTHER, B) == "a"  # the probe told nothing of the key
    cool.answered(A_OTHER, CHAT)
    fail(cool, 6, what=Failed.ACCOUNT)
    assert first(cool, 6) == "a"


def test_the_only_upstream_is_always_tried():
    cool = cooldown()
    fail(cool, 0, 0, 0)
    assert list(cool.order((A,), CHAT, now=1)) == [A]
    fail(cool, 0, 0, 0, to=B)
    assert [d.upstream for d in cool.order((A, B), CHAT, now=1)] == ["a", "b"]


def test_zero_failures_switch_it_off():
    cool = cooldown(after=0)
    fail(cool, *[0.0] * 50)
    assert first(cool, 0) == "a"


# --- Over HTTP --------------------------------------------------------------------------------------------------------


@pytest.fixture
def impatient(settings):
    settings.UPSTREAM_COOLDOWN_SECONDS = 1


async def hang(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()


async def hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


def holds_are_clean(customer, *, answered: int) -> None:
    """One hold a request, each given back or metered, none taken twice."""
    assert Generation.objects.count() == answered
    assert Hold.objects.count() == answered
    assert Wallet.objects.get(customer=customer).held == sum(
        Generation.objects.filter(state="metered").values_list("held", flat=True)
    )


@pytest.mark.parametrize("how", [401, 500, 502, 503, 529, "refused", "hang_up", "hang"])
def test_a_failing_upstream_is_skipped_then_probed_then_used_again(
    impatient, customer, gateway: Gateway, upstream, second_upstream, how, settings
):
    data = catalog(upstream, second=second_upstream)
    data["upstreams"][0]["timeout_seconds"] = 1
    if how == "refused":
        data["upstreams"][0]["base_url"] = f"http://127.0.0.1:{free_port()}/v1"
    load_catalog(data)
    gateway.look_at_catalog()
    if how == "hang":
        upstream.handler = hang
    elif how == "hang_up":
        upstream.handler = hang_up
    elif how != "refused":
        upstream.status = how
    for _ in range(3):
        assert gateway.chat().status_code == 200
    tried = len(upstream.calls)
    assert tried == (0 if how == "refused" else 3)
    assert gateway.chat().status_code == 200
    assert len(upstream.calls) == tried
    assert metric(gateway, "chuizi_upstream_cooling", upstream="first") == 1
    kind = {"refused": "connection", "hang_up": "connection", "hang": "timeout"}.get(str(how), str(how))
    assert metric(gateway, "chuizi_upstream_errors_total", upstream="first", model="openai/m", kind=kind) >= 3
    holds_are_clean(customer, answered=4)
    if how == "refused":
        return
    upstream.handler, upstream.status = None, 200
    time.sleep(1.0)
    served = len(second_upstream.calls)
    for _ in range(2):
        assert gateway.chat().status_code == 200
    assert (len(upstream.calls) - tried, len(second_upstream.calls) - served) == (2, 0)
    assert metric(gateway, "chuizi_upstream_cooling", upstream="first") == 0
    holds_are_clean(customer, answered=6)


def test_one_request_probes_while_the_others_are_served_elsewhere(
    impatient, gateway: Gateway, upstream, second_upstream
):
    load_catalog(catalog(upstream, second=second_upstream))
    gateway.look_at_catalog()
    upstream.status = 500
    for _ in range(3):
        gateway.chat()

    async def slowly(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.5)
        return web.json_response({"error": "still broken"}, status=500)

    upstream.handler = slowly
    time.sleep(1.0)
    tried = len(upstream.calls)
    with ThreadPoolExecutor(8) as threads:
        statuses = [answer.status_code for answer in threads.map(lambda _: gateway.chat(), range(8))]
    assert statuses == [200] * 8
    assert len(upstream.calls) - tried == 1


def test_the_only_upstream_is_tried_again_and_again_and_each_failure_gives_its_hold_back_at_once(
    gateway: Gateway, upstream, customer
):
    upstream.status = 500
    for _ in range(6):
        assert gateway.chat().status_code == 502
    assert len(upstream.calls) == 6
    deadline = time.monotonic() + 2
    while Wallet.objects.get(customer=customer).held:
        assert time.monotonic() < deadline, "a hold was not given back"
        time.sleep(0.02)
    assert set(Generation.objects.values_list("state", "settlement_reason")) == {("released", "upstream_error")}
    assert metric(gateway, "chuizi_holds_released_total", reason="upstream_error") >= 6


def test_a_transport_error_returns_the_hold_and_the_retry_takes_no_other(
    gateway: Gateway, upstream, second_upstream, customer
):
    data = catalog(upstream, second=second_upstream)
    data["upstreams"][0]["base_url"] = f"http://127.0.0.1:{free_port()}/v1"
    load_catalog(data)
    gateway.look_at_catalog()
    second_upstream.status = 503
    before = metric(gateway, "chuizi_holds_total")
    response = gateway.chat()
    assert response.status_code == 502
    assert metric(gateway, "chuizi_holds_total") - before == 1
    assert Hold.objects.count() <= 1
    deadline = time.monotonic() + 2
    while Wallet.objects.get(customer=customer).held:
        assert time.monotonic() < deadline, "the hold was not given back"
        time.sleep(0.02)
    assert only_generation().state == "released"


async def head_and_nothing(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await asyncio.sleep(30)
    return response


async def head_and_gone(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    assert request.transport is not None
    request.transport.close()
    return response


EMPTY: dict[str, list[bytes | float]] = {
    "an error": [b'data: {"error": {"message": "overloaded"}}\n\n'],
    "an end": [b": hello\n\n"],
}


@pytest.mark.parametrize("how", ["head_and_nothing", "head_and_gone", *EMPTY])
def test_an_upstream_that_begins_with_200_and_gives_nothing_is_replaced_under_the_same_hold(
    gateway: Gateway, upstream, second_upstream, customer, how
):
    data = catalog(upstream, second=second_upstream)
    data["upstreams"][0]["timeout_seconds"] = 1
    load_catalog(data)
    gateway.look_at_catalog()
    upstream.handler = {"head_and_nothing": head_and_nothing, "head_and_gone": head_and_gone}.get(how)
    upstream.events = EMPTY.get(how, [])
    for tried in (1, 2, 3, 3):  # the fourth request leaves it alone
        with gateway.stream() as response:
            text = response.read().decode()
        assert response.status_code == 200
        assert "one " in text
        assert "error" not in text
        assert len(upstream.calls) == tried
    assert set(Generation.objects.values_list("state", "upstream__name")) == {("metered", "second")}
    holds_are_clean(customer, answered=4)


@pytest.mark.parametrize("garbage", ["not json", {"error": {"message": "overloaded"}}, []])
def test_a_json_answer_that_is_none_is_asked_for_elsewhere(
    gateway: Gateway, upstream, second_upstream, customer, garbage
):
    load_catalog(catalog(upstream, second=second_upstream))
    gateway.look_at_catalog()
    upstream.json = garbage
    assert gateway.chat().json()["choices"][0]["message"]["content"] == "one two three"
    assert (len(upstream.calls), len(second_upstream.calls)) == (1, 1)
    holds_are_clean(customer, answered=1)


def test_nothing_is_asked_for_elsewhere_once_a_byte_was_relayed(gateway: Gateway, upstream, second_upstream):
    load_catalog(catalog(upstream, second=second_upstream))
    gateway.look_at_catalog()
    upstream.events = upstream.events[:3]
    with gateway.stream() as response:
        assert "provider_error" in response.read().decode()
    assert (len(upstream.calls), len(second_upstream.calls)) == (1, 0)

"""`/metrics` after traffic: every family, with labels that stay bounded."""

import time

import httpx2 as httpx
import psycopg
import pytest
from django.utils import timezone
from prometheus_client import CollectorRegistry, Histogram

from accounts.keys import issuing
from proxy.models import Generation
from proxy.prices.loading import load_catalog
from proxy.watch import gauges, metrics
from tests.conftest import NOW
from tests.faults.conftest import wait_until
from tests.gateways import GatewayProcess, url_of_the_test_database
from tests.proxy.conftest import Gateway, catalog
from tests.proxy.metrics_text import families, metric, total


def test_each_family_shows_what_went_through(gateway: Gateway, upstream):
    before = families(gateway).values()
    answered = total(before, "chuizi_requests_total", model="openai/m", status="200")
    failed = total(before, "chuizi_upstream_errors_total", model="openai/m", upstream="first", kind="500")
    holds = total(before, "chuizi_holds_total")
    for _ in range(3):
        assert gateway.chat().status_code == 200
    upstream.status = 500
    assert gateway.chat().status_code == 502
    found = families(gateway)
    after = found.values()
    assert total(after, "chuizi_requests_total", model="openai/m", status="200") - answered == 3
    assert total(after, "chuizi_upstream_errors_total", upstream="first", kind="500") - failed == 1
    assert total(after, "chuizi_upstream_requests_total", model="openai/m", upstream="first") >= 3
    assert total(after, "chuizi_holds_total") - holds == 4
    assert total(after, "chuizi_holds_released_total", reason="upstream_error") >= 1
    for name in ("admission_seconds", "admission_batch", "metering_seconds", "metering_batch"):
        assert total(after, f"chuizi_{name}_count") - total(before, f"chuizi_{name}_count") >= 1, name
        assert total(after, f"chuizi_{name}_bucket", le="+Inf") == total(after, f"chuizi_{name}_count")
    assert total(after, "chuizi_generations_to_settle") == 3
    assert total(after, "chuizi_settlement_lag_seconds") > 0
    assert total(after, "chuizi_gateways_alive") == 1
    for name in (
        "requests_in_flight",
        "admission_queue",
        "release_queue",
        "usage_unwritten",
        "usage_unwritten_seconds",
        "generations_held",
        "oldest_transaction_seconds",
        "oldest_xmin_transactions",
        "upstream_cooling",
    ):
        assert f"chuizi_{name}" in found, name
    assert {line.labels["kind"] for line in found["chuizi_generations_flagged"].samples} == set(gauges.KINDS)


def test_many_at_once_are_told_as_one_by_one():
    bounds, amounts = (0.5, 1, 2), (0.5, 0.1, 1.5, 2.0, 3.0, 0.5000001, 100)
    one, many = CollectorRegistry(), CollectorRegistry()
    histogram = Histogram("seconds", "of it", buckets=bounds, registry=one)
    for amount in amounts:
        histogram.observe(amount)
    metrics.Times("seconds", "of it", buckets=bounds, registry=many).observe_all(amounts)
    samples = [
        [line for family in registry.collect() for line in family.samples if line.name != "seconds_created"]
        for registry in (one, many)
    ]
    assert samples[0] == samples[1] != []


def test_prometheus_is_told_the_format(gateway: Gateway):
    assert gateway.client.get("/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")


def test_a_request_in_flight_is_held_and_counted(gateway: Gateway, upstream):
    upstream.events.insert(2, 2.0)
    with gateway.stream() as response:
        pieces = response.iter_raw()
        next(pieces)
        wait_until(lambda: metric(gateway, "chuizi_requests_in_flight") == 1, seconds=1.5)
        assert metric(gateway, "chuizi_generations_held") == 1
        list(pieces)
    assert metric(gateway, "chuizi_generations_held") == 0


def test_orphans_late_usage_what_the_house_bore_capped_charges_and_quarantine_are_counted_apart(gateway: Gateway):
    for _ in range(6):
        gateway.chat()
    orphan, late, borne, given_up, capped, stuck = Generation.objects.order_by("pk")
    Generation.objects.filter(pk=orphan.pk).update(state="released", metered_at=None, is_flagged=True)
    Generation.objects.filter(pk=late.pk).update(state="released", settled_at=NOW, is_flagged=True)
    Generation.objects.filter(pk=borne.pk).update(state="settled", cost=0, is_flagged=True)
    Generation.objects.filter(pk=given_up.pk).update(state="released", settled_at=timezone.now(), is_flagged=True)
    Generation.objects.filter(pk=capped.pk).update(state="settled", is_flagged=True)
    Generation.objects.filter(pk=stuck.pk).update(state="quarantined", is_flagged=True)
    found = families(gateway).values()
    for kind in gauges.KINDS:
        assert total(found, "chuizi_generations_flagged", kind=kind) == (2 if kind == "uncharged" else 1)


def test_an_old_snapshot_is_seen(gateway: Gateway):
    with psycopg.connect(url_of_the_test_database()) as connection:
        connection.execute("SET idle_in_transaction_session_timeout = 0")
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT 1 FROM proxy_generation")
        for _ in range(3):
            gateway.chat()
        time.sleep(0.3)
        found = families(gateway).values()
    assert total(found, "chuizi_oldest_xmin_transactions") >= 3
    assert total(found, "chuizi_oldest_transaction_seconds") >= 0.3


@pytest.mark.parametrize("name", ["nobody/nothing", "x" * 5000, 'evil"}\n', "openai/M"])
def test_a_model_that_is_unknown_is_no_label(gateway: Gateway, name: str):
    before = metric(gateway, "chuizi_requests_total", model="", status="404")
    known = {line.labels["model"] for line in families(gateway)["chuizi_requests"].samples}
    assert gateway.chat(model=name).status_code == 404
    found = families(gateway)
    assert total(found.values(), "chuizi_requests_total", model="", status="404") == before + 1
    labels = {line.labels["model"] for line in found["chuizi_requests"].samples}
    assert name not in labels
    assert labels <= known | {"", "openai/m", metrics.OTHERS}


def test_a_catalog_that_grows_without_end_grows_no_labels(monkeypatch):
    monkeypatch.setattr(metrics, "_models", set())
    labels = {metrics.model_label(f"p/m{number}") for number in range(metrics.MOST_NAMES * 2)}
    assert len(labels) == metrics.MOST_NAMES + 1
    assert metrics.model_label("p/m0") == "p/m0"
    assert metrics.model_label("p/new") == metrics.OTHERS


@pytest.fixture
def pair(customer, upstream, tmp_path):
    """Two processes as workers of one port have it: one folder of figures."""
    load_catalog(catalog(upstream))
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "ALLOW_PRIVATE_UPSTREAMS": "True"}
    processes = [GatewayProcess(**environment) for _ in range(2)]
    key = issuing.issue(customer=customer, name="test", now=NOW).text
    clients = [Gateway(process.wait().port, key) for process in processes]
    yield list(zip(processes, clients, strict=True))
    for gateway in clients:
        gateway.client.close()
    for process in processes:
        if process.process.poll() is None:
            process.stop()


def test_processes_of_one_port_answer_for_all_of_them_and_the_dead_wait_for_nothing(pair, upstream):
    (first, to_first), (_, to_second) = pair
    for gateway, count in ((to_first, 2), (to_second, 3)):
        for _ in range(count):
            assert gateway.chat().status_code == 200
    for gateway in (to_first, to_second):
        wait_until(lambda at=gateway: metric(at, "chuizi_requests_total", model="openai/m", status="200") == 5)
        assert metric(gateway, "chuizi_holds_total") == 5
        assert metric(gateway, "chuizi_generations_to_settle") == 5
        assert metric(gateway, "chuizi_gateways_alive") == 2
    upstream.events.insert(2, 5.0)
    with to_first.stream() as response:
        pieces = response.iter_raw()
        next(pieces)
        wait_until(lambda: metric(to_second, "chuizi_requests_in_flight") == 1, seconds=3)
        first.kill()
        with pytest.raises(httpx.HTTPError):
            list(pieces)
    # The sockets of a killed process may be gone a moment before its locks are.
    wait_until(lambda: metric(to_second, "chuizi_requests_in_flight") == 0, seconds=3)
    found = families(to_second).values()
    assert total(found, "chuizi_requests_total", model="openai/m", status="200") == 5

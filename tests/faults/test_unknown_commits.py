"""The connection to PostgreSQL breaks while a COMMIT is on its way: whether it happened is found out, not guessed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from billing.models import Hold, Transfer, Wallet
from proxy.admission import queue, writer
from proxy.batches import connections
from proxy.models import Generation
from tests.faults.conftest import wait_until
from tests.proxy.conftest import customer, gateway, settle  # noqa: F401  fixtures
from tests.wiretap import SOCKET, Wiretap

pytestmark = pytest.mark.faults
GRANTED = b"COMMIT\x00"
METERED = b"UPDATE 1\x00"


@pytest.fixture(autouse=True)
def tap(monkeypatch) -> Iterator[Wiretap]:
    """On the gateway's own connections, those of admission and metering."""
    tapped = Wiretap(Path(settings.DATABASES["default"]["HOST"]) / SOCKET)
    straight = connections.conninfo
    monkeypatch.setattr(connections, "conninfo", lambda: {**straight(), "host": tapped.host})
    yield tapped
    tapped.stop()


def test_a_hold_whose_commit_happened_is_served_though_the_answer_was_lost(gateway, upstream, tap):  # noqa: F811
    tap.cut_after = GRANTED
    assert gateway.chat().status_code == 200
    assert tap.cuts == 1
    assert len(upstream.calls) == Hold.objects.count() == Generation.objects.count() == 1


def test_a_hold_whose_commit_never_came_is_503_and_holds_nothing(gateway, upstream, tap, customer):  # noqa: F811
    tap.cut_before = GRANTED  # prepared on first use, so the word itself is sent
    response = gateway.chat()
    assert (response.status_code, response.json()["error"]["code"]) == (503, "provider_unavailable")
    assert tap.cuts == 1
    assert (upstream.calls, Hold.objects.count(), Generation.objects.count()) == ([], 0, 0)
    assert Wallet.objects.get(customer=customer).held == 0
    assert gateway.chat().status_code == 200


def test_a_connection_that_falls_silent_is_given_up(gateway, tap, monkeypatch):  # noqa: F811
    monkeypatch.setattr(writer, "ROUND_TRIP_SECONDS", 0.1)
    tap.is_silent, tap.cut_after = True, GRANTED
    assert gateway.chat().status_code == 200
    assert (tap.cuts, Generation.objects.count()) == (1, 1)


def test_a_hold_that_is_found_when_its_caller_was_told_503_is_given_back(gateway, tap, customer, monkeypatch):  # noqa: F811
    monkeypatch.setattr(queue, "WAIT_SECONDS", 0.2)
    monkeypatch.setattr(writer, "ROUND_TRIP_SECONDS", 0.8)
    tap.is_silent, tap.cut_after = True, GRANTED
    response = gateway.chat()
    assert (response.status_code, response.json()["error"]["code"]) == (503, "provider_unavailable")
    assert response.headers["retry-after"]
    assert Hold.objects.get().state == "open", "committed, and nobody knows it yet"
    wait_until(lambda: Generation.objects.get().state == "released")
    assert Generation.objects.get().settlement_reason == "timeout"
    assert Wallet.objects.get(customer=customer).held == 0
    assert gateway.chat().status_code == 200


def test_usage_whose_commit_is_unknown_is_written_again_and_charged_once(gateway, upstream, tap, customer):  # noqa: F811
    tap.cut_after = METERED
    assert gateway.chat().status_code == 200
    assert tap.cuts == 1
    settle()
    assert Transfer.objects.filter(kind="usage_bonus").count() == 1
    wallet = Wallet.objects.get(customer=customer)
    assert (wallet.held, wallet.bonus) == (0, 10 - Generation.objects.get().cost)


def test_a_stream_whose_usage_meets_a_broken_connection_still_ends_whole(gateway, upstream, tap):  # noqa: F811
    tap.cut_after = METERED
    with gateway.stream() as response:
        text = response.read().decode()
    assert tap.cuts == 1
    assert text.endswith("data: [DONE]\n\n")
    wait_until(lambda: Generation.objects.get().state == "metered")

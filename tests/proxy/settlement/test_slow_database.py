"""PostgreSQL is slow while usage is being written: nothing is lost, nobody waits for ever, nothing new is taken."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from billing.models import Wallet
from proxy.gateway import app as gateway_module
from proxy.models import Generation
from proxy.relay.answers import events
from proxy.settlement import settle
from tests.conftest import NOW
from tests.proxy.conftest import wait_for
from tests.upstream import STREAM


@contextmanager
def row_locked() -> Iterator[threading.Event]:
    """Hold the one generation's row, so that METER has to wait, until the event is set or the block ends."""
    locked, release = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            list(Generation.objects.select_for_update())
            locked.set()
            release.wait(30)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait(5)
    try:
        yield release
    finally:
        release.set()
        holder.join()


def test_a_stream_gets_comments_new_requests_get_503_and_the_usage_is_written_in_the_end(gateway, upstream):
    upstream.events = [*STREAM[:2], 0.5, *STREAM[2:]]
    with gateway.stream() as response:
        pieces = response.iter_raw()
        seen = next(pieces)
        with row_locked() as release:
            while b": waiting" not in seen:
                seen += next(pieces)
            refused = gateway.chat()
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "provider_unavailable")
            assert refused.headers["retry-after"]
            assert b"[DONE]" not in seen
            release.set()
            seen += b"".join(pieces)
    assert b"[DONE]" in seen
    assert wait_for("metered").usage_source == "upstream"
    assert gateway.chat().status_code == 200


def test_usage_that_arrives_after_a_release_is_stored_flagged_and_not_charged(gateway, upstream, customer):
    upstream.events = [*STREAM[:2], 0.6, *STREAM[2:]]
    with gateway.stream() as response:
        pieces = response.iter_raw()
        next(pieces)
        [generation_id] = Generation.objects.values_list("pk", flat=True)
        assert settle.release([generation_id], reason="abandoned", now=NOW) == [generation_id]
        b"".join(pieces)
    time.sleep(0.1)
    generation = Generation.objects.get()
    assert (generation.state, generation.settlement_reason, generation.cost) == ("released", "abandoned", 0)
    assert (generation.output_tokens, generation.is_flagged) == (5, True)
    settle.settle_all(now=NOW)
    assert Wallet.objects.get(customer=customer).bonus == 10


@pytest.fixture(autouse=True)
def _quick_comments(monkeypatch):
    monkeypatch.setattr(events, "COMMENT_AFTER_SECONDS", 0.3)
    monkeypatch.setattr(gateway_module, "STALE_METERING_SECONDS", 0.2)

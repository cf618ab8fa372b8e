"""A gateway is killed while it works on what is to be done once: one hold, one charge, whatever it was at."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx2 as httpx
import pytest
from django.utils import timezone

from billing.models import Transfer
from proxy.models import Generation, Lease, OnceRow
from proxy.settlement import settle
from tests.faults.conftest import wait_until
from tests.gateways import GatewayProcess
from tests.proxy.conftest import Gateway, only_generation
from tests.proxy.once.conftest import KEY, REPLAYED, Gate, ask
from tests.spoken import CHAT

pytestmark = pytest.mark.faults


class Doomed(Gateway):
    """One in a process of its own."""

    def __init__(self, process: GatewayProcess, key: str) -> None:
        super().__init__(process.port, key)
        self.process = process

    def kill(self) -> None:
        self.process.kill()
        Lease.objects.filter(pk=Lease.objects.latest("pk").pk).update(renewed_at=timezone.now() - timedelta(seconds=61))


@pytest.fixture
def doomed(gateway: Gateway) -> Iterator[Doomed]:
    client = Doomed(GatewayProcess().wait(), gateway.key)
    yield client
    client.client.close()


def charges() -> int:
    settle.settle_all(now=timezone.now())
    return Transfer.objects.filter(kind="usage_bonus").count()


def test_a_twin_of_a_killed_gateways_request_is_done_anew_once_that_is_released(gateway, doomed, upstream):
    gate = Gate(upstream, CHAT)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, doomed, stream=True, headers=KEY)
        wait_until(lambda: upstream.calls)
        twin = pool.submit(ask, gateway, stream=True, headers=KEY)
        killed = only_generation()
        doomed.kill()
        with pytest.raises(httpx.TransportError):
            first.result(20)
        upstream.events = list(CHAT.stream)
        assert not twin.done()
        assert settle.sweep(now=timezone.now()) == 1
        answer = twin.result(30)
    gate.open()
    assert "".join(map(CHAT.words_of, CHAT.events_in(answer.text))) == "one two three "
    assert REPLAYED not in answer.headers
    assert OnceRow.objects.get().generation_id != killed.pk
    assert charges() == 1


def test_what_a_killed_gateway_had_charged_is_not_done_again(gateway, doomed, upstream):
    """It was killed after the usage of one answer was written and before the answer was, and after both of another."""
    cut, whole = ({"Idempotency-Key": name} for name in ("cut", "whole"))
    ask(doomed, headers=cut)
    OnceRow.objects.update(status=None, answer=None)
    first = ask(doomed, headers=whole)
    doomed.kill()
    again = ask(gateway, headers=cut)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "answer_not_kept")
    again = ask(gateway, headers=whole)
    assert (again.content, again.headers[REPLAYED]) == (first.content, "true")
    assert charges() == len(upstream.calls) == Generation.objects.count() == 2

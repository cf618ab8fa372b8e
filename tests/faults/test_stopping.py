"""A deploy in the middle of things: SIGTERM, and what becomes of those who are being served."""

import signal
import threading
import time
from collections.abc import Iterator

import httpx2 as httpx
import pytest

from accounts.keys import issuing
from billing.models import Wallet
from proxy.models import Generation
from proxy.prices.loading import load_catalog
from proxy.settlement.settle import settle_all
from tests.conftest import NOW
from tests.faults.conftest import wait_until
from tests.gateways import BODY, GatewayProcess
from tests.proxy.conftest import catalog
from tests.spoken import Spoken, each_protocol
from tests.upstream import FakeUpstream

pytestmark = pytest.mark.faults


@pytest.fixture
def key(transactional_db, make_customer, upstream) -> str:
    load_catalog(catalog(upstream))
    return issuing.issue(customer=make_customer("10"), name="k", now=NOW).text


class Stream(threading.Thread):
    """A client in the middle of a stream."""

    def __init__(self, gateway: GatewayProcess, key: str, spoken: Spoken) -> None:
        super().__init__()
        self.url, self.body = gateway.url + spoken.place(stream=True), spoken.body(stream=True)
        self.key, self.text = key, ""

    def run(self) -> None:
        headers = {"Authorization": f"Bearer {self.key}"}
        try:
            with httpx.stream("POST", self.url, json=self.body, headers=headers, timeout=20) as response:
                for piece in response.iter_text():
                    self.text += piece
        except httpx.HTTPError:
            return  # cut


@pytest.fixture
def streaming(key, upstream: FakeUpstream, spoken: Spoken) -> Iterator[tuple[GatewayProcess, Stream]]:
    """A gateway that gives two seconds' notice, and a stream of three seconds through it that has begun."""
    one, two, three = spoken.words
    upstream.events = [*spoken.opening, one, two, 1.5, three, 1.5, *spoken.ending]
    gateway = GatewayProcess(STOP_NOTICE_SECONDS="2", DRAIN_SECONDS="10").wait()
    stream = Stream(gateway, key, spoken)
    stream.start()
    wait_until(lambda: "two " in stream.text)
    yield gateway, stream
    gateway.process.kill()
    gateway.process.wait()
    stream.join()


def status(gateway: GatewayProcess, key: str, path: str) -> int | None:
    """None where nobody listens any more."""
    try:
        if path == "/readyz":
            return httpx.get(gateway.url + path).status_code
        return httpx.post(gateway.url + path, json=BODY, headers={"Authorization": f"Bearer {key}"}).status_code
    except (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError):
        # the latter two: in the kernel's queue, or accepted and not read yet, as the listener closed
        return None


def test_a_deploy_in_the_middle_of_a_stream_lets_it_end_and_tells_balancers_first(streaming, key):
    gateway, stream = streaming
    gateway.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    assert status(gateway, key, "/readyz") == 503
    assert status(gateway, key, "/v1/chat/completions") == 200  # a balancer has not looked yet
    wait_until(lambda: status(gateway, key, "/v1/chat/completions") in (503, None), seconds=4)
    assert "[DONE]" not in stream.text
    stream.join()
    assert stream.text.endswith("data: [DONE]\n\n")
    gateway.process.wait(10)
    assert set(Generation.objects.values_list("state", "settlement_reason")) == {("metered", "completed")}


@each_protocol
def test_a_stream_longer_than_the_drain_is_cut_and_billed_as_far_as_it_went(key, upstream: FakeUpstream, spoken):
    upstream.events = [*spoken.opening, *spoken.words, 20.0]
    gateway = GatewayProcess(STOP_NOTICE_SECONDS="0", DRAIN_SECONDS="1").wait()
    stream = Stream(gateway, key, spoken)
    stream.start()
    wait_until(lambda: "three " in stream.text)
    begun = time.monotonic()
    gateway.stop()
    assert time.monotonic() - begun < 5
    stream.join()
    assert "[DONE]" not in stream.text
    generation = Generation.objects.get()
    assert (generation.state, generation.usage_source) == ("metered", "estimated")
    assert 0 < generation.cost < generation.bound
    settle_all(now=NOW)
    wallet = Wallet.objects.get()
    assert (wallet.held, wallet.bonus) == (0, 10 - generation.cost)

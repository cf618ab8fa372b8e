"""Uploads of a process of its own: next to no memory, and nothing on disk when it is killed."""

import socket
import threading
from pathlib import Path

import httpx2 as httpx
import pytest

from accounts.keys import issuing
from accounts.models import Customer
from billing.models import Wallet
from proxy.models import Generation
from proxy.prices.loading import load_catalog
from tests.conftest import NOW
from tests.faults.conftest import wait_until
from tests.gateways import GatewayProcess
from tests.proxy.conftest import catalog
from tests.uploads import KIND, fields, form, sound

PATH = "/v1/audio/transcriptions"
MEGABYTES = 40
MOST_GROWTH = 5_000_000

pytestmark = pytest.mark.faults


@pytest.fixture
def issued(transactional_db, make_customer, upstream) -> issuing.IssuedKey:
    upstream.json = {"text": "one"}
    load_catalog(catalog(upstream, price={"second": "0.0001"}))
    customer: Customer = make_customer("10")
    return issuing.issue(customer=customer, name="k", now=NOW)


def status(gateway: GatewayProcess, name: str) -> int:
    """A figure of its memory, in bytes."""
    lines = Path(f"/proc/{gateway.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def test_an_upload_takes_no_memory_and_a_killed_process_leaves_nothing(issued, upstream, tmp_path):
    gateway = GatewayProcess(UPLOAD_FOLDER=str(tmp_path)).wait()
    headers = {"Authorization": f"Bearer {issued.text}", "Content-Type": KIND}
    small, large = (form(*fields(model="openai/m", file=sound(size / 16_000))) for size in (10**6, MEGABYTES * 10**6))
    for _ in range(3):
        assert httpx.post(gateway.url + PATH, content=small, headers=headers, timeout=60).status_code == 200
    Path(f"/proc/{gateway.process.pid}/clear_refs").write_text("5")  # the peak begins anew
    before = status(gateway, "VmRSS")
    assert httpx.post(gateway.url + PATH, content=large, headers=headers, timeout=60).status_code == 200
    assert len(upstream.calls[-1]["file"][2]) > MEGABYTES * 10**6
    assert status(gateway, "VmHWM") - before < MOST_GROWTH
    asked = Generation.objects.count()
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        lines = [f"POST {PATH} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in headers.items())]
        client.sendall("\r\n".join([*lines, f"Content-Length: {len(large)}", "", ""]).encode())
        sender = threading.Thread(target=client.sendall, args=(large[:-1000],))
        sender.start()
        descriptors = Path(f"/proc/{gateway.process.pid}/fd")
        wait_until(lambda: any(str(tmp_path) in str(one.readlink()) for one in descriptors.iterdir()))
        sender.join(20)
        assert list(tmp_path.iterdir()) == []
        gateway.kill()
    assert list(tmp_path.iterdir()) == []
    assert Generation.objects.count() == asked
    assert Wallet.objects.get().held == sum(one.held for one in Generation.objects.exclude(state="settled"))

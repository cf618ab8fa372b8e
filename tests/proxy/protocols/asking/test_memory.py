"""What five of the largest bodies at once cost a gateway process, whatever their shape, while an upstream is slow."""

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from accounts.keys import issuing
from accounts.models import Customer
from proxy.prices.loading import load_catalog
from tests.conftest import NOW
from tests.gateways import GatewayProcess
from tests.proxy.conftest import catalog

SIZE = 19_500_000
AT_ONCE = 5
MOST_MB = 200
MOST_STALL_SECONDS = 1.5
"""A tenth of a second on a machine that has nothing else to do; a body may take several seconds to be read."""
HEAD = b'{"model":"openai/m","max_tokens":1,"messages":[{"role":"user","content":'


def again(unit: bytes) -> bytes:
    """As a list has it, to the full size."""
    return ((unit + b",") * (SIZE // (len(unit) + 1)))[:-1]


def text(unit: bytes) -> bytes:
    return HEAD + b'"%b"}]}' % (unit * (SIZE // len(unit)))


def parts(unit: bytes) -> bytes:
    return HEAD + b"[%b]}]}" % again(unit)


def beside(inner: bytes) -> bytes:
    return HEAD + b'"hi"}],%b}' % inner


def members(place: bytes = b"%b") -> bytes:
    return beside(place % b",".join(b'"%x":1%b' % (number, b',"a":1' * 3) for number in range(600_000)))


def long_names(count: int) -> bytes:
    """Names that take four bytes a letter once they are parsed."""
    name = b"a" * (SIZE // count - 30) + "😀".encode() + b"\\n"
    return beside(b",".join(b'"%d%b":1' % (number, name) for number in range(count)))


SHAPES: dict[str, Callable[[], bytes]] = {
    "a text": lambda: text(b"word, "),
    "a text that is not ASCII": lambda: text("字".encode()),
    "an image": lambda: (
        HEAD + b'[{"type":"image_url","image_url":{"url":"data:image/png;base64,%b"}}]}]}' % (b"A" * SIZE)
    ),
    "parts of a few words": lambda: parts(b'{"type":"text","text":"%b"}' % (b"x" * 180)),
    "parts that are none": lambda: parts(b"1"),
    "members without end": members,
    "a name of four bytes a letter": lambda: long_names(1),
    "names of four bytes a letter": lambda: long_names(900),
    "empty texts": lambda: beside(b'"metadata":[%b]' % again(b'""')),
}


class Silent:
    """An upstream that takes connections and reads nothing."""

    protocol = "openai"

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._taken: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._taken.append(self._listener.accept()[0])

    @property
    def taken(self) -> int:
        return len(self._taken)

    def drop(self) -> None:
        """Hang up on everybody."""
        while self._taken:
            self._taken.pop().close()

    def stop(self) -> None:
        self._listener.close()
        self.drop()


def megabytes(process: GatewayProcess, field: str) -> float:
    lines = Path(f"/proc/{process.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":")) / 1024


def forget_the_most(process: GatewayProcess) -> None:
    Path(f"/proc/{process.process.pid}/clear_refs").write_text("5")


@pytest.fixture
def silent() -> Iterator[Silent]:
    upstream = Silent()
    yield upstream
    upstream.stop()


@pytest.fixture
def running(
    transactional_db: None, make_customer: Callable[..., Customer], silent: Silent
) -> Iterator[SimpleNamespace]:
    """A gateway process before an upstream that never answers, and a key with more than enough."""
    data = catalog(silent)  # type: ignore[arg-type]
    data["upstreams"][0] |= {"timeout_seconds": 60, "total_timeout_seconds": 60}
    load_catalog(data)
    key = issuing.issue(customer=make_customer("100000"), name="k", now=NOW).text
    process = GatewayProcess("--loop", "uvloop", DEFAULT_KEY_RPM="0", DEFAULT_CUSTOMER_RPM="0", DEFAULT_MODEL_RPM="0")
    yield SimpleNamespace(process=process.wait(), key=key, silent=silent)
    process.kill()


def ask(running: SimpleNamespace, body: bytes) -> int:
    """The status that it is answered with."""
    connection = http.client.HTTPConnection("127.0.0.1", running.process.port, timeout=90)
    with contextlib.closing(connection):
        connection.request("POST", "/v1/chat/completions", body, {"Authorization": f"Bearer {running.key}"})
        return connection.getresponse().status


@contextlib.contextmanager
def longest_stall(port: int) -> Iterator[Callable[[], float]]:
    """How long, at most, somebody else waited for a sign of life."""
    longest, over = [0.0], threading.Event()

    def look() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        with contextlib.closing(connection):
            while not over.is_set():
                began = time.perf_counter()
                connection.request("GET", "/healthz")
                connection.getresponse().read()
                longest[0] = max(longest[0], time.perf_counter() - began)
                time.sleep(0.005)

    looker = threading.Thread(target=look)
    looker.start()
    yield lambda: longest[0]
    over.set()
    looker.join()


@pytest.mark.timeout(300)
def test_five_large_bodies_at_once_take_little_memory_and_stop_nobody_else(running):
    process, silent = running.process, running.silent
    found: dict[str, tuple[float, float]] = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for name, make in SHAPES.items():
            body = make()
            before = megabytes(process, "VmRSS")
            forget_the_most(process)
            with longest_stall(process.port) as stalled:
                asked = [pool.submit(ask, running, body) for _ in range(AT_ONCE)]
                deadline = time.monotonic() + 60
                while not all(future.done() for future in asked) and silent.taken < AT_ONCE:
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
                time.sleep(0.3)
            found[name] = megabytes(process, "VmHWM") - before, stalled()
            silent.drop()
            statuses = {future.result() for future in asked}
            print(f"{name}: {found[name][0]:.0f} MB, {found[name][1] * 1000:.0f} ms, {statuses}")
    assert {name: most for name, (most, _) in found.items() if most > MOST_MB} == {}
    assert {name: stall for name, (_, stall) in found.items() if stall > MOST_STALL_SECONDS} == {}

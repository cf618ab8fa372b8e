"""What tests of kills and cuts share."""

import time
from collections.abc import Callable, Iterator

import pytest

from tests.spoken import Spoken
from tests.upstream import FakeUpstream


@pytest.fixture
def upstream(spoken: Spoken) -> Iterator[FakeUpstream]:
    server = spoken.upstream()
    yield server
    server.stop()


def wait_until(condition: Callable[[], object], *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)

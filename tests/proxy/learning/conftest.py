"""A counter of prompts of the test's own, which has all the time that it wants."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.learning import counter


@pytest.fixture
def own_counter(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tempfile.mkdtemp(prefix="chuizi-")  # a socket's path has to be short
    monkeypatch.setattr(counter, "place", lambda: f"{folder}/tokens{counter.SOCKET}")
    monkeypatch.setattr(counter, "START_SECONDS", 30.0)
    monkeypatch.setattr(counter, "WAIT_SECONDS", 30.0)
    yield
    shutil.rmtree(folder)


def counting_processes() -> list[int]:
    """Those that were begun by this one, and live."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
            said = stat.with_name("cmdline").read_bytes()
        except OSError:
            continue
        state, parent, *_ = rest.split()
        if int(parent) == os.getpid() and state != "Z" and b"tokenizer.py" in said:
            found.append(int(name.split()[0]))
    return found

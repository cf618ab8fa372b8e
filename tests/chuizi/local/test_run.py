"""`make run` itself, whole: what its processes survive, and what is left of them."""

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from chuizi.local import environment, processes, services
from chuizi.local.state import BASE_DIR, digest
from tests.gateways import free_port

Run = Callable[[], subprocess.Popen[str]]


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def run(state: Path, port: int) -> Iterator[Run]:
    """A function that starts it and returns when it says `ready`, its lines in `said`."""
    ours = {*environment.sandbox_values(state=state, port=1, sandbox_port=2), *environment.OPTIONAL}
    ours |= {services.TEST_RUN, "DATABASE_URL", "CELERY_BROKER_URL", "DB_POOL_SIZE"}
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "chuizi.local", "run"],
            cwd=BASE_DIR,
            env={**clean, "CHUIZI_STATE_DIR": str(state), "PORT": str(port)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        lines: list[str] = []
        while not lines or not lines[-1].startswith("ready: "):
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, "".join(lines)
            lines.append(line)
        process.said = lines  # type: ignore[attr-defined]
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
    processes.stop_all(processes.marked(digest(state)), first=signal.SIGKILL)


def left(state: Path) -> list[psutil.Process]:
    found = processes.marked(digest(state))
    found += processes.working_in((state / "postgres").resolve() / "data", program="postgres")
    return found + processes.working_in(state / "broker", program="valkey-server")


def status_of(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def demo_lines(process: subprocess.Popen[str]) -> list[str]:
    return [line for line in process.said if line.startswith(("demo ", "staff "))]  # type: ignore[attr-defined]


@pytest.mark.timeout(300)
def test_it_says_ready_keeps_its_data_and_recovers_from_every_kill(run: Run, state: Path, port: int):
    first = run()
    assert first.said[-1] == f"ready: http://127.0.0.1:{port}\n"
    assert sum(line.startswith("ready: ") for line in first.said) == 1
    assert len(demo_lines(first)) == 3
    assert status_of(port, "/healthz") == 200
    asked = subprocess.run(
        [sys.executable, "-m", "chuizi.local", "env"],
        cwd=BASE_DIR,
        env={"PATH": os.environ["PATH"], "CHUIZI_STATE_DIR": str(state)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"export SITE_URL=http://127.0.0.1:{port}\n" in asked.stdout
    assert asked.stderr == ""

    # The supervisor is killed: the next start finds and stops what it left, with the data and the logins kept.
    first.kill()
    first.wait()
    orphans = {one.pid for one in left(state)}
    assert orphans
    second = run()
    assert demo_lines(second) == demo_lines(first)
    assert orphans.isdisjoint(one.pid for one in left(state))

    # PostgreSQL is killed: all stop, it is named, and its rows are there after the next start.
    data = (state / "postgres").resolve() / "data"
    os.kill(int((data / "postmaster.pid").read_text().partition("\n")[0]), signal.SIGKILL)
    said, _ = second.communicate(timeout=20)
    assert second.returncode == 1
    assert "PostgreSQL has ended" in said
    assert left(state) == []

    third = run()
    assert demo_lines(third) == demo_lines(first)
    third.send_signal(signal.SIGINT)
    third.communicate(timeout=20)
    assert third.returncode == 0
    assert left(state) == []

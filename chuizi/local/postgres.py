"""PostgreSQL from a wheel, run by us alone: no system user is added, no folder of others is touched.

Of the wheel only the programs are used. `postgres` is our direct child, so its death is seen at once and its
process is reaped; its output goes to a file, as a pipe that nobody reads would stall it.
"""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from chuizi.local import processes
from chuizi.local.binaries import POSTGRES_MAJOR, User, postgres_programs, server_user
from chuizi.local.state import LocalError, kept, make_folder, runtime_dir, runtime_path

NAME = "chuizi"
LOG_LIMIT = 10_000_000  # bytes kept from earlier runs
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "effective_cache_size": "1GB",
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m:[%p]:",
}
FAST = {"fsync": "off", "full_page_writes": "off"}  # for tests: a crash of the machine may lose the data


class Postgres:
    """One server on `state/postgres`, reached through a socket of `runtime_dir(state)` with a generated password."""

    def __init__(self, state: Path, *, fast: bool = False) -> None:
        self.state = state
        self.fast = fast
        self.sockets = runtime_path(state) / "pg"
        self.child: subprocess.Popen[bytes] | None = None

    @cached_property
    def password(self) -> str:
        return kept(self.state / "postgres-password", lambda: secrets.token_hex(24))

    @property
    def url(self) -> str:
        """DATABASE_URL; the socket's folder stands percent-encoded where a host would."""
        return f"postgres://{NAME}:{self.password}@{str(self.sockets).replace('/', '%2F')}/{NAME}"

    def start(self) -> None:
        """Start, after stopping what an earlier run left behind; raise `LocalError` if it cannot be."""
        link = self.state / "postgres"
        user = server_user(link / "data")
        home = self._home(link, user)
        programs = postgres_programs(user)
        data = home / "data"
        _stop_leftovers(data)
        self._socket_folder(user)
        if not data.exists():
            self._create(data, programs=programs, user=user)
        _check_version(data)
        try:
            self._run(data, programs=programs, user=user)
        except LocalError:
            if not self.fast:
                raise
            shutil.rmtree(data)  # without fsync a crash may have broken it, and tests keep nothing
            self._create(data, programs=programs, user=user)
            self._run(data, programs=programs, user=user)

    def stop(self) -> None:
        """A fast shutdown: clients are cut, everything committed is on disk."""
        if self.child is not None:
            processes.finish(self.child, first=signal.SIGINT, harder=signal.SIGQUIT, grace=10)
            self.child = None

    def is_alive(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def _home(self, link: Path, user: User) -> Path:
        """The folder that holds data and log, 0700 and the server user's own.

        Where that user cannot walk to the state folder (root's home is 0700), a link there leads to /var/tmp.
        """
        if link.is_symlink() and not link.exists():
            raise LocalError(f"{link} leads to {link.readlink()}, which is gone. Remove {self.state} to start anew.")
        home = link
        if not link.exists():
            if user.uid is None or user.can(["/bin/sh", "-c", 'test -x "$1"', "sh", str(self.state)]):
                make_folder(home)
            else:
                home = Path(tempfile.mkdtemp(prefix="chuizi-postgres-data-", dir="/var/tmp"))
                link.symlink_to(home)
            user.own(home)
        home = home.resolve()
        if not user.can_write(home):
            raise LocalError(f"PostgreSQL's user cannot write to {home}. Move {self.state} away to start anew.")
        return home

    def _socket_folder(self, user: User) -> None:
        runtime_dir(self.state)
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        self.sockets.chmod(0o700)
        user.own(self.sockets)

    def _create(self, data: Path, *, programs: Path, user: User) -> None:
        """Make the cluster and the database beside their place, and move them there when whole."""
        unfinished = data.with_name("data.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        password_file = self.sockets / "password"
        descriptor = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(self.password)
        user.own(password_file)
        initdb: list[str | Path] = [
            programs / "initdb",
            "-D",
            unfinished,
            f"--username={NAME}",
            f"--pwfile={password_file}",
        ]
        # The C locale with Unicode's letter cases: no ICU is needed, and lower('É') is right.
        initdb += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin"]
        initdb += ["--builtin-locale=C.UTF-8", "--no-instructions", *(["--no-sync"] if self.fast else [])]
        try:
            _run(initdb, user=user)
            _run(
                [programs / "postgres", "--single", "-D", unfinished, "postgres"],
                user=user,
                text=f"CREATE DATABASE {NAME}",
            )
        finally:
            password_file.unlink()
        unfinished.rename(data)

    def _run(self, data: Path, *, programs: Path, user: User) -> None:
        log = data.parent / "log"
        if log.exists() and log.stat().st_size > LOG_LIMIT:
            log.unlink()
        options = SETTINGS | {"unix_socket_directories": str(self.sockets)} | (FAST if self.fast else {})
        command = [str(programs / "postgres"), "-D", str(data)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        # After a kill -9 the first start can fail while the old server's memory is being let go.
        deadline = time.monotonic() + 5
        while True:
            _forget_dead_server(data)
            with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as out:
                child = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                    **user.popen,
                )
            self.child = child
            if processes.wait_until(lambda: _says_ready(data), child, seconds=60):
                return
            self.stop()
            if time.monotonic() >= deadline:
                raise LocalError(f"PostgreSQL does not start. The end of {log}:\n{processes.last_lines(log)}")
            time.sleep(0.2)


def _check_version(data: Path) -> None:
    try:
        found = (data / "PG_VERSION").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise LocalError(f"{data} holds no PostgreSQL data. Move it away to start anew.") from None
    if found != POSTGRES_MAJOR:
        raise LocalError(
            f"{data} was made by PostgreSQL {found}, and this Chuizi brings {POSTGRES_MAJOR}."
            " Move the folder away to start anew, or give DATABASE_URL a server of your own."
        )


def _stop_leftovers(data: Path) -> None:
    """Stop a server that an earlier run left running, or what its death left of it."""
    try:
        number = (data / "postmaster.pid").read_text(encoding="utf-8").partition("\n")[0]
    except FileNotFoundError:
        number = ""
    left = processes.working_in(data, program="postgres")
    processes.stop_all([one for one in left if str(one.pid) == number], first=signal.SIGINT, grace=20)
    processes.stop_all(processes.working_in(data, program="postgres"), first=signal.SIGQUIT, grace=1)


def _forget_dead_server(data: Path) -> None:
    """Remove the process id of a server that is gone.

    PostgreSQL itself would take any live process with that number for a server, also one that is not PostgreSQL.
    """
    if not processes.working_in(data, program="postgres"):
        with suppress(FileNotFoundError):
            (data / "postmaster.pid").unlink()


def _says_ready(data: Path) -> bool:
    # The eighth line is the server's own word on its state; pg_ctl waits for the same.
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[7].strip() == "ready"


def _run(command: Sequence[str | Path], *, user: User, text: str = "") -> None:
    """Run a program of the wheel to its end; raise `LocalError` with what it said if it fails."""
    with tempfile.TemporaryFile() as out:
        done = subprocess.run(
            [str(part) for part in command],
            input=text.encode(),
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **user.popen,
        )
        if done.returncode:
            out.seek(0)
            said = out.read().decode(errors="replace").strip()
            raise LocalError(f"{Path(command[0]).name} failed (exit {done.returncode}):\n{said}")

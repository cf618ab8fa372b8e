"""The steps of `make run` around its processes: free ports, a prepared database, and the word `ready`."""

import hashlib
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import psutil  # type: ignore[import-untyped]

from chuizi.local import environment, processes
from chuizi.local.services import Services
from chuizi.local.state import BASE_DIR, LocalError, write_private
from chuizi.local.supervisor import Supervisor

START_SECONDS = 120


def choose_ports(given: Mapping[str, str]) -> tuple[int, int]:
    """PORT and SANDBOX_PORT, both free; raise `LocalError` saying who has them.

    Without SANDBOX_PORT it is the first free port after PORT.
    """
    port = environment.port(given, "PORT", 8000)
    _expect_free("PORT", port)
    if given.get("SANDBOX_PORT"):
        sandbox_port = environment.port(given, "SANDBOX_PORT", port + 1)
        _expect_free("SANDBOX_PORT", sandbox_port)
        return port, sandbox_port
    return port, next((number for number in range(port + 1, min(port + 50, 65536)) if _is_free(number)), port + 1)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _expect_free(name: str, port: int) -> None:
    if _is_free(port):
        return
    if port < 1024 and os.geteuid() != 0:
        raise LocalError(f"Port {port} is reserved for root. Set {name} to a number above 1023.")
    raise LocalError(f"Port {port} is taken{_holder(port)}. Stop that, or set {name} to another number.")


def _holder(port: int) -> str:
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f" by process {connection.pid} ({psutil.Process(connection.pid).name()})"
    except (psutil.Error, OSError):
        pass
    return " by another program"


class Preparation:
    """The database brought up to date by one process, beside the others if nothing can be due."""

    def __init__(self, local: Services, *, mark: str) -> None:
        self._stamp_file = local.state / "prepared"
        self._stamp = _stamp(local)
        self.is_routine = bool(self._stamp) and _read(self._stamp_file) == self._stamp
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  read when the process has ended
        self._child = subprocess.Popen(
            [sys.executable, "-m", "chuizi.local.prepare"],
            env={**local.environment, processes.MARK: mark},
            cwd=BASE_DIR,
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            start_new_session=True,
        )

    def finish(self) -> str:
        """Wait for it and return what it said; raise `LocalError` if it failed."""
        code = self._child.wait()
        self._said.seek(0)
        said = self._said.read().decode(errors="replace").strip()
        if code:
            raise LocalError(f"The database could not be prepared (exit {code}).\n{said}".strip())
        write_private(self._stamp_file, self._stamp)
        return said


class Business:
    """The demo's customers, made by a process of their own once everything answers; not again once they are made.

    It ends by itself; what keeps it from its end is tried again at the next start.
    """

    def __init__(self, local: Services, *, mark: str) -> None:
        self._local = local
        self._mark = mark
        self._stamp_file = local.state / "business"
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self._local.postgres is None or self._stamp_file.exists():
            return
        with open(self._local.state / "business.log", "wb") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "chuizi.local.business"],
                env={**self._local.environment, processes.MARK: self._mark},
                cwd=BASE_DIR,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def look(self) -> None:
        """Note that it is made, once it is."""
        if self._child is not None and self._child.poll() is not None:
            if self._child.returncode == 0:
                write_private(self._stamp_file, "made")
            self._child = None


def _stamp(local: Services) -> str:
    """What the database was last prepared for: these migrations, these packages and this very cluster.

    Empty for a database of the person's own, of which we know nothing.
    """
    if local.postgres is None:
        return ""
    cluster = (local.state / "postgres" / "data" / "PG_VERSION").stat()
    found = hashlib.sha256(f"{cluster.st_ino} {cluster.st_mtime_ns}".encode())
    for path in [BASE_DIR / "requirements.txt", *sorted(BASE_DIR.glob("*/migrations/*.py"))]:
        found.update(f"{path}\n".encode() + path.read_bytes())
    return found.hexdigest()


def _read(path: os.PathLike[str]) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def watch(
    supervisor: Supervisor,
    *,
    local: Services,
    preparation: Preparation,
    business: Business,
    port: int,
    is_abandoned: Callable[[], bool],
) -> None:
    """Say `ready` when everything answers; afterwards stop everything if a service dies or nobody is left to serve."""
    site = f"http://127.0.0.1:{port}"
    host = urlsplit(local.environment["SITE_URL"]).netloc or f"127.0.0.1:{port}"
    deadline = time.monotonic() + START_SECONDS
    try:
        said = preparation.finish()
    except LocalError as error:
        return supervisor.fail(str(error))
    is_ready = False
    while not supervisor.is_over:
        if dead := local.dead():
            return supervisor.fail(f"{dead} has ended, so everything is stopped. Its log is under {local.state}.")
        if is_abandoned():
            return supervisor.fail("The process that started this is gone, so everything is stopped.")
        if not is_ready and answers(port, host=host):
            is_ready = True
            supervisor.say(f"{said}\nready: {site}".strip())
            business.start()
        elif not is_ready and time.monotonic() > deadline:
            return supervisor.fail(f"{site}/readyz has not answered 200 within {START_SECONDS} seconds.")
        business.look()
        time.sleep(0.3 if is_ready else 0.05)


def answers(port: int, *, host: str) -> bool:
    """Whether `/readyz` answers 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz", headers={"Host": host})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

"""The broker: Valkey's server program from a wheel, on a socket that only we can open.

It only wakes workers, so it writes to disk once a second, and a file it can no longer read is put aside.
"""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from chuizi.local import processes
from chuizi.local.binaries import valkey_program
from chuizi.local.state import LocalError, make_folder, runtime_dir, runtime_path


class Valkey:
    """One server on `state/broker`."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.folder = state / "broker"
        self.socket = runtime_path(state) / "broker.sock"
        self.child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """CELERY_BROKER_URL."""
        return f"redis+socket://{self.socket}?virtual_host=0"

    def start(self) -> None:
        """Start, after stopping what an earlier run left behind; raise `LocalError` if it cannot be."""
        runtime_dir(self.state)
        make_folder(self.folder)
        folder = self.folder.resolve()
        processes.stop_all(processes.working_in(folder, program="valkey-server"), grace=10)
        if self._run(folder):
            return
        appended = folder / "appendonlydir"
        if appended.exists():
            appended.rename(folder / f"appendonlydir.unreadable-{time.time_ns()}")
            if self._run(folder):
                return
        log = folder / "log"
        raise LocalError(f"Valkey does not start. The end of {log}:\n{processes.last_lines(log)}")

    def stop(self) -> None:
        if self.child is not None:
            processes.finish(self.child, first=signal.SIGTERM, grace=5)
            self.child = None

    def is_alive(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def _run(self, folder: Path) -> bool:
        self.socket.unlink(missing_ok=True)
        command = [str(valkey_program()), "--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700"]
        command += ["--dir", str(folder), "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
        command += ["--maxmemory-policy", "noeviction", "--daemonize", "no"]
        with open(os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            self.child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", start_new_session=True
            )
        if processes.wait_until(self._answers, self.child, seconds=30):
            return True
        self.stop()
        return False

    def _answers(self) -> bool:
        """Whether it answers PING; while it reads its file back it answers -LOADING."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self.socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

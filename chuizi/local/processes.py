"""Finding and stopping processes that an earlier run may have left behind, and leaving everybody else's alone."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from chuizi.local.state import LocalError

MARK = "CHUIZI_SUPERVISED"  # set, with the state folder's digest, in every process of a run
GONE = (psutil.NoSuchProcess, psutil.ZombieProcess)


def working_in(folder: Path, *, program: str) -> list[psutil.Process]:
    """The live processes of this program whose working directory is the folder.

    PostgreSQL and Valkey both step into their data folder and keep a process title of their own, so this
    identifies them where a process id from a stale file may be anybody's.
    """
    found = []
    for process in psutil.process_iter():
        try:
            if process.name().startswith(program) and is_alive(process) and Path(process.cwd()) == folder:
                found.append(process)
        except (*GONE, psutil.AccessDenied, OSError):
            continue
    return found


def marked(mark: str) -> list[psutil.Process]:
    """The live processes, apart from this one, that carry the mark of a run in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                found.append(process)
        except (*GONE, psutil.AccessDenied, OSError):
            continue
    return found


def stop_all(processes: Iterable[psutil.Process], *, first: int = signal.SIGTERM, grace: float = 5) -> int:
    """Send `first`, wait up to `grace` seconds, then kill; return how many there were."""
    processes = list(processes)
    for number, seconds in ((first, grace), (signal.SIGKILL, 3)):
        for process in processes:
            _signal(process, number)
        # Not psutil's own waiting: it takes a process that nobody has reaped yet for a live one.
        deadline = time.monotonic() + seconds
        while any(map(is_alive, processes)) and time.monotonic() < deadline:
            time.sleep(0.02)
        if not any(map(is_alive, processes)):
            break
    return len(processes)


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except GONE:
        return False


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except GONE:
        return


def wait_until(ready: Callable[[], bool], child: subprocess.Popen[bytes], *, seconds: float) -> bool:
    """True once ready; False if the child ended or the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if ready():
            return True
        if child.poll() is not None:
            return False
        time.sleep(0.02)
    return False


def finish(child: subprocess.Popen[bytes], *, first: int, grace: float, harder: int = signal.SIGKILL) -> None:
    """Stop a child of ours: `first`, then `harder`, then kill, `grace` seconds apart; it is reaped on return."""
    for number in (first, harder, signal.SIGKILL):
        if child.poll() is not None:
            return
        child.send_signal(number)
        try:
            child.wait(grace)
            return
        except subprocess.TimeoutExpired:
            continue
    raise LocalError(f"Process {child.pid} cannot be stopped.")


def last_lines(log: Path, count: int = 8) -> str:
    try:
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])
    except OSError:
        return ""

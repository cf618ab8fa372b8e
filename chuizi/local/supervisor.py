"""Chuizi's own processes under honcho: prefixed logs, one end for all, and nobody left behind."""

import queue
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

from honcho.manager import Manager
from honcho.printer import Message, Printer
from honcho.process import Process

from chuizi.local import processes
from chuizi.local.state import BASE_DIR

ROOT_ADVICE = "You're running the worker with superuser privileges"
PLAIN = object()  # the "name" of lines printed as they are


@dataclass(frozen=True)
class Program:
    name: str
    command: list[str]


def programs(*, state: Path, port: int, sandbox_port: int, site_url: str) -> list[Program]:
    """What `make run` runs; the order is the order of starting. Production has a Procfile instead."""
    python = [sys.executable, "-m"]
    # Celery's advice against root is for tasks that unpickle, which ours do not.
    celery = [sys.executable, "-W", f"ignore:{ROOT_ADVICE}", "-m", "celery", "--quiet", "-A", "chuizi"]
    # Gossip and mingle are for clusters; without them a worker is up a second sooner.
    worker = [*celery, "worker", "--loglevel", "WARNING", "--pool", "threads", "--without-gossip", "--without-mingle"]
    web = ["uvicorn", "chuizi.asgi:application", "--host", "127.0.0.1", "--port", str(port), "--no-access-log"]
    sandbox = ["sandbox", "--port", str(sandbox_port), "--state", str(state), "--site-url", site_url]
    schedule = str(state / "celerybeat-schedule")
    return [
        Program("web", [*python, *web, "--timeout-graceful-shutdown", "2"]),
        Program(
            "worker",
            [*worker, "-Q", "celery,payments,polling,purchases,rerating,webhooks", "-c", "4", "-n", "worker@%h"],
        ),
        Program("settler", [*worker, "-Q", "settlement", "-c", "2", "-n", "settler@%h"]),
        Program("beat", [*celery, "beat", "--loglevel", "WARNING", "--pidfile=", "--schedule", schedule]),
        Program("sandbox", [*python, *sandbox]),
    ]


class Lines(Printer):  # type: ignore[misc]
    def write(self, message: Any) -> None:
        if message.name is PLAIN:
            print(message.data, file=self.output, flush=True)
        else:
            super().write(message)


class Child(Process):  # type: ignore[misc]
    """A program whose end is seen when it ends, though a process it leaves behind may still hold its output open."""

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:
        self._events = events
        self._child = self._child_ctor(self.cmd, env=self.env, cwd=self.cwd, stdin=subprocess.DEVNULL)
        self._send_message({"pid": self._child.pid}, type="start")
        relay = threading.Thread(target=self._relay, daemon=True)
        relay.start()
        self._child.wait()
        relay.join(0.5)
        self._send_message({"returncode": self._child.returncode}, type="stop")

    def _relay(self) -> None:
        for line in iter(self._child.stdout.readline, b""):
            self._send_message(line)


class Supervisor(Manager):  # type: ignore[misc]
    """honcho's manager with threads in place of its helper processes, which a kill -9 would leave behind.

    `watch` is called with this supervisor in a thread of its own once everything is started.
    """

    def __init__(self, *, mark: str, environment: Mapping[str, str], watch: Callable[["Supervisor"], None]) -> None:
        super().__init__(Lines(sys.stdout))
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._process_ctor = Child
        self.mark = mark
        self.environment = {**environment, processes.MARK: mark, "PYTHONUNBUFFERED": "1"}
        self.watch = watch
        self.reason: str | None = None
        self.is_over = False
        self._is_asked_to_stop = False
        self._is_killing = False

    def add(self, program: Program) -> None:
        # What they write, mails with links among it, is for the person who runs them.
        command = "umask 077; exec " + shlex.join(program.command)
        self.add_process(program.name, command, env=self.environment, cwd=str(BASE_DIR))

    def say(self, text: str) -> None:
        """Print without a prefix, from any thread."""
        self.events.put(Message(type="line", data=text, time=None, name=PLAIN, colour=None))

    def fail(self, reason: str) -> None:
        """Stop everything because of this, from any thread."""
        self.reason = self.reason or reason
        self._is_asked_to_stop = True

    def run(self) -> int:
        """Run until a signal or until one program ends; return the exit code: 0 only for a signal."""
        try:
            self.loop()
        finally:
            self.is_over = True
            processes.stop_all(processes.marked(self.mark), first=signal.SIGKILL)
        if self.reason is not None:
            print(self.reason, file=sys.stderr, flush=True)
            return 1
        return 0

    def terminate(self) -> None:
        ended = [name for name, values in self._processes.items() if values.get("returncode") is not None]
        if ended and not self._terminating and self.reason is None:
            code = self._processes[ended[0]]["returncode"]
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            self.reason = f"{ended[0]} {how}, so everything is stopped. Its last lines stand above."
        super().terminate()

    def kill(self) -> None:
        if not self._is_killing:  # honcho asks for it again with each event
            self._is_killing = True
            super().kill()

    def _start(self) -> None:
        # honcho prints inside its signal handlers, which fails when the signal came in the middle of a print.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask_to_stop)
        for name, values in self._processes.items():
            target = values["obj"].run
            threading.Thread(target=target, args=(self.events,), name=name, daemon=True).start()
        threading.Thread(target=self.watch, args=(self,), name="watch", daemon=True).start()
        threading.Thread(target=self._heed, name="stop", daemon=True).start()

    def _ask_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._is_asked_to_stop = True

    def _heed(self) -> None:
        while not self.is_over:
            if self._is_asked_to_stop and self._all_started():
                return self.terminate()
            time.sleep(0.05)

    def _system_print(self, data: str) -> None:
        self.events.put(Message(type="line", data=data, time=datetime.now(), name="system", colour=None))  # noqa: DTZ005

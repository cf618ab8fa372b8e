"""The supervisor with small programs in place of Chuizi's own: their lives and deaths are the same."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from chuizi.local import processes
from chuizi.local.state import BASE_DIR
from chuizi.local.supervisor import programs

MARK = f"test-{os.getpid()}"
# A program with a child of its own in another session, as a server with workers might have; `{}` is what it does then.
PROGRAM = (
    "import subprocess, sys, time;"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True);"
    "print('up', flush=True); {}"
)
SCRIPT = """
import os, sys, time
import honcho.manager
from chuizi.local.supervisor import Program, Supervisor

honcho.manager.KILL_WAIT = 1

def watch(supervisor):
    while len(supervisor._processes) > sum("pid" in values for values in supervisor._processes.values()):
        time.sleep(0.01)
    supervisor.say("ready: here")

supervisor = Supervisor(mark=sys.argv[1], environment=dict(os.environ), watch=watch)
for number, text in enumerate(sys.argv[2:]):
    supervisor.add(Program(f"program{number}", [sys.executable, "-c", text]))
sys.exit(supervisor.run())
"""
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def run(*programs: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SCRIPT, MARK, *(PROGRAM.format(text) for text in programs)]
        process = subprocess.Popen(
            command, cwd=BASE_DIR, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()
    processes.stop_all(processes.marked(MARK), first=signal.SIGKILL)


def read_until(process: subprocess.Popen[str], text: str, *, times: int = 1) -> list[str]:
    assert process.stdout is not None
    lines: list[str] = []
    while sum(text in line for line in lines) < times:
        line = process.stdout.readline()
        assert line, lines
        lines.append(line.rstrip("\n"))
    return lines


def marked_pids() -> list[int]:
    return [process.pid for process in processes.marked(MARK)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_every_process_and_their_children(start: Start, number: int):
    supervisor = start("time.sleep(60)", "time.sleep(60)")
    lines = read_until(supervisor, "| up", times=2)
    for _ in range(100):  # a child shows its mark only once it has begun its program
        if len(marked_pids()) == 4:
            break
        time.sleep(0.05)
    assert len(marked_pids()) == 4
    if "ready: here" not in lines:
        lines += read_until(supervisor, "ready: here")
    supervisor.send_signal(number)
    supervisor.communicate(timeout=10)
    assert supervisor.returncode == 0
    assert marked_pids() == []


def test_whatever_serves_names_the_application_and_its_port(tmp_path: Path):
    """By `ps` one finds what to ask, stop or profile."""
    run = programs(state=tmp_path, port=8123, sandbox_port=8124, site_url="http://127.0.0.1:8123")
    web = next(program.command for program in run if program.name == "web")
    assert {"chuizi.asgi:application", "8123"} <= set(web)
    lines = (BASE_DIR / "Procfile").read_text(encoding="utf-8").splitlines()
    serving = [line for line in lines if line.startswith(("gateway:", "web:"))]
    assert len(serving) == 2
    for line in serving:
        assert " exec uvicorn chuizi.asgi:application " in line
        assert " --port $PORT " in line


def test_what_programs_write_is_for_their_owner_alone(start: Start, tmp_path: Path):
    """Mails are files, and their links log people in."""
    start(f"open('{tmp_path}/mail', 'w').close()").communicate(timeout=15)
    assert (tmp_path / "mail").stat().st_mode & 0o077 == 0


def test_one_death_stops_all_and_is_named(start: Start):
    supervisor = start("time.sleep(60)", "sys.exit(3)")
    said, _ = supervisor.communicate(timeout=15)
    assert supervisor.returncode == 1
    assert "program1 ended with exit code 3" in said
    assert marked_pids() == []


def test_one_kill_stops_all_and_is_named(start: Start):
    supervisor = start("time.sleep(60)", "import os; time.sleep(1); os.kill(os.getpid(), 9)")
    said, _ = supervisor.communicate(timeout=15)
    assert supervisor.returncode == 1
    assert "program1 was killed by signal 9" in said
    assert marked_pids() == []


def test_a_program_that_does_not_heed_the_signal_is_killed(start: Start, monkeypatch):
    supervisor = start(
        "import signal; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)", "time.sleep(60)"
    )
    read_until(supervisor, "| deaf")
    began = time.monotonic()
    supervisor.send_signal(signal.SIGTERM)
    supervisor.communicate(timeout=15)
    assert time.monotonic() - began < 10
    assert marked_pids() == []


def test_what_a_killed_supervisor_leaves_is_found_by_its_mark_and_stopped(start: Start):
    supervisor = start("time.sleep(60)")
    read_until(supervisor, "| up")
    supervisor.kill()
    supervisor.wait()
    left = marked_pids()
    assert len(left) == 2
    assert processes.stop_all(processes.marked(MARK), grace=3) == 2
    assert marked_pids() == []
    assert not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in left)


def test_a_reader_that_leaves_ends_the_run_without_leftovers(start: Start):
    supervisor = start("[print('line', flush=True) or time.sleep(0.05) for _ in range(1000)]")
    read_until(supervisor, "| line")
    supervisor.stdout.close()
    assert supervisor.wait(10) != 0
    assert marked_pids() == []
    supervisor.stdout = open(os.devnull, encoding="utf-8")  # noqa: SIM115  the fixture reads it to its end


def test_a_process_without_the_mark_is_left_alone():
    with subprocess.Popen(["sleep", "60"], env={**os.environ, processes.MARK: "another"}) as stranger:
        assert stranger.pid not in marked_pids()
        stranger.kill()

"""`python -m chuizi.local [run | services | env | with PROGRAM]`: what stands behind the targets of the Makefile."""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from chuizi.local.state import Claim, LocalError, digest, not_installed, state_dir

try:
    from chuizi.local import environment, processes, running, services
    from chuizi.local.supervisor import Supervisor, programs
except ModuleNotFoundError as error:
    sys.exit(not_installed((error.name or str(error)).partition(".")[0]))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m chuizi.local", description="Chuizi on this machine alone.")
    parser.add_argument("--follow-parent", action="store_true", help="stop when the process that started this is gone")
    parser.add_argument("--durable", action="store_true", help="for `with`: commits survive a crash, as in production")
    parser.add_argument("command", nargs="?", choices=["run", "services", "env", "with"], default="run")
    parser.add_argument("program", nargs=argparse.REMAINDER, help="for `with`: what to run on services made for tests")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    parent = os.getppid()

    def is_abandoned() -> bool:
        return arguments.follow_parent and os.getppid() != parent

    try:
        environment.load_dotenv()
        if arguments.command == "with":
            return run_with(arguments.program, durable=arguments.durable)
        state = state_dir(os.environ)
        if arguments.command == "env":
            return print_environment(state)
        if arguments.command == "services":
            return run_services(state, is_abandoned=is_abandoned)
        return run(state, is_abandoned=is_abandoned)
    except LocalError as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    except BrokenPipeError:  # whoever read our output has left; all is stopped by now
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def run(state: Path, *, is_abandoned: Callable[[], bool]) -> int:
    """Everything; returns when it has stopped again, with an exit code."""
    claim = services.claim(state)
    mark = digest(state)
    processes.stop_all(processes.marked(mark), grace=3)
    port, sandbox_port = running.choose_ports(os.environ)
    values = _values(state, port=port, sandbox_port=sandbox_port)
    with services.start(state, values, claim=claim) as local:
        try:
            preparation = running.Preparation(local, mark=mark)
            if not preparation.is_routine:
                preparation.finish()

            def watch(supervisor: Supervisor) -> None:
                running.watch(
                    supervisor,
                    local=local,
                    preparation=preparation,
                    business=running.Business(local, mark=mark),
                    port=port,
                    is_abandoned=is_abandoned,
                )

            supervisor = Supervisor(mark=mark, environment=local.environment, watch=watch)
            for program in programs(
                state=state, port=port, sandbox_port=sandbox_port, site_url=local.environment["SITE_URL"]
            ):
                supervisor.add(program)
            return supervisor.run()
        finally:
            _ignore_signals()
            processes.stop_all(processes.marked(mark), first=signal.SIGKILL)


def run_services(state: Path, *, is_abandoned: Callable[[], bool]) -> int:
    """PostgreSQL and the broker alone, until a signal."""
    claim = services.claim(state)
    processes.stop_all(processes.marked(digest(state)), grace=3)
    port = environment.port(os.environ, "PORT", 8000)
    values = _values(state, port=port, sandbox_port=environment.port(os.environ, "SANDBOX_PORT", port + 1))
    with services.start(state, values, claim=claim) as local:
        try:
            print('PostgreSQL and the broker are running. In another shell: eval "$(make env)"\nready', flush=True)
            while not is_abandoned():
                if dead := local.dead():
                    raise LocalError(f"{dead} has ended; its log is under {state}.")
                time.sleep(0.3)
            return 0
        finally:
            _ignore_signals()


def run_with(program: list[str], *, durable: bool) -> int:
    """One program on empty services of its own, as tests have them; returns its exit code."""
    with services.for_tests(durable=durable) as local:
        try:
            return subprocess.run(program, env=local.environment).returncode
        finally:
            _ignore_signals()


def print_environment(state: Path) -> int:
    """The `export` lines of what runs here, or of what would run."""
    claim = Claim(state)
    if claim.take() is None:
        port = environment.port(os.environ, "PORT", 8000)
        _values(state, port=port, sandbox_port=environment.port(os.environ, "SANDBOX_PORT", port + 1))
        claim.give_back()
        print("Nothing runs here yet: start `make run` or `make services`.", file=sys.stderr, flush=True)
    print(environment.export_lines(environment.recorded(state)), flush=True)
    return 0


def _values(state: Path, *, port: int, sandbox_port: int) -> dict[str, str]:
    """The whole environment, addresses of the services included; what `make env` repeats of it is recorded."""
    given = dict(os.environ) | {"CHUIZI_STATE_DIR": str(state)}
    defaults = environment.sandbox_values(state=state, port=port, sandbox_port=sandbox_port, given=given)
    values = environment.completed(given, defaults=defaults)
    values |= services.urls(*services.ours(state, values))
    environment.record(state, values, names={*defaults, "DATABASE_URL", "CELERY_BROKER_URL"})
    return values


def _leave(_number: int, _frame: FrameType | None) -> None:
    """Outside honcho's loop a signal ends the program through its `finally` clauses. To be asked is no error."""
    _ignore_signals()
    raise SystemExit(0)


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())

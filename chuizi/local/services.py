"""PostgreSQL and the broker together: started where the environment names none, stopped as one."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chuizi.local import environment
from chuizi.local.postgres import Postgres
from chuizi.local.state import Claim, LocalError, make_folder, runtime_path, state_dir
from chuizi.local.valkey import Valkey

TAKE_SECONDS = 10  # an earlier run that was told to stop takes about half of that
TEST_RUN = "CHUIZI_TEST_STATE_DIR"  # set for a test run's own processes: its services are already there


@dataclass
class Services:
    """What runs for us; `environment` is everything a process needs to use it."""

    state: Path
    claim: Claim | None = None
    postgres: Postgres | None = None
    broker: Valkey | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def stop(self) -> None:
        """Stop what was started. Safe to call twice."""
        for service in (self.broker, self.postgres):
            if service is not None:
                service.stop()
        if self.claim is not None:
            shutil.rmtree(runtime_path(self.state), ignore_errors=True)
            self.claim.give_back()
            self.claim = None

    def dead(self) -> str | None:
        """The name of a service that has ended by itself, if one has."""
        if self.postgres is not None and not self.postgres.is_alive():
            return "PostgreSQL"
        if self.broker is not None and not self.broker.is_alive():
            return "Valkey"
        return None

    def __enter__(self) -> "Services":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()


def ours(state: Path, given: Mapping[str, str], *, fast: bool = False) -> tuple[Postgres | None, Valkey | None]:
    """The services that are ours to run, not started: those the environment names no other for.

    After `eval "$(make env)"` it names our own, which is no reason not to start them.
    """
    postgres, broker = Postgres(state, fast=fast), Valkey(state)
    database, queue = given.get("DATABASE_URL"), given.get("CELERY_BROKER_URL")
    return (
        postgres if not database or database == postgres.url else None,
        broker if not queue or queue == broker.url else None,
    )


def urls(postgres: Postgres | None, broker: Valkey | None) -> dict[str, str]:
    found = {}
    if postgres is not None:
        found["DATABASE_URL"] = postgres.url
    if broker is not None:
        found["CELERY_BROKER_URL"] = broker.url
    return found


def claim(state: Path) -> Claim:
    """The sole right to run services there; raise `LocalError` if another process has it."""
    taken = Claim(state)
    holder = taken.take(seconds=TAKE_SECONDS)
    if holder is not None:
        raise LocalError(
            f"Process {holder} is already running on {state}. Stop it, or set CHUIZI_STATE_DIR to another folder."
        )
    return taken


def start(state: Path, given: Mapping[str, str], *, claim: Claim, fast: bool = False) -> Services:
    """Start what `given` does not name. From here on the claim is given back by `Services.stop`."""
    postgres, broker = ours(state, given, fast=fast)
    services = Services(state, claim, postgres, broker, {**given, **urls(postgres, broker)})
    try:
        for service in (postgres, broker):
            if service is not None:
                service.start()
    except BaseException:
        services.stop()
        raise
    return services


def for_tests(*, durable: bool = False) -> Services:
    """Services under `<state>/test`, or beside it if another test run is there, and the sandbox's variables.

    Put `environment` into `os.environ` before the settings are read, and call `stop()` at the end. Workers of
    pytest-xdist inherit the variables, and so start nothing of their own.
    """
    environment.load_dotenv()
    given = dict(os.environ)
    if TEST_RUN in given:
        return Services(Path(given[TEST_RUN]), environment=given)
    main = state_dir(given)
    for name, url in urls(*ours(main, given)).items():
        if given.get(name) == url:
            del given[name]  # `make env` named the database of `make run`, which tests leave alone
    state, taken = _free_test_folder(main)
    port = environment.port(given, "PORT", 8000)
    defaults = environment.sandbox_values(state=state, port=port, sandbox_port=port + 1)
    values = environment.completed(given, defaults=defaults)
    return start(state, values | {TEST_RUN: str(state), "CHUIZI_STATE_DIR": str(state)}, claim=taken, fast=not durable)


def _free_test_folder(main: Path) -> tuple[Path, Claim]:
    mode = 0o711 if os.geteuid() == 0 else 0o700
    for number in range(1, 100):
        folder = make_folder(main / ("test" if number == 1 else f"test-{number}"), mode=mode)
        taken = Claim(folder)
        if taken.take() is None:
            return folder, taken
    raise LocalError(f"A hundred test runs are under way in {main}.")

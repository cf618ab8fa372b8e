"""A database with every migration applied, made once and copied by each test run and each of its workers: to apply
them takes ten seconds of a processor.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import psycopg
from django.conf import settings

ROOT = Path(__file__).resolve().parent.parent
PREFIX = "chuizi_template_"


def made() -> str:
    """Its name. Those of other migrations are dropped."""
    name = PREFIX + _stamp()
    with open(Path(os.environ["CHUIZI_STATE_DIR"]) / "template.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with psycopg.connect(database_url("postgres"), autocommit=True) as connection:
            found = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", [f"{PREFIX}%"])
            there = {str(row[0]) for row in found}
            for other in there - {name}:
                connection.execute(f"DROP DATABASE {other} WITH (FORCE)")  # type: ignore[call-overload]
            if name not in there:
                _make(connection, name)
    return name


def _make(connection: "psycopg.Connection[tuple[object, ...]]", name: str) -> None:
    unfinished = f"{name}_new"
    connection.execute(f"CREATE DATABASE {unfinished}")  # type: ignore[call-overload]
    migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(migrate, cwd=ROOT, env={**os.environ, "DATABASE_URL": database_url(unfinished)}, check=True)
    connection.execute(f"ALTER DATABASE {unfinished} RENAME TO {name}")  # type: ignore[call-overload]


def database_url(name: str) -> str:
    """The address of a database on the tests' server."""
    config = settings.DATABASES["default"]
    password = f":{quote(config['PASSWORD'])}" if config.get("PASSWORD") else ""
    return f"postgres://{config['USER']}{password}@{quote(config['HOST'], safe='')}/{name}"


def _stamp() -> str:
    found = hashlib.sha256((ROOT / "requirements.txt").read_bytes())
    for path in sorted(ROOT.glob("*/migrations/*.py")):
        found.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return found.hexdigest()[:16]


if __name__ == "__main__":
    made()

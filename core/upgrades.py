"""A database that stopped between two steps of which only the sum is left: said before Django guesses what to run."""

from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

LAST_WITH_EACH_STEP = "57d634e"
"""The commit whose migrations are still one by one; it brings any older database to where this one goes on."""


@register(Tags.database)
def check(app_configs: Any, databases: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Runs before migrations, and with `check --database default`."""
    found = (half_way(alias=alias) for alias in databases or ())
    return [Error(text, id="chuizi.E101") for text in found if text]


def half_way(*, alias: str = "default") -> str:
    """Why this database cannot be migrated from where it is; "" where it can.

    Django runs a migration that `replaces` others if none of them was applied, and takes it as done if all were. Where
    some were it goes back to their files; without the files it would leave out the rest, or run the whole once more.
    """
    applied = MigrationRecorder(connections[alias]).applied_migrations()
    files = MigrationLoader(None).disk_migrations
    stops = []
    for key, migration in sorted(files.items()):
        done = [step for step in migration.replaces if step in applied]
        is_known = key in applied or all(step in files for step in migration.replaces)
        if done and len(done) < len(migration.replaces) and not is_known:
            stops.append(" ".join(done[-1]))
    if not stops:
        return ""
    return (
        f"This database stands after {' and '.join(stops)}, and the steps from there are no longer here one by one. "
        f"Check out commit {LAST_WITH_EACH_STEP}, run `python manage.py migrate` there, then come back to this version."
    )

"""One process that brings the database up to date: migrations if any are due, the demo data.

What it says on standard output is for the person: the demo logins and key.
"""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chuizi.settings")
    os.environ["DB_STATEMENT_TIMEOUT_MS"] = "0"  # a migration may rightly take longer than a request's query
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor
    from django.utils import timezone

    from core import upgrades

    if text := upgrades.half_way():
        sys.exit(text)
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        print("Preparing the database", file=sys.stderr, flush=True)
        call_command("migrate", interactive=False, verbosity=0)
    else:
        executor.check_replacements()  # what replaces applied migrations is written down, too
    from chuizi.local import demo

    print(demo.seed(now=timezone.now()))


if __name__ == "__main__":
    main()

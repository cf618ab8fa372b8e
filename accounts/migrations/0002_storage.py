"""Meters are narrow hot rows that update in place; throttles and sessions live in PostgreSQL."""

from django.core.management import call_command
from django.db import migrations


def create_cache_table(apps, schema_editor):
    call_command("createcachetable", database=schema_editor.connection.alias, verbosity=0)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE accounts_keymeter SET (fillfactor = 50);"
            "ALTER TABLE accounts_customermeter SET (fillfactor = 50);",
            "ALTER TABLE accounts_keymeter RESET (fillfactor);"
            "ALTER TABLE accounts_customermeter RESET (fillfactor);",
        ),
        migrations.RunPython(create_cache_table, migrations.RunPython.noop),
    ]

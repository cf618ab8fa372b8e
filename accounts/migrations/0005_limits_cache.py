from django.core.management import call_command
from django.db import migrations


def make_tables(apps, schema_editor):
    """Counts of attempts have a table of their own, from which nothing is evicted; makes those that are missing."""
    call_command("createcachetable", database=schema_editor.connection.alias, verbosity=0)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_scopes")]
    operations = [migrations.RunPython(make_tables, migrations.RunPython.noop)]

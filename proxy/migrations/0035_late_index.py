from django.db import migrations


class Migration(migrations.Migration):
    """Requests that were settled long after they were made: few, and no request of every day is written into it."""

    atomic = False

    dependencies = [
        ("proxy", "0034_upstream_health"),
    ]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS generation_late ON proxy_generation (customer_id, id)"
            " WHERE settled_at - created_at > interval '1 day'",
            "DROP INDEX IF EXISTS generation_late",
        ),
    ]

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Concurrently, as a gateway may be writing; in a large table that takes longer than a request's statements may."""

    atomic = False

    dependencies = [
        ("billing", "0006_adjustments"),
    ]

    operations = [
        migrations.RunSQL("SET statement_timeout = 0", "SET statement_timeout = 0"),
        AddIndexConcurrently(
            model_name="transfer",
            index=models.Index(
                condition=models.Q(("kind__in", ["adjustment", "write_off_recovered"])),
                fields=["debit"],
                name="transfer_taken_down",
            ),
        ),
        migrations.RunSQL("RESET statement_timeout", "RESET statement_timeout"),
    ]

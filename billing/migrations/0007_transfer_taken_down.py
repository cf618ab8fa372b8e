from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

UNLIMITED = ["SET statement_timeout = 0", "SET lock_timeout = 0"]
LIMITED = ["RESET statement_timeout", "RESET lock_timeout"]


class Migration(migrations.Migration):
    """Concurrently, as a gateway may be writing; in a large table that takes longer than a request's statements may, and
    it waits for whoever reads meanwhile, an audit's page for one. Cut short, it would leave half an index behind.
    """

    atomic = False

    dependencies = [
        ("billing", "0006_adjustments"),
    ]

    operations = [
        migrations.RunSQL(UNLIMITED, UNLIMITED),
        AddIndexConcurrently(
            model_name="transfer",
            index=models.Index(
                condition=models.Q(("kind__in", ["adjustment", "write_off_recovered"])),
                fields=["debit"],
                name="transfer_taken_down",
            ),
        ),
        migrations.RunSQL(LIMITED, LIMITED),
    ]

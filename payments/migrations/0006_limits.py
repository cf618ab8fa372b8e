from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0005_statements")]

    operations = [
        migrations.AddField(
            model_name="topup",
            name="network_hash",
            field=models.CharField(blank=True, help_text="Where it was opened from, as a keyed hash.", max_length=64),
        ),
        migrations.AddIndex(
            model_name="topup",
            index=models.Index(
                condition=models.Q(("network_hash", ""), _negated=True),
                fields=["network_hash", "created_at"],
                name="topup_from_network",
            ),
        ),
    ]

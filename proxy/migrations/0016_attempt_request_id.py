from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("proxy", "0015_bring_bills"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="attempt",
            index=models.Index(
                condition=models.Q(("upstream_request_id", ""), _negated=True),
                fields=["upstream_request_id"],
                name="attempt_request_id",
            ),
        ),
    ]

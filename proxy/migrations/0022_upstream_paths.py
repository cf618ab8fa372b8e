"""What an upstream has of its protocol."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("proxy", "0021_session_index")]

    operations = [
        migrations.AddField(
            model_name="upstream",
            name="paths",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=20),
                blank=True,
                db_default=[],
                default=list,
                help_text="What it has of its protocol, as in: chat, responses, embeddings. Empty: all.",
                size=None,
                verbose_name="paths",
            ),
        ),
    ]

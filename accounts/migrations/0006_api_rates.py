from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0005_limits_cache")]
    operations = [
        migrations.CreateModel(
            name="ApiRate",
            fields=[
                ("who", models.CharField(max_length=60, primary_key=True, serialize=False)),
                ("slot", models.BigIntegerField(default=0)),
                ("slots", ArrayField(base_field=models.IntegerField(), size=None)),
            ],
            options={
                "verbose_name": "rate of the account API",
                "verbose_name_plural": "rates of the account API",
            },
        ),
        # Written with each request: a commit that changed nothing else need not wait for the disk.
        migrations.RunSQL("ALTER TABLE accounts_apirate SET UNLOGGED", "ALTER TABLE accounts_apirate SET LOGGED"),
    ]

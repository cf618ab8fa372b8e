"""A bill may be brought again in another zone."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("proxy", "0017_terms")]

    operations = [
        migrations.RemoveConstraint(model_name="upstreambill", name="upstreambill_once"),
        migrations.AddConstraint(
            model_name="upstreambill",
            constraint=models.UniqueConstraint(
                fields=["upstream", "sha256", "first", "last", "zone"],
                condition=models.Q(state__in=["waiting", "read", "compared"]),
                name="upstreambill_once",
            ),
        ),
    ]

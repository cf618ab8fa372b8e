from typing import ClassVar

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies: ClassVar = [("proxy", "0003_catalog_version")]

    operations: ClassVar = [
        migrations.AddIndex(
            model_name="generation",
            index=models.Index(
                condition=Q(state__in=["released", "quarantined"]),
                fields=["state", "-id"],
                name="generation_uncharged",
            ),
        ),
    ]

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Of the largest table, which goes on being written meanwhile."""

    atomic = False

    dependencies = [
        ('proxy', '0032_usage_days'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='generation',
            index=models.Index(condition=models.Q(('charged_on__isnull', True), ('state', 'settled')), fields=['customer', 'id'], name='generation_uncounted'),
        ),
    ]

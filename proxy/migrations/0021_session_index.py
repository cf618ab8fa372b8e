from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Of the largest table, which goes on being written meanwhile."""

    atomic = False

    dependencies = [
        ('proxy', '0020_session'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='generation',
            index=models.Index(condition=models.Q(('session__isnull', False)), fields=['customer', 'session', '-id'], name='generation_session'),
        ),
    ]

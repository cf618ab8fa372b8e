from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Of the largest table, which goes on being written meanwhile."""

    atomic = False

    dependencies = [
        ('proxy', '0027_counted_on'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='generation',
            index=models.Index(condition=models.Q(('state', 'held')), fields=['key'], name='generation_key_in_flight'),
        ),
        RemoveIndexConcurrently(
            model_name='generation',
            name='generation_in_flight',
        ),
    ]

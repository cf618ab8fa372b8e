from django.contrib.postgres.operations import AddIndexConcurrently, ValidateConstraint
from django.db import migrations, models


class Migration(migrations.Migration):
    """Of a large table, which goes on being written meanwhile."""

    atomic = False

    dependencies = [
        ('billing', '0007_budgets'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='hold',
            index=models.Index(condition=models.Q(('inside__isnull', False)), fields=['inside', 'state'], name='hold_inside'),
        ),
        ValidateConstraint(model_name='hold', name='hold_inside_at_the_bound'),
    ]

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0011_entries'),
        ('payments', '0012_drop_planned_parts'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='discrepancy',
            name='entry',
            field=models.OneToOneField(blank=True, help_text='What resolves it, once it is posted.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='discrepancy', to='billing.journalentry', verbose_name='journal entry'),
        ),
        migrations.AddField(
            model_name='discrepancy',
            name='entry_found_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='`found_at` as the entry saw it: what changed since is not its.', null=True),
        ),
        migrations.AlterField(
            model_name='discrepancy',
            name='state',
            field=models.CharField(choices=[('open', 'open'), ('explained', 'explained'), ('resolved', 'resolved with an entry'), ('cured', 'cured by itself')], default='open', max_length=10, verbose_name='state'),
        ),
        migrations.AddConstraint(
            model_name='discrepancy',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'resolved'), _negated=True), ('entry__isnull', False), _connector='OR'), name='discrepancy_resolved_by_an_entry'),
        ),
    ]

import django.db.models.deletion
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_budgets'),
        ('billing', '0006_shown'),
    ]

    operations = [
        migrations.CreateModel(
            name='Budget',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('amount', models.DecimalField(decimal_places=8, max_digits=20, verbose_name='amount')),
                ('counted_on', models.DateField(blank=True, help_text='The day of its account on which it counts within the caps of the key that made it, if one did.', null=True, verbose_name='counted on')),
                ('created_at', models.DateTimeField(verbose_name='created at')),
                ('expires_at', models.DateTimeField(verbose_name='expires at')),
                ('ended_at', models.DateTimeField(blank=True, null=True, verbose_name='ended at')),
                ('ended_reason', models.CharField(blank=True, choices=[('deleted', 'ended by hand'), ('expired', 'its time was up'), ('key_ended', 'the key or the member that made it is gone')], default='', max_length=20, verbose_name='why it ended')),
            ],
            options={
                'verbose_name': 'budget',
                'verbose_name_plural': 'budgets',
            },
        ),
        migrations.AddField(
            model_name='hold',
            name='inside',
            field=models.CharField(blank=True, db_collation='C', help_text="The budget's hold that it was taken out of, and that its rest goes back to.", max_length=60, null=True, verbose_name='inside'),
        ),
        migrations.AlterField(
            model_name='hold',
            name='kind',
            field=models.CharField(choices=[('request', 'Request'), ('job', 'Background job'), ('refund', 'Refund'), ('dispute', 'Dispute'), ('budget', 'Budget')], max_length=10, verbose_name='kind'),
        ),
        AddConstraintNotValid(
            model_name='hold',
            constraint=models.CheckConstraint(condition=models.Q(('inside__isnull', True), models.Q(('bound', models.F('amount')), ('kind__in', ['request', 'job'])), _connector='OR'), name='hold_inside_at_the_bound'),
        ),
        migrations.AddField(
            model_name='budget',
            name='customer',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer', verbose_name='customer'),
        ),
        migrations.AddField(
            model_name='budget',
            name='key',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='budget', to='accounts.apikey', verbose_name='API key'),
        ),
        migrations.AddIndex(
            model_name='budget',
            index=models.Index(fields=['customer', '-id'], name='budget_customer'),
        ),
        migrations.AddIndex(
            model_name='budget',
            index=models.Index(condition=models.Q(('ended_at__isnull', True)), fields=['expires_at'], name='budget_open'),
        ),
        migrations.AddConstraint(
            model_name='budget',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='budget_amount_positive'),
        ),
        migrations.AddConstraint(
            model_name='budget',
            constraint=models.CheckConstraint(condition=models.Q(('expires_at__gt', models.F('created_at'))), name='budget_lasts'),
        ),
        migrations.AddConstraint(
            model_name='budget',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at__isnull', True), ('ended_reason', '')), models.Q(('ended_at__isnull', False), models.Q(('ended_reason', ''), _negated=True)), _connector='OR'), name='budget_ended_has_reason'),
        ),
    ]

import django.contrib.postgres.indexes
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0004_invoices")]

    operations = [
        migrations.CreateModel(
            name='AccountDay',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField(verbose_name='day (UTC)')),
                ('debits', models.DecimalField(decimal_places=8, max_digits=24, verbose_name='debits')),
                ('credits', models.DecimalField(decimal_places=8, max_digits=24, verbose_name='credits')),
                ('transfers', models.PositiveIntegerField(verbose_name='transfers')),
            ],
            options={
                'verbose_name': 'day of an account',
                'verbose_name_plural': 'days of accounts',
            },
        ),
        migrations.CreateModel(
            name='AuditRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('started_at', models.DateTimeField(verbose_name='started at')),
                ('finished_at', models.DateTimeField(verbose_name='finished at')),
                ('customers', models.PositiveIntegerField(verbose_name='customers')),
                ('drifts', models.PositiveIntegerField(verbose_name='drifts')),
                ('first_drifts', models.TextField(blank=True, verbose_name='first drifts')),
            ],
            options={
                'verbose_name': 'audit',
                'verbose_name_plural': 'audits',
                'get_latest_by': 'finished_at',
            },
        ),
        migrations.CreateModel(
            name='ClosedDay',
            fields=[
                ('day', models.DateField(primary_key=True, serialize=False, verbose_name='day (UTC)')),
                ('transfers', models.PositiveIntegerField(verbose_name='transfers')),
                ('closed_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='closed at')),
            ],
            options={
                'verbose_name': 'closed day',
                'verbose_name_plural': 'closed days',
            },
        ),
        migrations.AddIndex(
            model_name='transfer',
            index=django.contrib.postgres.indexes.BrinIndex(autosummarize=True, fields=['created_at'], name='transfer_day', pages_per_range=32),
        ),
        migrations.AddField(
            model_name='accountday',
            name='account',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='days', to='billing.ledgeraccount'),
        ),
        migrations.AddIndex(
            model_name='auditrun',
            index=models.Index(fields=['-finished_at'], name='auditrun_finished'),
        ),
        migrations.AddIndex(
            model_name='accountday',
            index=models.Index(fields=['day'], name='accountday_day'),
        ),
        migrations.AddConstraint(
            model_name='accountday',
            constraint=models.UniqueConstraint(fields=('account', 'day'), name='accountday_once'),
        ),
    ]

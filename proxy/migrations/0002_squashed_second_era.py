"""Corrected charges, service tiers, and leases that were swept."""

from django.db import migrations, models

UNHURRIED = """
SET LOCAL statement_timeout = 0;
SET LOCAL lock_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0"""
"""All of it is one transaction, in which Python may work for longer than one may be idle."""

FILL_CORRECTED_COST = """
UPDATE proxy_generation SET corrected_cost = 0
WHERE id IN (SELECT split_part(key, ':', 1) FROM billing_transfer WHERE kind = 'reversal')"""


class Migration(migrations.Migration):
    replaces = [
        ('proxy', '0007_corrected_cost'),
        ('proxy', '0008_quarantine_right'),
        ('proxy', '0009_lease_swept_at'),
        ('proxy', '0010_service_tier'),
        ('proxy', '0011_column_names'),
    ]

    dependencies = [
        ('accounts', '0002_squashed_second_era'),
        ('billing', '0001_squashed_first_era'),
        ('proxy', '0001_squashed_first_era'),
    ]

    operations = [
        migrations.RunSQL(UNHURRIED, migrations.RunSQL.noop),
        migrations.AddField(
            model_name='generation',
            name='corrected_cost',
            field=models.DecimalField(decimal_places=8, help_text='What the charge came to after corrections; empty: as it was charged.', max_digits=20, null=True, verbose_name='corrected charge, USD'),
        ),
        migrations.AddField(
            model_name='lease',
            name='swept_at',
            field=models.DateTimeField(help_text='Its requests were released; a later renewal says: wrongly.', null=True, verbose_name='taken for dead at'),
        ),
        migrations.AddField(
            model_name='generation',
            name='asked_tier',
            field=models.CharField(blank=True, db_default='', default='', help_text='The service tier that the caller named.', max_length=20, verbose_name='service tier asked for'),
        ),
        migrations.AddField(
            model_name='generation',
            name='service_tier',
            field=models.CharField(blank=True, db_default='', default='', help_text='The service tier that the upstream says it served at.', max_length=20, verbose_name='service tier served'),
        ),
        migrations.AddConstraint(
            model_name='generation',
            constraint=models.CheckConstraint(condition=models.Q(('corrected_cost__isnull', True), ('corrected_cost__gte', 0), _connector='OR'), name='generation_corrected_cost_not_negative'),
        ),
        migrations.RunSQL(FILL_CORRECTED_COST, migrations.RunSQL.noop),
    ]

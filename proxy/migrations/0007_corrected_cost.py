from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_api_rates'),
        ('billing', '0006_adjustments'),
        ('proxy', '0006_route_settings'),
    ]

    operations = [
        migrations.AddField(
            model_name='generation',
            name='corrected_cost',
            field=models.DecimalField(decimal_places=8, help_text='What the charge came to after corrections; empty: as it was charged.', max_digits=20, null=True),
        ),
        migrations.RunSQL(
            "UPDATE proxy_generation SET corrected_cost = 0"
            " WHERE id IN (SELECT split_part(key, ':', 1) FROM billing_transfer WHERE kind = 'reversal')",
            migrations.RunSQL.noop,
        ),
        migrations.AddConstraint(
            model_name='generation',
            constraint=models.CheckConstraint(condition=models.Q(('corrected_cost__isnull', True), ('corrected_cost__gte', 0), _connector='OR'), name='generation_corrected_cost_not_negative'),
        ),
    ]

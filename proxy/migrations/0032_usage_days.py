import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0010_account_meters'),
        ('proxy', '0031_ended_by'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ChargeCorrection',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('generation_id', models.CharField(db_collation='C', db_index=True, max_length=28, verbose_name='request')),
                ('customer', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer', verbose_name='customer')),
                ('day', models.DateField(help_text="Of the account's zone as it was then.", verbose_name='day')),
                ('posted_at', models.DateTimeField(verbose_name='posted at')),
                ('amount', models.DecimalField(decimal_places=8, help_text='Below zero: given back.', max_digits=20, verbose_name='amount, USD')),
            ],
            options={
                'verbose_name': 'correction of a charge',
                'verbose_name_plural': 'corrections of charges',
            },
        ),
        migrations.CreateModel(
            name='UsageDay',
            fields=[
                ('pk', models.CompositePrimaryKey('customer', 'day', 'model', 'key', 'maker_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('day', models.DateField(help_text="Of the account's zone as it was when the charge was made.", verbose_name='day')),
                ('customer', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer', verbose_name='customer')),
                ('model', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='proxy.model', verbose_name='model')),
                ('key', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.apikey', verbose_name='API key')),
                ('maker_id', models.BigIntegerField(help_text="Whose key it was; 0: nobody's.", verbose_name='member')),
                ('requests', models.BigIntegerField(verbose_name='requests')),
                ('input_tokens', models.BigIntegerField(verbose_name='input tokens')),
                ('output_tokens', models.BigIntegerField(verbose_name='output tokens')),
                ('cached_tokens', models.BigIntegerField(verbose_name='cached tokens')),
                ('charged', models.DecimalField(decimal_places=8, help_text='As it was settled.', max_digits=30, verbose_name='charged, USD')),
                ('corrected', models.DecimalField(decimal_places=8, help_text='Below zero: given back on this day.', max_digits=30, verbose_name='corrections, USD')),
            ],
            options={
                'verbose_name': 'usage of a day',
                'verbose_name_plural': 'usage by day',
            },
        ),
        migrations.AddField(
            model_name='generation',
            name='charged_on',
            field=models.DateField(help_text='The day of its account whose sums it is in; empty: it is in none yet, or cost nothing.', null=True, verbose_name='charged on'),
        ),
        migrations.AddField(
            model_name='generation',
            name='maker',
            field=models.ForeignKey(db_constraint=False, db_index=False, help_text='Whose key it was made with when it was charged.', null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='member'),
        ),
        migrations.AddIndex(
            model_name='chargecorrection',
            index=models.Index(fields=['customer', 'day', 'id'], name='chargecorrection_day'),
        ),
        migrations.RunSQL("ALTER TABLE proxy_usageday SET (fillfactor = 50)", migrations.RunSQL.noop),
    ]

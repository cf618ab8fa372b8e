import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from decimal import Decimal
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_groups'),
    ]

    operations = [
        migrations.CreateModel(
            name='FormerText',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('prefix', models.CharField(max_length=12, verbose_name='prefix')),
                ('sha256', models.CharField(editable=False, max_length=64, unique=True)),
                ('works_until', models.DateTimeField(db_index=True, verbose_name='works until')),
            ],
            options={
                'verbose_name': 'former text of a key',
                'verbose_name_plural': 'former texts of keys',
            },
        ),
        migrations.CreateModel(
            name='MemberMeter',
            fields=[
                ('day', models.DateField()),
                ('day_spent', models.DecimalField(db_default=Decimal('0'), decimal_places=8, default=Decimal('0'), max_digits=20)),
                ('week_spent', models.DecimalField(db_default=Decimal('0'), decimal_places=8, default=Decimal('0'), max_digits=20)),
                ('month_spent', models.DecimalField(db_default=Decimal('0'), decimal_places=8, default=Decimal('0'), max_digits=20)),
                ('total_spent', models.DecimalField(db_default=Decimal('0'), decimal_places=8, default=Decimal('0'), max_digits=20)),
                ('day_charged', models.DecimalField(db_default=Decimal('0'), decimal_places=8, default=Decimal('0'), max_digits=20)),
                ('week_charged', models.DecimalField(db_default=Decimal('0'), decimal_places=8, default=Decimal('0'), max_digits=20)),
                ('month_charged', models.DecimalField(db_default=Decimal('0'), decimal_places=8, default=Decimal('0'), max_digits=20)),
                ('total_charged', models.DecimalField(db_default=Decimal('0'), decimal_places=8, default=Decimal('0'), max_digits=20)),
                ('membership', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='meter', serialize=False, to='accounts.membership')),
                ('customer_id', models.BigIntegerField()),
            ],
            options={
                'verbose_name': 'member meter',
                'verbose_name_plural': 'member meters',
            },
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='apikey',
            name='key_opens_meter',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='apikey',
            name='key_policy_version',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='membership',
            name='membership_policy_version',
        ),
        migrations.AddField(
            model_name='apikey',
            name='concurrency_limit',
            field=models.PositiveIntegerField(blank=True, help_text='Empty: no limit.', null=True, verbose_name='requests at once'),
        ),
        migrations.AddField(
            model_name='apikey',
            name='monthly_limit',
            field=models.DecimalField(blank=True, decimal_places=8, max_digits=20, null=True, verbose_name='monthly cap, USD'),
        ),
        migrations.AddField(
            model_name='apikey',
            name='weekly_limit',
            field=models.DecimalField(blank=True, decimal_places=8, max_digits=20, null=True, verbose_name='weekly cap, USD'),
        ),
        migrations.AddField(
            model_name='customer',
            name='time_zone',
            field=models.CharField(db_default='UTC', default='UTC', help_text='Its days, weeks and months begin at midnight there: an IANA name, such as Asia/Shanghai.', max_length=50, verbose_name='time zone'),
        ),
        migrations.AddField(
            model_name='keymeter',
            name='day_charged',
            field=models.DecimalField(db_default=Decimal('0'), decimal_places=8, default=Decimal('0'), max_digits=20),
        ),
        migrations.AddField(
            model_name='keymeter',
            name='member_id',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='keymeter',
            name='month_charged',
            field=models.DecimalField(db_default=Decimal('0'), decimal_places=8, default=Decimal('0'), max_digits=20),
        ),
        migrations.AddField(
            model_name='keymeter',
            name='month_spent',
            field=models.DecimalField(db_default=Decimal('0'), decimal_places=8, default=Decimal('0'), max_digits=20),
        ),
        migrations.AddField(
            model_name='keymeter',
            name='total_charged',
            field=models.DecimalField(db_default=Decimal('0'), decimal_places=8, default=Decimal('0'), max_digits=20),
        ),
        migrations.AddField(
            model_name='keymeter',
            name='week_charged',
            field=models.DecimalField(db_default=Decimal('0'), decimal_places=8, default=Decimal('0'), max_digits=20),
        ),
        migrations.AddField(
            model_name='keymeter',
            name='week_spent',
            field=models.DecimalField(db_default=Decimal('0'), decimal_places=8, default=Decimal('0'), max_digits=20),
        ),
        migrations.AddField(
            model_name='membership',
            name='daily_limit',
            field=models.DecimalField(blank=True, decimal_places=8, max_digits=20, null=True, verbose_name='daily cap, USD'),
        ),
        migrations.AddField(
            model_name='membership',
            name='monthly_limit',
            field=models.DecimalField(blank=True, decimal_places=8, max_digits=20, null=True, verbose_name='monthly cap, USD'),
        ),
        migrations.AddField(
            model_name='membership',
            name='total_limit',
            field=models.DecimalField(blank=True, decimal_places=8, max_digits=20, null=True, verbose_name='total cap, USD'),
        ),
        migrations.AddField(
            model_name='membership',
            name='weekly_limit',
            field=models.DecimalField(blank=True, decimal_places=8, max_digits=20, null=True, verbose_name='weekly cap, USD'),
        ),
        migrations.AlterField(
            model_name='keymeter',
            name='day_spent',
            field=models.DecimalField(db_default=Decimal('0'), decimal_places=8, default=Decimal('0'), max_digits=20),
        ),
        migrations.AlterField(
            model_name='keymeter',
            name='total_spent',
            field=models.DecimalField(db_default=Decimal('0'), decimal_places=8, default=Decimal('0'), max_digits=20),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='apikey',
            trigger=pgtrigger.compiler.Trigger(name='key_opens_meter', sql=pgtrigger.compiler.UpsertTriggerSql(func="INSERT INTO accounts_keymeter (key_id, customer_id, version, active, slot, slots, day, day_spent, total_spent, member_id) VALUES (NEW.id, NEW.customer_id, 1, NEW.is_active, 0, array_fill(0, ARRAY[13]), '2000-01-01', 0, 0, (SELECT s.id FROM accounts_membership s WHERE s.user_id = NEW.created_by_id AND s.customer_id = NEW.customer_id)); RETURN NULL;", hash='33e5aea9f0146e2acfc6e9ebab5e350f386eb1ef', operation='INSERT', pgid='pgtrigger_key_opens_meter_f17c3', table='accounts_apikey', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='apikey',
            trigger=pgtrigger.compiler.Trigger(name='key_policy_version', sql=pgtrigger.compiler.UpsertTriggerSql(func='UPDATE accounts_keymeter SET version = version + 1, active = NEW.is_active, member_id = (SELECT s.id FROM accounts_membership s WHERE s.user_id = NEW.created_by_id AND s.customer_id = NEW.customer_id) WHERE key_id = NEW.id; RETURN NULL;', hash='a2cdacce0c70b53386daca019c5a2a5d570c8412', operation='UPDATE', pgid='pgtrigger_key_policy_version_56741', table='accounts_apikey', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='membership',
            trigger=pgtrigger.compiler.Trigger(name='membership_policy_version', sql=pgtrigger.compiler.UpsertTriggerSql(func='UPDATE accounts_keymeter m SET version = m.version + 1, member_id = (SELECT s.id FROM accounts_membership s WHERE s.user_id = k.created_by_id AND s.customer_id = k.customer_id) FROM accounts_apikey k WHERE m.key_id = k.id AND k.created_by_id IN (OLD.user_id, NEW.user_id) AND k.customer_id IN (OLD.customer_id, NEW.customer_id); RETURN NULL;', hash='d5081b6e167322bd149aff18ac2b79fa91c5abd9', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_membership_policy_version_be385', table='accounts_membership', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='apikey',
            constraint=models.CheckConstraint(condition=models.Q(('weekly_limit__gte', 0)), name='key_weekly_limit_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='apikey',
            constraint=models.CheckConstraint(condition=models.Q(('monthly_limit__gte', 0)), name='key_monthly_limit_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='apikey',
            constraint=models.CheckConstraint(condition=models.Q(('concurrency_limit__gte', 1)), name='key_concurrency_limit_positive'),
        ),
        migrations.AddConstraint(
            model_name='membership',
            constraint=models.CheckConstraint(condition=models.Q(('daily_limit__gte', 0)), name='membership_daily_limit_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='membership',
            constraint=models.CheckConstraint(condition=models.Q(('weekly_limit__gte', 0)), name='membership_weekly_limit_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='membership',
            constraint=models.CheckConstraint(condition=models.Q(('monthly_limit__gte', 0)), name='membership_monthly_limit_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='membership',
            constraint=models.CheckConstraint(condition=models.Q(('total_limit__gte', 0)), name='membership_total_limit_not_negative'),
        ),
        migrations.AddField(
            model_name='formertext',
            name='key',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='former_texts', to='accounts.apikey', verbose_name='API key'),
        ),
        migrations.RunSQL(
            "UPDATE accounts_keymeter m SET member_id = s.id FROM accounts_apikey k JOIN accounts_membership s"
            " ON s.user_id = k.created_by_id AND s.customer_id = k.customer_id WHERE m.key_id = k.id;"
            "ALTER TABLE accounts_membermeter SET (fillfactor = 50);",
            migrations.RunSQL.noop,
        ),
    ]

"""People, keys, meters and the staff's trail, as the first era left them."""

import accounts.models
import django.contrib.postgres.fields
import django.core.serializers.json
import django.db.models.deletion
import django.db.models.functions.text
import django.utils.timezone
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.core.management import call_command
from django.db import migrations, models

UNHURRIED = """
SET LOCAL statement_timeout = 0;
SET LOCAL lock_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0"""
"""All of it is one transaction, in which Python may work for longer than one may be idle."""


def make_tables_for_counts(apps, schema_editor):
    """Sessions and counts of attempts live in PostgreSQL."""
    call_command("createcachetable", database=schema_editor.connection.alias, verbosity=0)


class Migration(migrations.Migration):
    initial = True

    replaces = [
        ('accounts', '0001_initial'),
        ('accounts', '0002_storage'),
        ('accounts', '0003_staff'),
        ('accounts', '0004_scopes'),
        ('accounts', '0005_limits_cache'),
        ('accounts', '0006_api_rates'),
    ]

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        migrations.RunSQL(UNHURRIED, migrations.RunSQL.noop),
        migrations.CreateModel(
            name='ApiKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100, verbose_name='name')),
                ('prefix', models.CharField(db_index=True, max_length=12, verbose_name='prefix')),
                ('sha256', models.CharField(editable=False, max_length=64, unique=True)),
                ('is_active', models.BooleanField(default=True, verbose_name='active')),
                ('deleted_at', models.DateTimeField(blank=True, null=True, verbose_name='deleted at')),
                ('expires_at', models.DateTimeField(blank=True, null=True, verbose_name='expires at')),
                ('allowed_models', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=200), blank=True, default=list, size=None, verbose_name='models')),
                ('allowed_ips', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=50), blank=True, default=list, size=None, verbose_name='addresses')),
                ('rpm_limit', models.PositiveIntegerField(blank=True, help_text='Empty: the default. 0: no limit.', null=True, verbose_name='requests per minute')),
                ('daily_limit', models.DecimalField(blank=True, decimal_places=8, max_digits=20, null=True, verbose_name='daily cap, USD')),
                ('total_limit', models.DecimalField(blank=True, decimal_places=8, max_digits=20, null=True, verbose_name='total cap, USD')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='created at')),
            ],
            options={
                'verbose_name': 'API key',
                'verbose_name_plural': 'API keys',
            },
        ),
        migrations.CreateModel(
            name='Customer',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=150, verbose_name='name')),
                ('group', models.CharField(default='default', max_length=50, verbose_name='group')),
                ('rpm_limit', models.PositiveIntegerField(blank=True, help_text='Empty: the default. 0: no limit.', null=True, verbose_name='requests per minute')),
                ('suspended_at', models.DateTimeField(blank=True, null=True, verbose_name='suspended at')),
                ('suspended_reason', models.CharField(blank=True, max_length=200, verbose_name='reason for suspension')),
                ('created_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now, verbose_name='created at')),
            ],
            options={
                'verbose_name': 'customer',
                'verbose_name_plural': 'customers',
            },
        ),
        migrations.CreateModel(
            name='WelcomedAddress',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('address_hash', models.CharField(max_length=64, unique=True, verbose_name='hash of the address')),
                ('network_hash', models.CharField(blank=True, db_index=True, max_length=64, verbose_name='hash of the network')),
                ('granted_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now, verbose_name='granted at')),
            ],
            options={
                'verbose_name': 'welcomed address',
                'verbose_name_plural': 'welcomed addresses',
            },
        ),
        migrations.CreateModel(
            name='User',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('password', models.CharField(max_length=128, verbose_name='password')),
                ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                ('is_superuser', models.BooleanField(default=False, help_text='Designates that this user has all permissions without explicitly assigning them.', verbose_name='superuser status')),
                ('email', models.EmailField(max_length=254, unique=True, verbose_name='email address')),
                ('name', models.CharField(blank=True, max_length=150, verbose_name='name')),
                ('language', models.CharField(default='en', max_length=10, verbose_name='language')),
                ('is_staff', models.BooleanField(default=False, help_text='May log in to the admin.', verbose_name='staff')),
                ('is_active', models.BooleanField(default=True, verbose_name='active')),
                ('date_joined', models.DateTimeField(default=django.utils.timezone.now, verbose_name='joined')),
                ('groups', models.ManyToManyField(blank=True, help_text='The groups this user belongs to. A user will get all permissions granted to each of their groups.', related_name='user_set', related_query_name='user', to='auth.group', verbose_name='groups')),
                ('user_permissions', models.ManyToManyField(blank=True, help_text='Specific permissions for this user.', related_name='user_set', related_query_name='user', to='auth.permission', verbose_name='user permissions')),
            ],
            options={
                'verbose_name': 'user',
                'verbose_name_plural': 'users',
                'constraints': [models.CheckConstraint(condition=models.Q(('email', django.db.models.functions.text.Lower('email'))), name='user_email_lower')],
            },
        ),
        migrations.CreateModel(
            name='KeyMeter',
            fields=[
                ('key', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='meter', serialize=False, to='accounts.apikey')),
                ('customer_id', models.BigIntegerField()),
                ('version', models.IntegerField(default=1)),
                ('active', models.BooleanField(default=True)),
                ('slot', models.BigIntegerField(default=0, help_text='Number of the newest five-second slot since 1970.')),
                ('slots', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), help_text='Requests by slot number modulo 13.', size=None)),
                ('day', models.DateField()),
                ('day_spent', models.DecimalField(decimal_places=8, max_digits=20)),
                ('total_spent', models.DecimalField(decimal_places=8, max_digits=20)),
                ('last_used_at', models.DateTimeField(null=True)),
            ],
            options={
                'verbose_name': 'key meter',
                'verbose_name_plural': 'key meters',
            },
        ),
        migrations.AddField(
            model_name='apikey',
            name='created_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='made by'),
        ),
        migrations.CreateModel(
            name='CustomerMeter',
            fields=[
                ('customer', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='meter', serialize=False, to='accounts.customer')),
                ('version', models.IntegerField(default=1)),
                ('suspended', models.BooleanField(default=False)),
                ('slot', models.BigIntegerField(default=0)),
                ('slots', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), size=None)),
                ('by_model', models.JSONField(default=dict, help_text='{"model": [slot, [13 counts]]}, only of models asked for within the last minute.')),
            ],
            options={
                'verbose_name': 'customer meter',
                'verbose_name_plural': 'customer meters',
            },
        ),
        migrations.AddField(
            model_name='apikey',
            name='customer',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='keys', to='accounts.customer', verbose_name='customer'),
        ),
        migrations.CreateModel(
            name='IdempotentAnswer',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('route', models.CharField(help_text='Method and path.', max_length=120)),
                ('key_hash', models.CharField(max_length=64)),
                ('body_hash', models.CharField(max_length=64)),
                ('status', models.PositiveSmallIntegerField(help_text='Empty while the first request is at work.', null=True)),
                ('body', models.TextField(blank=True)),
                ('created_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.customer')),
            ],
            options={
                'verbose_name': 'idempotent answer',
                'verbose_name_plural': 'idempotent answers',
                'constraints': [models.UniqueConstraint(fields=('customer', 'route', 'key_hash'), name='idempotent_answer_once')],
            },
        ),
        migrations.CreateModel(
            name='Membership',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('role', models.CharField(choices=[('owner', 'Owner'), ('developer', 'Developer'), ('viewer', 'Viewer')], default='owner', max_length=20, verbose_name='role')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='created at')),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='accounts.customer', verbose_name='customer')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL, verbose_name='user')),
            ],
            options={
                'verbose_name': 'membership',
                'verbose_name_plural': 'memberships',
                'constraints': [models.UniqueConstraint(fields=('user', 'customer'), name='membership_once')],
            },
        ),
        migrations.AddField(
            model_name='customer',
            name='members',
            field=models.ManyToManyField(related_name='customers', through='accounts.Membership', to=settings.AUTH_USER_MODEL),
        ),
        migrations.CreateModel(
            name='StaffAction',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('action', models.CharField(help_text='Such as change, suspend or approve.', max_length=60, verbose_name='action')),
                ('object_type', models.CharField(help_text='Such as billing.refundrequest.', max_length=60, verbose_name='kind of object')),
                ('object_id', models.CharField(max_length=60, verbose_name="object's id")),
                ('object_text', models.CharField(max_length=200, verbose_name='object')),
                ('text', models.TextField(blank=True, verbose_name='what')),
                ('why', models.TextField(blank=True, verbose_name='why')),
                ('before', models.JSONField(default=dict, encoder=django.core.serializers.json.DjangoJSONEncoder, verbose_name='before')),
                ('after', models.JSONField(default=dict, encoder=django.core.serializers.json.DjangoJSONEncoder, verbose_name='after')),
                ('address', models.CharField(blank=True, max_length=45, verbose_name='from where')),
                ('at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='at')),
                ('customer', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer', verbose_name='customer')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='who')),
            ],
            options={
                'verbose_name': 'staff action',
                'verbose_name_plural': 'staff actions',
                'indexes': [models.Index(fields=['object_type', 'object_id'], name='staffaction_object')],
            },
        ),
        migrations.CreateModel(
            name='GivenRight',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('role', models.CharField(max_length=40)),
                ('right', models.CharField(help_text='app.model.codename', max_length=120)),
            ],
            options={
                'verbose_name': 'given right',
                'verbose_name_plural': 'given rights',
                'constraints': [models.UniqueConstraint(fields=('role', 'right'), name='given_right_once')],
            },
        ),
        migrations.AddField(
            model_name='apikey',
            name='by_operator',
            field=models.BooleanField(default=False, help_text='Not by a member, whose role would bound it.', verbose_name='made by the operator'),
        ),
        migrations.AddField(
            model_name='apikey',
            name='scopes',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('inference', 'inference'), ('read', 'read'), ('keys', 'keys'), ('billing', 'billing')], max_length=20), default=accounts.models.default_scopes, size=None, verbose_name='scopes'),
        ),
        migrations.CreateModel(
            name='ApiRate',
            fields=[
                ('who', models.CharField(max_length=60, primary_key=True, serialize=False)),
                ('slot', models.BigIntegerField(default=0)),
                ('slots', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), size=None)),
            ],
            options={
                'verbose_name': 'rate of the account API',
                'verbose_name_plural': 'rates of the account API',
            },
        ),
        migrations.AddConstraint(
            model_name='apikey',
            constraint=models.CheckConstraint(condition=models.Q(('daily_limit__gte', 0)), name='key_daily_limit_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='apikey',
            constraint=models.CheckConstraint(condition=models.Q(('total_limit__gte', 0)), name='key_total_limit_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='apikey',
            constraint=models.CheckConstraint(condition=models.Q(('deleted_at__isnull', True), ('is_active', False), _connector='OR'), name='key_deleted_is_inactive'),
        ),
        migrations.AddConstraint(
            model_name='apikey',
            constraint=models.CheckConstraint(condition=models.Q(('scopes__contained_by', ['inference', 'read', 'keys', 'billing'])), name='key_scopes_known'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='apikey',
            trigger=pgtrigger.compiler.Trigger(name='key_opens_meter', sql=pgtrigger.compiler.UpsertTriggerSql(func="INSERT INTO accounts_keymeter (key_id, customer_id, version, active, slot, slots, day, day_spent, total_spent) VALUES (NEW.id, NEW.customer_id, 1, NEW.is_active, 0, array_fill(0, ARRAY[13]), '2000-01-01', 0, 0); RETURN NULL;", hash='4aafc94c16701e433df65c6cdbb885e580e3ac89', operation='INSERT', pgid='pgtrigger_key_opens_meter_f17c3', table='accounts_apikey', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='apikey',
            trigger=pgtrigger.compiler.Trigger(name='key_policy_version', sql=pgtrigger.compiler.UpsertTriggerSql(func='UPDATE accounts_keymeter SET version = version + 1, active = NEW.is_active WHERE key_id = NEW.id; RETURN NULL;', hash='9c5180e1c55d3b67ac7681de071e931353d35c6c', operation='UPDATE', pgid='pgtrigger_key_policy_version_56741', table='accounts_apikey', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='customer',
            trigger=pgtrigger.compiler.Trigger(name='customer_opens_meter', sql=pgtrigger.compiler.UpsertTriggerSql(func="INSERT INTO accounts_customermeter (customer_id, version, suspended, slot, slots, by_model) VALUES (NEW.id, 1, NEW.suspended_at IS NOT NULL, 0, array_fill(0, ARRAY[13]), '{}'); RETURN NULL;", hash='256c4204fc6b0c16281771e60b6a74b2ad564b9c', operation='INSERT', pgid='pgtrigger_customer_opens_meter_7aa9f', table='accounts_customer', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='customer',
            trigger=pgtrigger.compiler.Trigger(name='customer_policy_version', sql=pgtrigger.compiler.UpsertTriggerSql(func='UPDATE accounts_customermeter SET version = version + 1, suspended = NEW.suspended_at IS NOT NULL WHERE customer_id = NEW.id; RETURN NULL;', hash='a5c08f7d27d38e0142eec677640f28c5721f5ccf', operation='UPDATE', pgid='pgtrigger_customer_policy_version_91fab', table='accounts_customer', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='membership',
            trigger=pgtrigger.compiler.Trigger(name='membership_policy_version', sql=pgtrigger.compiler.UpsertTriggerSql(func='UPDATE accounts_keymeter m SET version = m.version + 1 FROM accounts_apikey k WHERE m.key_id = k.id AND k.created_by_id IN (OLD.user_id, NEW.user_id) AND k.customer_id IN (OLD.customer_id, NEW.customer_id); RETURN NULL;', hash='60a92ee580e5e42b9bbdaf0d92f318ba9f4b8425', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_membership_policy_version_be385', table='accounts_membership', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='staffaction',
            trigger=pgtrigger.compiler.Trigger(name='staffaction_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='4a78f4e27a9c3aa489e25e808bc4a75a6c006f93', operation='UPDATE OR DELETE', pgid='pgtrigger_staffaction_append_only_a9fc5', table='accounts_staffaction', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='staffaction',
            trigger=pgtrigger.compiler.Trigger(name='staffaction_no_truncate', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'staff actions are append-only';", hash='53795fb9e53b8a9072188cc39cca9cd3a3075812', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_staffaction_no_truncate_2eb4f', table='accounts_staffaction', when='BEFORE')),
        ),
        # Meters are narrow hot rows that update in place.
        migrations.RunSQL(
            "ALTER TABLE accounts_keymeter SET (fillfactor = 50);"
            "ALTER TABLE accounts_customermeter SET (fillfactor = 50);",
            migrations.RunSQL.noop,
        ),
        # Written with each request: a commit that changed nothing else need not wait for the disk.
        migrations.RunSQL("ALTER TABLE accounts_apirate SET UNLOGGED", migrations.RunSQL.noop),
        migrations.RunPython(make_tables_for_counts, migrations.RunPython.noop),
    ]

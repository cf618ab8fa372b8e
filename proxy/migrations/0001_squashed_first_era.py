"""The catalog, requests and gateways, as the first era left them."""

import core.crypto
import django.db.models.deletion
import django.utils.timezone
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

UNHURRIED = """
SET LOCAL statement_timeout = 0;
SET LOCAL lock_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0"""
"""All of it is one transaction, in which Python may work for longer than one may be idle."""

DROP_PATTERN_INDEXES = """DO $$ DECLARE i text; BEGIN
FOR i IN SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()
  AND tablename = 'proxy_generation' AND indexname LIKE '%like' LOOP
  EXECUTE format('DROP INDEX %I', i);
END LOOP; END $$;"""
# A number that moves with the catalog, so that gateways need not read the whole of it to see that nothing changed.
CATALOG_VERSION = (
    "CREATE TABLE proxy_catalog_version (number bigint NOT NULL);"
    "INSERT INTO proxy_catalog_version VALUES (1);"
    "CREATE FUNCTION proxy_catalog_changed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " UPDATE proxy_catalog_version SET number = number + 1; RETURN NULL; END $$;"
) + "".join(
    f"CREATE TRIGGER proxy_{table}_changes_catalog AFTER INSERT OR UPDATE OR DELETE ON proxy_{table}"
    " FOR EACH STATEMENT EXECUTE FUNCTION proxy_catalog_changed();"
    for table in ("upstream", "model", "route", "price")
)


def make_indexes(apps, schema_editor):
    """Those that wait for the migration's end: what follows is about them."""
    for statement in schema_editor.deferred_sql:
        schema_editor.execute(statement, None)
    schema_editor.deferred_sql.clear()


class Migration(migrations.Migration):
    initial = True

    replaces = [
        ('proxy', '0001_initial'),
        ('proxy', '0002_storage'),
        ('proxy', '0003_catalog_version'),
        ('proxy', '0004_uncharged'),
        ('proxy', '0005_rights'),
        ('proxy', '0006_route_settings'),
    ]

    dependencies = [
        ('accounts', '0001_squashed_first_era'),
    ]

    operations = [
        migrations.RunSQL(UNHURRIED, migrations.RunSQL.noop),
        migrations.CreateModel(
            name='Lease',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('renewed_at', models.DateTimeField(verbose_name='renewed at')),
                ('started_at', models.DateTimeField(verbose_name='started at')),
                ('host', models.CharField(max_length=100, verbose_name='process')),
            ],
            options={
                'verbose_name': 'gateway lease',
                'verbose_name_plural': 'gateway leases',
            },
        ),
        migrations.CreateModel(
            name='Model',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slug', models.CharField(max_length=200, unique=True, verbose_name='model id')),
                ('name', models.CharField(blank=True, max_length=200, verbose_name='name')),
                ('description', models.CharField(blank=True, max_length=400, verbose_name='description')),
                ('context_window', models.PositiveIntegerField(blank=True, null=True, verbose_name='context window, tokens')),
                ('max_output_tokens', models.PositiveIntegerField(blank=True, null=True, verbose_name='longest output, tokens')),
                ('is_active', models.BooleanField(default=True, verbose_name='active')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='created at')),
            ],
            options={
                'verbose_name': 'model',
                'verbose_name_plural': 'models',
            },
        ),
        migrations.CreateModel(
            name='Price',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('version', models.PositiveIntegerField(verbose_name='version')),
                ('billing', models.CharField(choices=[('per_token', 'per token'), ('per_request', 'per request'), ('per_second', 'per second')], max_length=20, verbose_name='billing')),
                ('rates', models.JSONField(verbose_name='rates')),
                ('tiers', models.JSONField(blank=True, default=list, verbose_name='tiers')),
                ('margin', models.DecimalField(decimal_places=4, help_text='Charge = upstream cost x margin.', max_digits=8, verbose_name='margin')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='created at')),
                ('created_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('model', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='prices', to='proxy.model')),
            ],
            options={
                'verbose_name': 'price',
                'verbose_name_plural': 'prices',
                'permissions': [('set_prices', 'Can set prices')],
                'constraints': [models.UniqueConstraint(fields=('model', 'version'), name='price_version_once'), models.CheckConstraint(condition=models.Q(('margin__gte', 1)), name='price_margin_at_least_one')],
            },
        ),
        migrations.CreateModel(
            name='Upstream',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.SlugField(max_length=60, unique=True, verbose_name='name')),
                ('protocol', models.CharField(choices=[('openai', 'OpenAI'), ('anthropic', 'Anthropic'), ('gemini', 'Gemini')], max_length=20, verbose_name='protocol')),
                ('base_url', models.URLField(max_length=300, verbose_name='base URL')),
                ('api_key', core.crypto.EncryptedTextField(blank=True, verbose_name='API key')),
                ('priority', models.IntegerField(default=1, help_text='Lower goes first.', verbose_name='priority')),
                ('timeout_seconds', models.PositiveIntegerField(default=120, help_text='To the first byte, and between bytes.', verbose_name='timeout, s')),
                ('total_timeout_seconds', models.PositiveIntegerField(default=3600, verbose_name='total timeout, s')),
                ('is_active', models.BooleanField(default=True, verbose_name='active')),
                ('account', models.SlugField(blank=True, db_default='', db_index=False, default='', help_text="Upstreams of one account share what it keeps. Empty: the upstream's name.", max_length=60, verbose_name='account')),
                ('bills_abandoned', models.BooleanField(db_default=True, default=True, help_text='It goes on working, and bills, when we hang up.', verbose_name='bills what is abandoned')),
                ('kind', models.CharField(blank=True, choices=[('openai', 'OpenAI'), ('azure', 'Azure'), ('openrouter', 'OpenRouter'), ('litellm', 'LiteLLM'), ('vllm', 'vLLM'), ('relay', 'relay'), ('anthropic', 'Anthropic'), ('gemini', 'Gemini')], db_default='', default='', help_text="Whose program answers there. Empty: the protocol's own provider.", max_length=20, verbose_name='kind')),
            ],
            options={
                'verbose_name': 'upstream',
                'verbose_name_plural': 'upstreams',
                'permissions': [('manage_upstreams', 'Can manage upstreams, models and routes')],
                'constraints': [models.CheckConstraint(condition=models.Q(('timeout_seconds__gte', 1)), name='upstream_timeout_positive'), models.CheckConstraint(condition=models.Q(('total_timeout_seconds__gte', models.F('timeout_seconds')), ('total_timeout_seconds__lte', 7200)), name='upstream_total_timeout_within_two_hours')],
            },
        ),
        migrations.CreateModel(
            name='Route',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('upstream_model', models.CharField(max_length=200, verbose_name='name at the upstream')),
                ('model', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='routes', to='proxy.model')),
                ('upstream', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='routes', to='proxy.upstream')),
                ('ask_usage', models.BooleanField(db_default=True, default=True, help_text='With stream_options. Without, what a stream used is estimated unless it is told anyway.', verbose_name='ask for usage in streams')),
                ('limit_field', models.CharField(blank=True, choices=[('max_tokens', 'max_tokens'), ('max_completion_tokens', 'max_completion_tokens')], db_default='', default='', help_text="In which the limit is told, whichever the caller names. Empty: in the caller's, else by the model's name.", max_length=30, verbose_name='field of the output limit')),
            ],
            options={
                'verbose_name': 'route',
                'verbose_name_plural': 'routes',
                'constraints': [models.UniqueConstraint(fields=('model', 'upstream'), name='route_once')],
            },
        ),
        migrations.AddField(
            model_name='model',
            name='upstreams',
            field=models.ManyToManyField(through='proxy.Route', to='proxy.upstream'),
        ),
        migrations.CreateModel(
            name='Generation',
            fields=[
                ('id', models.CharField(db_collation='C', max_length=28, primary_key=True, serialize=False)),
                ('protocol', models.CharField(choices=[('openai', 'OpenAI'), ('anthropic', 'Anthropic'), ('gemini', 'Gemini')], max_length=10, verbose_name='protocol')),
                ('streamed', models.BooleanField(verbose_name='streamed')),
                ('state', models.CharField(choices=[('held', 'held'), ('metered', 'metered'), ('settled', 'settled'), ('released', 'released'), ('quarantined', 'quarantined')], default='held', max_length=12, verbose_name='state')),
                ('bound', models.DecimalField(decimal_places=8, max_digits=20, verbose_name='upper bound, USD')),
                ('held', models.DecimalField(decimal_places=8, max_digits=20, verbose_name='held, USD')),
                ('created_at', models.DateTimeField(verbose_name='created at')),
                ('metered_at', models.DateTimeField(null=True, verbose_name='metered at')),
                ('usage_source', models.CharField(choices=[('upstream', 'upstream'), ('estimated', 'estimated'), ('none', 'none')], default='none', max_length=10, verbose_name='source of the usage')),
                ('settlement_reason', models.CharField(blank=True, choices=[('completed', 'completed'), ('client_disconnected', 'client disconnected'), ('upstream_error', 'upstream error'), ('upstream_eof', 'upstream ended early'), ('timeout', 'timeout'), ('insufficient_balance', 'insufficient balance'), ('abandoned', 'abandoned')], default='', max_length=22, verbose_name='how it ended')),
                ('finish_reason', models.CharField(blank=True, default='', max_length=40, verbose_name='why the model stopped')),
                ('input_tokens', models.BigIntegerField(default=0, help_text='All input, cached included.', verbose_name='input tokens')),
                ('output_tokens', models.BigIntegerField(default=0, help_text='All output, reasoning included.', verbose_name='output tokens')),
                ('cached_tokens', models.BigIntegerField(default=0, verbose_name='cached tokens')),
                ('cache_write_tokens', models.BigIntegerField(default=0, help_text='5-minute and 1-hour together.', verbose_name='tokens written to the cache')),
                ('cache_write_1h_tokens', models.BigIntegerField(default=0, verbose_name='of them for an hour')),
                ('reasoning_tokens', models.BigIntegerField(default=0, verbose_name='reasoning tokens')),
                ('native_input_tokens', models.BigIntegerField(default=0, help_text='As the upstream said.', verbose_name='input tokens of the upstream')),
                ('native_output_tokens', models.BigIntegerField(default=0, help_text='As the upstream said.', verbose_name='output tokens of the upstream')),
                ('units', models.DecimalField(decimal_places=6, default=0, help_text='Requests, seconds or characters.', max_digits=20, verbose_name='other units')),
                ('upstream_cost', models.DecimalField(decimal_places=8, max_digits=20, null=True, verbose_name='upstream cost, USD')),
                ('cost', models.DecimalField(decimal_places=8, max_digits=20, null=True, verbose_name='charged, USD')),
                ('latency_ms', models.IntegerField(help_text='From the request to its first byte.', null=True, verbose_name='first byte after, ms')),
                ('generation_time_ms', models.IntegerField(help_text='From the request to its last byte.', null=True, verbose_name='last byte after, ms')),
                ('is_flagged', models.BooleanField(default=False, help_text='Something for staff to look at.', verbose_name='to look at')),
                ('settled_at', models.DateTimeField(null=True, verbose_name='settled at')),
                ('failures', models.SmallIntegerField(default=0, verbose_name='failed settlements')),
                ('customer', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer', verbose_name='customer')),
                ('key', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.apikey', verbose_name='API key')),
                ('lease', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='proxy.lease', verbose_name='gateway lease')),
                ('model', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='proxy.model', verbose_name='model')),
                ('price', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='proxy.price', verbose_name='price')),
                ('upstream', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='proxy.upstream', verbose_name='upstream')),
                ('stated_cost', models.DecimalField(decimal_places=8, help_text='What the upstream said that it cost, in USD: its claim, never shown to customers.', max_digits=20, null=True, verbose_name='cost the upstream states')),
                ('upstream_request_id', models.TextField(blank=True, db_default='', default='', verbose_name="upstream's request id")),
            ],
            options={
                'verbose_name': 'model request',
                'verbose_name_plural': 'model requests',
                'permissions': [('handle_quarantined', 'Can have quarantined requests tried again or released uncharged')],
                'constraints': [models.CheckConstraint(condition=models.Q(('cost__isnull', True), ('cost__gte', 0), _connector='OR'), name='generation_cost_not_negative'), models.CheckConstraint(condition=models.Q(('cost__isnull', True), ('cost__lte', models.F('bound')), _connector='OR'), name='generation_cost_within_bound'), models.CheckConstraint(condition=models.Q(('held__lte', models.F('bound'))), name='generation_held_within_bound')],
                'indexes': [models.Index(fields=['customer', '-id'], name='generation_customer'), models.Index(condition=models.Q(('state', 'held')), fields=['lease'], name='generation_in_flight'), models.Index(condition=models.Q(('state', 'metered')), fields=['id'], name='generation_to_settle'), models.Index(condition=models.Q(('is_flagged', True)), fields=['id'], name='generation_flagged'), models.Index(condition=models.Q(('state__in', ['released', 'quarantined'])), fields=['state', '-id'], name='generation_uncharged')],
            },
        ),
        migrations.AddConstraint(
            model_name='model',
            constraint=models.CheckConstraint(condition=models.Q(('slug__contains', '/')), name='model_slug_has_provider'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='price',
            trigger=pgtrigger.compiler.Trigger(name='price_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='433782dba4a12a93ad1288d7f0d455ff0cde958f', operation='UPDATE OR DELETE', pgid='pgtrigger_price_append_only_7e92c', table='proxy_price', when='BEFORE')),
        ),
        # Requests are written twice soon after each other, so leave room for the second version in their page.
        migrations.RunPython(make_indexes, migrations.RunPython.noop),
        migrations.RunSQL(DROP_PATTERN_INDEXES, migrations.RunSQL.noop),
        migrations.RunSQL("ALTER TABLE proxy_generation SET (fillfactor = 70)", migrations.RunSQL.noop),
        migrations.RunSQL(CATALOG_VERSION, migrations.RunSQL.noop),
    ]

"""What happened to an account's security."""

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

UNHURRIED = """
SET LOCAL statement_timeout = 0;
SET LOCAL lock_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0"""
"""All of it is one transaction, in which Python may work for longer than one may be idle."""


class Migration(migrations.Migration):
    replaces = [
        ('accounts', '0007_column_names'),
        ('accounts', '0008_security'),
    ]

    dependencies = [
        ('accounts', '0001_squashed_first_era'),
    ]

    operations = [
        migrations.RunSQL(UNHURRIED, migrations.RunSQL.noop),
        migrations.CreateModel(
            name='SecurityEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('login', 'logged in'), ('logout', 'logged out'), ('login_failed', 'wrong password'), ('locked_out', 'too many attempts, locked for a while'), ('password_changed', 'password changed'), ('password_reset', 'password reset by mail'), ('address_added', 'address added'), ('address_primary', 'address made the main one'), ('address_removed', 'address removed'), ('factor_added', 'second factor set up'), ('factor_removed', 'second factor removed'), ('factor_used', 'second factor used'), ('factor_failed', 'wrong code of the second factor'), ('session_ended', 'session ended'), ('key_made', 'key made'), ('key_changed', 'key changed'), ('key_enabled', 'key enabled'), ('key_disabled', 'key disabled'), ('key_deleted', 'key deleted'), ('key_refused', 'key refused')], max_length=20, verbose_name='what')),
                ('about', models.CharField(blank=True, help_text='The key, or the ended session.', max_length=120, verbose_name='about')),
                ('address', models.CharField(blank=True, max_length=45, verbose_name='from where')),
                ('request_id', models.CharField(blank=True, max_length=40, verbose_name='request')),
                ('at', models.DateTimeField(db_index=True, verbose_name='at')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='who')),
            ],
            options={
                'verbose_name': 'security event',
                'verbose_name_plural': 'security events',
                'indexes': [models.Index(fields=['user', '-id'], name='securityevent_user')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='securityevent',
            trigger=pgtrigger.compiler.Trigger(name='securityevent_unchanged', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='4db35b398f3e13cb0fcbaf2ec58a502e85045f4a', operation='UPDATE', pgid='pgtrigger_securityevent_unchanged_55c72', table='accounts_securityevent', when='BEFORE')),
        ),
    ]

"""Entries by hand, locked months, and what a customer has paid in."""

import django.db.models.deletion
import django.db.models.expressions
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

FILL_PAID_IN = """
UPDATE billing_wallet w SET paid_in = found.paid_in, first_paid_at = found.first_paid_at,
 paid_again = coalesce(found.last_paid_on > found.first_paid_on, false), written_off = found.written_off
FROM (
 SELECT a.customer_id,
  coalesce(sum(m.amount) FILTER (WHERE m.kind IN ('topup', 'refund', 'refund_failed')), 0) AS paid_in,
  coalesce(sum(m.amount) FILTER (WHERE m.kind IN ('write_off', 'write_off_recovered')), 0) AS written_off,
  min(m.created_at) FILTER (WHERE m.kind = 'topup') AS first_paid_at,
  min((m.created_at AT TIME ZONE 'UTC')::date) FILTER (WHERE m.kind = 'topup') AS first_paid_on,
  max((m.created_at AT TIME ZONE 'UTC')::date) FILTER (WHERE m.kind = 'topup') AS last_paid_on
 FROM billing_ledgeraccount a
 CROSS JOIN LATERAL (
  SELECT kind, amount, created_at FROM billing_transfer WHERE credit_id = a.id
   AND kind IN ('topup', 'refund_failed', 'write_off')
  UNION ALL
  SELECT kind, -amount, created_at FROM billing_transfer WHERE debit_id = a.id
   AND kind IN ('refund', 'write_off_recovered')
 ) m
 WHERE a.kind = 'paid'
 GROUP BY a.customer_id
) found WHERE found.customer_id = w.customer_id"""
"""What is disputed is filled in from the top-ups, by payments."""


class Migration(migrations.Migration):
    replaces = [
        ('billing', '0011_entries'),
        ('billing', '0012_paid_in'),
        ('billing', '0013_small_debts'),
        ('billing', '0014_months'),
        ('billing', '0015_refunds_after_all'),
        ('billing', '0016_mail_put_aside'),
        ('billing', '0017_fee_alone'),
        ('billing', '0018_column_names'),
    ]

    dependencies = [
        ('accounts', '0002_squashed_second_era'),
        ('billing', '0001_squashed_first_era'),
    ]

    operations = [
        migrations.RunSQL(UNHURRIED, migrations.RunSQL.noop),
        migrations.RemoveConstraint(
            model_name='refundrequest',
            name='refund_amount_positive',
        ),
        migrations.RemoveConstraint(
            model_name='refundrequest',
            name='refund_approved_within_amount',
        ),
        migrations.RemoveConstraint(
            model_name='refundrequest',
            name='refund_sums_within',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='transfer',
            name='transfer_open_day',
        ),
        migrations.CreateModel(
            name='JournalEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('state', models.CharField(choices=[('proposed', 'proposed'), ('posted', 'posted'), ('refused', 'refused')], default='proposed', max_length=10, verbose_name='state')),
                ('reason', models.CharField(help_text='For the books; staff alone read it.', max_length=500, verbose_name='reason')),
                ('proposed_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='proposed at')),
                ('decided_at', models.DateTimeField(blank=True, null=True, verbose_name='decided at')),
                ('decision', models.CharField(blank=True, max_length=500, verbose_name='why refused')),
                ('account_kind', models.CharField(default='system', editable=False, max_length=10)),
                ('currency', models.CharField(max_length=3, verbose_name='currency')),
                ('amount', models.DecimalField(decimal_places=8, max_digits=20, verbose_name='amount')),
                ('about', models.DateField(help_text="In the books' time zone.", verbose_name='day it is about')),
                ('reference', models.CharField(help_text="The paper it rests on, such as a bank's or a provider's number.", max_length=120, verbose_name='reference')),
                ('credit', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.ledgeraccount', verbose_name='credit')),
                ('debit', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.ledgeraccount', verbose_name='debit')),
                ('decided_by', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='decided by')),
                ('proposed_by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='proposed by')),
            ],
            options={
                'verbose_name': 'journal entry',
                'verbose_name_plural': 'journal entries',
                'permissions': [('post_entries', 'Can propose and approve journal entries')],
                'constraints': [models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='journalentry_amount_positive'), models.CheckConstraint(condition=models.Q(('debit', models.F('credit')), _negated=True), name='journalentry_two_accounts'), models.CheckConstraint(condition=models.Q(models.Q(('reference', ''), _negated=True), models.Q(('reason', ''), _negated=True)), name='journalentry_says_why'), models.CheckConstraint(condition=models.Q(('account_kind', 'system')), name='journalentry_accounts_of_the_house'), models.CheckConstraint(condition=models.Q(models.Q(('decided_at__isnull', True), ('decided_by__isnull', True), ('state', 'proposed')), models.Q(models.Q(('state', 'proposed'), _negated=True), ('decided_at__isnull', False), ('decided_by__isnull', False)), _connector='OR'), name='journalentry_decided_by_somebody'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'posted'), _negated=True), models.Q(('decided_by', models.F('proposed_by')), _negated=True), _connector='OR'), name='journalentry_four_eyes')],
            },
        ),
        migrations.RemoveField(
            model_name='wallet',
            name='topped_up',
        ),
        migrations.AddField(
            model_name='wallet',
            name='disputed',
            field=models.DecimalField(decimal_places=8, default=0, help_text='Undecided or lost.', max_digits=20, verbose_name='disputed'),
        ),
        migrations.AddField(
            model_name='wallet',
            name='first_paid_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='first paid at'),
        ),
        migrations.AddField(
            model_name='wallet',
            name='paid_again',
            field=models.BooleanField(default=False, help_text='On a later day than the first time, UTC.', verbose_name='paid again'),
        ),
        migrations.AddField(
            model_name='wallet',
            name='paid_in',
            field=models.DecimalField(decimal_places=8, default=0, help_text='Top-ups less refunds that left and what is disputed or was lost.', max_digits=20, verbose_name='paid in'),
        ),
        migrations.AddField(
            model_name='wallet',
            name='written_off',
            field=models.DecimalField(decimal_places=8, default=0, help_text='Debts that the house bears.', max_digits=20, verbose_name='written off'),
        ),
        migrations.AddField(
            model_name='refundrequest',
            name='excess',
            field=models.DecimalField(decimal_places=2, default=0, max_digits=12, verbose_name='owed by the customer, USD'),
        ),
        migrations.AddField(
            model_name='refundrequest',
            name='paid_after_all',
            field=models.DecimalField(decimal_places=2, default=0, max_digits=12, verbose_name='paid after it had failed, USD'),
        ),
        migrations.AddField(
            model_name='mail',
            name='put_aside_at',
            field=models.DateTimeField(blank=True, help_text='Staff gave it up: nobody tries again.', null=True, verbose_name='put aside at'),
        ),
        migrations.AddConstraint(
            model_name='ledgeraccount',
            constraint=models.UniqueConstraint(fields=('id', 'kind', 'currency'), name='ledgeraccount_id_kind_currency'),
        ),
        migrations.AddConstraint(
            model_name='wallet',
            constraint=models.CheckConstraint(condition=models.Q(('disputed__gte', 0)), name='wallet_disputed_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='wallet',
            constraint=models.CheckConstraint(condition=models.Q(('written_off__gte', 0)), name='wallet_written_off_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='wallet',
            constraint=models.CheckConstraint(condition=models.Q(('paid_again', False), ('first_paid_at__isnull', False), _connector='OR'), name='wallet_paid_again_after_first'),
        ),
        migrations.AddConstraint(
            model_name='wallet',
            constraint=models.CheckConstraint(condition=models.Q(('paid_in__lte', 0), ('first_paid_at__isnull', False), _connector='OR'), name='wallet_paid_in_has_first'),
        ),
        migrations.AddConstraint(
            model_name='refundrequest',
            constraint=models.CheckConstraint(condition=models.Q(('returned__gte', 0), ('returned__lte', models.F('sent')), ('sent__lte', django.db.models.expressions.CombinedExpression(models.F('amount'), '+', models.F('paid_after_all')))), name='refund_sums_within'),
        ),
        migrations.AddConstraint(
            model_name='refundrequest',
            constraint=models.CheckConstraint(condition=models.Q(('excess__gte', 0), ('excess__lte', models.F('paid_after_all')), ('paid_after_all__lte', models.F('sent'))), name='refund_excess_within_paid_after_all'),
        ),
        migrations.AddConstraint(
            model_name='refundrequest',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gt', 0), models.Q(('amount', 0), ('origin', 'provider'), ('state', 'external')), _connector='OR'), name='refund_amount_positive'),
        ),
        migrations.AddConstraint(
            model_name='refundrequest',
            constraint=models.CheckConstraint(condition=models.Q(('approved__isnull', True), models.Q(('approved__gt', 0), ('approved__lte', models.F('amount'))), models.Q(('amount', 0), ('approved', 0)), _connector='OR'), name='refund_approved_within_amount'),
        ),
        migrations.AddConstraint(
            model_name='mail',
            constraint=models.CheckConstraint(condition=models.Q(('put_aside_at__isnull', True), models.Q(('send_at__isnull', True), ('sent_at__isnull', True)), _connector='OR'), name='mail_put_aside_is_not_sent'),
        ),
        migrations.AddIndex(
            model_name='refundrequest',
            index=models.Index(condition=models.Q(('excess__gt', 0)), fields=['customer'], name='refund_with_excess'),
        ),
        migrations.AddIndex(
            model_name='mail',
            index=models.Index(condition=models.Q(('sent_at__isnull', True)), fields=['created_at'], name='mail_unsent'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='transfer',
            trigger=pgtrigger.compiler.Trigger(name='transfer_open_day', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (NEW.created_at < statement_timestamp() - interval '30 minutes' OR NEW.booked_on < CURRENT_DATE - 1)", declare='DECLARE closed_day date; books_zone text; open_month date;', func="\nPERFORM pg_advisory_xact_lock_shared(hashtext('close_days'));\nSELECT max(day), min(zone) INTO closed_day, books_zone FROM billing_closedday;\nIF (NEW.created_at AT TIME ZONE 'UTC')::date <= closed_day THEN\n  IF NEW.booked_on = (NEW.created_at AT TIME ZONE books_zone)::date THEN\n    NEW.booked_on := (clock_timestamp() AT TIME ZONE books_zone)::date;\n  END IF;\n  NEW.created_at := clock_timestamp();\nEND IF;\nPERFORM pg_advisory_xact_lock_shared(hashtext('lock_month'));\nSELECT (max(month) + interval '1 month')::date INTO open_month FROM billing_monthlock;\nIF NEW.booked_on < open_month THEN\n  NEW.booked_on := open_month;\nEND IF;\nRETURN NEW;\n", hash='4b411516a2c4e071d91fe86398fdb69f242b1314', operation='INSERT', pgid='pgtrigger_transfer_open_day_ca0cd', table='billing_transfer', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='monthlock',
            trigger=pgtrigger.compiler.Trigger(name='monthlock_kept', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='578a822da01dac4c21177f158f0febf702bed429', operation='UPDATE OR DELETE', pgid='pgtrigger_monthlock_kept_0901e', table='billing_monthlock', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='journalentry',
            trigger=pgtrigger.compiler.Trigger(name='journalentry_kept', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;", hash='6cf96bddc51991822aa6a90bc1b31d5e4f1f934c', operation='DELETE', pgid='pgtrigger_journalentry_kept_3400d', table='billing_journalentry', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='journalentry',
            trigger=pgtrigger.compiler.Trigger(name='journalentry_decided_once', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."state" IS DISTINCT FROM \'proposed\')', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='47e91bb7544d4b2ede648d6ae4e2188473266288', operation='UPDATE', pgid='pgtrigger_journalentry_decided_once_b6687', table='billing_journalentry', when='BEFORE')),
        ),
        migrations.RunSQL(
            "ALTER TABLE billing_journalentry"
            " ADD CONSTRAINT journalentry_debit_of_the_house FOREIGN KEY (debit_id, account_kind, currency)"
            "  REFERENCES billing_ledgeraccount (id, kind, currency),"
            " ADD CONSTRAINT journalentry_credit_of_the_house FOREIGN KEY (credit_id, account_kind, currency)"
            "  REFERENCES billing_ledgeraccount (id, kind, currency);",
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(FILL_PAID_IN, migrations.RunSQL.noop),
    ]

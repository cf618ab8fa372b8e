"""Fees of top-ups, payments in other currencies, and refunds that end otherwise than was told."""

import django.db.models.deletion
import django.db.models.expressions
from django.conf import settings
from django.db import migrations, models

UNHURRIED = """
SET LOCAL statement_timeout = 0;
SET LOCAL lock_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0"""
"""All of it is one transaction, in which Python may work for longer than one may be idle."""

DROP_PLANNED_PARTS = """
UPDATE payments_refundpart p SET state = 'failed', failed_at = now(), detail = 'the request is sent no longer'
FROM billing_refundrequest r WHERE r.id = p.refund_id AND p.state = 'planned' AND r.state <> 'sending'"""
"""Parts that were planned when their request was denied or came back: they took room of their top-ups."""
FILL_DISPUTED = """
UPDATE billing_wallet w SET disputed = t.disputed, paid_in = w.paid_in - t.disputed
FROM (SELECT customer_id, sum(disputed) AS disputed FROM payments_topup WHERE disputed > 0 GROUP BY customer_id) t
WHERE t.customer_id = w.customer_id AND w.disputed = 0"""
WATCH_FAILED_PARTS = """
UPDATE payments_refundpart SET look_at = now()
WHERE look_at IS NULL AND topup_id IS NOT NULL AND NOT by_bank AND sent_at IS NOT NULL AND charge_amount > 0
 AND (state = 'parked' OR (state = 'failed' AND failed_at > now() - interval '30 days'))"""
"""Parts that failed or were parked before their providers were asked about such."""
FILL_BOOKED = "UPDATE payments_disputemovement SET booked = amount"


class Migration(migrations.Migration):
    replaces = [
        ('payments', '0011_settling'),
        ('payments', '0012_drop_planned_parts'),
        ('payments', '0013_resolved'),
        ('payments', '0014_disputed_wallets'),
        ('payments', '0015_refunds_that_stay'),
        ('payments', '0016_longer_codes'),
        ('payments', '0017_refunds_after_all'),
        ('payments', '0018_shared_accounts'),
        ('payments', '0019_topup_fees'),
        ('payments', '0020_watch_failed_parts'),
        ('payments', '0021_settled_currencies'),
        ('payments', '0022_fee_alone'),
        ('payments', '0023_notifications_looked_at'),
        ('payments', '0024_given_up_days'),
        ('payments', '0025_line_details'),
        ('payments', '0026_second_payments'),
        ('payments', '0027_column_names'),
    ]

    dependencies = [
        ('accounts', '0002_squashed_second_era'),
        ('billing', '0002_squashed_second_era'),
        ('payments', '0001_squashed_first_era'),
    ]

    operations = [
        migrations.RunSQL(UNHURRIED, migrations.RunSQL.noop),
        migrations.RemoveConstraint(
            model_name='topup',
            name='topup_charge_follows_rate',
        ),
        migrations.RemoveConstraint(
            model_name='refundpart',
            name='refundpart_amount_positive',
        ),
        migrations.AddField(
            model_name='topup',
            name='failure',
            field=models.CharField(blank=True, max_length=200, verbose_name='last error'),
        ),
        migrations.AddField(
            model_name='topup',
            name='failures',
            field=models.PositiveSmallIntegerField(default=0, help_text='Errors in a row while it was settled; it is tried again.', verbose_name='failures'),
        ),
        migrations.AddField(
            model_name='topup',
            name='is_late',
            field=models.BooleanField(default=False, help_text='Credited after its time; whether it goes back is not decided yet.', verbose_name='paid late'),
        ),
        migrations.AddField(
            model_name='discrepancy',
            name='entry',
            field=models.OneToOneField(blank=True, help_text='What resolves it, once it is posted.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='discrepancy', to='billing.journalentry', verbose_name='journal entry'),
        ),
        migrations.AddField(
            model_name='discrepancy',
            name='entry_found_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='`found_at` as the entry saw it: what changed since is not its.', null=True),
        ),
        migrations.AddField(
            model_name='refundpart',
            name='paid_there',
            field=models.BooleanField(default=False, verbose_name='recorded as paid by the provider'),
        ),
        migrations.AddField(
            model_name='refundpart',
            name='to_bank_card',
            field=models.BooleanField(default=False, help_text='WeChat Pay says so; that takes days.', verbose_name='to a bank card'),
        ),
        migrations.AlterField(
            model_name='topup',
            name='qr_code',
            field=models.CharField(blank=True, max_length=1024, verbose_name='QR code'),
        ),
        migrations.AddField(
            model_name='refundpart',
            name='after_all',
            field=models.BooleanField(default=False, verbose_name='paid after it had failed'),
        ),
        migrations.AddField(
            model_name='refundpart',
            name='bear_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='proposes to bear it'),
        ),
        migrations.AddField(
            model_name='refundpart',
            name='contradicted_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='contradicted at'),
        ),
        migrations.AddField(
            model_name='refundpart',
            name='excess',
            field=models.DecimalField(decimal_places=2, default=0, max_digits=12, verbose_name='owed by the customer, USD'),
        ),
        migrations.AddField(
            model_name='refundpart',
            name='round',
            field=models.PositiveSmallIntegerField(default=1),
        ),
        migrations.AddField(
            model_name='refundpart',
            name='seen_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='looked at by'),
        ),
        migrations.AddField(
            model_name='statement',
            name='held_back',
            field=models.PositiveIntegerField(default=0, help_text="Another shop's payments stand in this day.", verbose_name='lines not posted'),
        ),
        migrations.AddField(
            model_name='statement',
            name='shared_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='said to be shared at'),
        ),
        migrations.AddField(
            model_name='statement',
            name='shared_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='said by'),
        ),
        migrations.AddField(
            model_name='disputemovement',
            name='topup_fee',
            field=models.DecimalField(db_default=0, decimal_places=2, default=0, help_text='What the house bears of the amount: above zero as it is taken, below as it comes back.', max_digits=12, verbose_name="top-up's fee"),
        ),
        migrations.AddField(
            model_name='refundpart',
            name='fee_amount',
            field=models.DecimalField(db_default=0, decimal_places=2, default=0, help_text='Of the top-up, among what is paid back.', max_digits=12, verbose_name='fee'),
        ),
        migrations.AddField(
            model_name='topup',
            name='fee_amount',
            field=models.DecimalField(db_default=0, decimal_places=2, default=0, help_text="The house's, part of what is charged.", max_digits=12, verbose_name='fee'),
        ),
        migrations.AddField(
            model_name='topup',
            name='refunded_fee',
            field=models.DecimalField(db_default=0, decimal_places=2, default=0, max_digits=12, verbose_name='refunded fee'),
        ),
        migrations.AddField(
            model_name='topup',
            name='returns_fee',
            field=models.BooleanField(db_default=False, default=False, help_text='With the share refunded.', verbose_name='returns the fee'),
        ),
        migrations.AddField(
            model_name='disputemovement',
            name='booked',
            field=models.DecimalField(decimal_places=2, default=0, help_text='The same, where the account settles in another currency.', max_digits=12, verbose_name='in the currency of the charge'),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='statementline',
            name='charge_amount',
            field=models.DecimalField(blank=True, decimal_places=3, help_text='By the payer, or given back, where the account settles in another currency.', max_digits=17, null=True, verbose_name='charged'),
        ),
        migrations.AddField(
            model_name='statementline',
            name='charge_currency',
            field=models.CharField(blank=True, max_length=3, verbose_name='currency of the charge'),
        ),
        migrations.AlterField(
            model_name='discrepancy',
            name='ours',
            field=models.DecimalField(blank=True, decimal_places=3, max_digits=17, null=True, verbose_name='ours'),
        ),
        migrations.AlterField(
            model_name='discrepancy',
            name='theirs',
            field=models.DecimalField(blank=True, decimal_places=3, max_digits=17, null=True, verbose_name='theirs'),
        ),
        migrations.AlterField(
            model_name='disputemovement',
            name='amount',
            field=models.DecimalField(decimal_places=3, max_digits=17, verbose_name='amount'),
        ),
        migrations.AlterField(
            model_name='disputemovement',
            name='fee',
            field=models.DecimalField(decimal_places=3, default=0, max_digits=17, verbose_name='fee'),
        ),
        migrations.AlterField(
            model_name='statementline',
            name='amount',
            field=models.DecimalField(decimal_places=3, max_digits=17, verbose_name='amount'),
        ),
        migrations.AlterField(
            model_name='statementline',
            name='fee',
            field=models.DecimalField(decimal_places=3, max_digits=17, verbose_name='fee'),
        ),
        migrations.AddField(
            model_name='notification',
            name='seen_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='looked at by'),
        ),
        migrations.AddField(
            model_name='statement',
            name='given_up_at',
            field=models.DateTimeField(blank=True, help_text='Its provider gives no statement of this day any more.', null=True, verbose_name='given up at'),
        ),
        migrations.AddField(
            model_name='statement',
            name='given_up_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='given up by'),
        ),
        migrations.AddField(
            model_name='statementline',
            name='detail',
            field=models.CharField(blank=True, max_length=300, verbose_name='detail'),
        ),
        migrations.AddField(
            model_name='notification',
            name='transaction_id',
            field=models.CharField(blank=True, db_default='', default='', max_length=120, verbose_name="provider's transaction"),
        ),
        migrations.AddField(
            model_name='topup',
            name='second_of',
            field=models.ForeignKey(blank=True, help_text="The order that was paid twice; its provider knows this payment by that one's number.", null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='payments.topup', verbose_name='second payment of'),
        ),
        migrations.AddConstraint(
            model_name='topup',
            constraint=models.CheckConstraint(condition=models.Q(('is_late', False), models.Q(('next_poll_at__isnull', False), ('state', 'paid')), _connector='OR'), name='topup_late_is_taken_up_again'),
        ),
        migrations.AddConstraint(
            model_name='topup',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('charge_amount', django.db.models.expressions.CombinedExpression(models.F('amount'), '+', models.F('fee_amount'))), ('charge_currency', 'USD'), ('fx_rate__isnull', True)), models.Q(('charge_currency', 'CNY'), ('fx_rate__gt', 0)), _connector='OR'), name='topup_charge_follows_rate'),
        ),
        migrations.AddConstraint(
            model_name='topup',
            constraint=models.CheckConstraint(condition=models.Q(('fee_amount__gte', 0), ('fee_amount__lt', models.F('charge_amount'))), name='topup_fee_within_charge'),
        ),
        migrations.AddConstraint(
            model_name='topup',
            constraint=models.CheckConstraint(condition=models.Q(('refunded_fee__gte', 0), ('refunded_fee__lte', models.F('fee_amount')), ('refunded_charge__gte', models.F('refunded_fee')), ('refunded_charge__lte', django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(models.F('charge_amount'), '-', models.F('fee_amount')), '+', models.F('refunded_fee')))), name='topup_refunds_within_parts'),
        ),
        migrations.AddConstraint(
            model_name='refundpart',
            constraint=models.CheckConstraint(condition=models.Q(('excess__gte', 0), ('excess__lte', models.F('amount')), models.Q(('excess', 0), ('after_all', True), _connector='OR')), name='refundpart_excess_within'),
        ),
        migrations.AddConstraint(
            model_name='refundpart',
            constraint=models.CheckConstraint(condition=models.Q(('after_all', False), models.Q(('round__gt', 1), ('state__in', ('done', 'parked'))), _connector='OR'), name='refundpart_after_all_is_paid'),
        ),
        migrations.AddConstraint(
            model_name='refundpart',
            constraint=models.CheckConstraint(condition=models.Q(('fee_amount', 0), models.Q(('fee_amount__gt', 0), ('fee_amount__lte', models.F('charge_amount'))), _connector='OR'), name='refundpart_fee_within_charge'),
        ),
        migrations.AddConstraint(
            model_name='refundpart',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gt', 0), models.Q(('amount', 0), ('fee_amount', models.F('charge_amount')), ('fee_amount__gt', 0)), _connector='OR'), name='refundpart_amount_positive'),
        ),
        migrations.AddConstraint(
            model_name='statement',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('shared_at__isnull', True), ('shared_by__isnull', True)), models.Q(('shared_at__isnull', False), ('shared_by__isnull', False)), _connector='OR'), name='statement_shared_by_somebody'),
        ),
        migrations.AddConstraint(
            model_name='statement',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('given_up_at__isnull', True), ('given_up_by__isnull', True)), models.Q(('given_up_at__isnull', False), ('given_up_by__isnull', False)), _connector='OR'), name='statement_given_up_by_somebody'),
        ),
        migrations.AddConstraint(
            model_name='discrepancy',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'resolved'), _negated=True), ('entry__isnull', False), _connector='OR'), name='discrepancy_resolved_by_an_entry'),
        ),
        migrations.AddIndex(
            model_name='topup',
            index=models.Index(condition=models.Q(models.Q(('problem', ''), _negated=True), ('failures__gt', 0), _connector='OR'), fields=['-id'], name='topup_to_look_at'),
        ),
        migrations.AddIndex(
            model_name='notification',
            index=models.Index(condition=models.Q(('outcome__in', ('mismatch', 'unknown_order')), ('seen_by__isnull', True), models.Q(('reference', ''), _negated=True)), fields=['-id'], name='notification_not_fitting'),
        ),
        migrations.AddIndex(
            model_name='refundpart',
            index=models.Index(condition=models.Q(('state', 'sending')), fields=['sent_at'], name='refundpart_on_the_way'),
        ),
        migrations.AddIndex(
            model_name='refundpart',
            index=models.Index(condition=models.Q(('contradicted_at__isnull', False), ('seen_by__isnull', True)), fields=['refund'], name='refundpart_contradicted'),
        ),
        migrations.RunSQL(DROP_PLANNED_PARTS, migrations.RunSQL.noop),
        migrations.RunSQL(FILL_DISPUTED, migrations.RunSQL.noop),
        migrations.RunSQL(WATCH_FAILED_PARTS, migrations.RunSQL.noop),
        migrations.RunSQL(FILL_BOOKED, migrations.RunSQL.noop),
    ]

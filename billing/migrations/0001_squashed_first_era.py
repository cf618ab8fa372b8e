"""The books, refunds, invoices, adjustments, mail and alerts, as the first era left them."""

import django.contrib.postgres.indexes
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

# The keys are collated "C", so Django's second index for LIKE only costs writes.
DROP_PATTERN_INDEXES = """DO $$ DECLARE i text; BEGIN
FOR i IN SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()
  AND tablename IN ('billing_transfer', 'billing_hold') AND indexname LIKE '%like' LOOP
  EXECUTE format('DROP INDEX %I', i);
END LOOP; END $$;"""


def make_indexes(apps, schema_editor):
    """Those that wait for the migration's end: what follows is about them."""
    for statement in schema_editor.deferred_sql:
        schema_editor.execute(statement, None)
    schema_editor.deferred_sql.clear()


class Migration(migrations.Migration):
    initial = True

    replaces = [
        ('billing', '0001_initial'),
        ('billing', '0002_storage'),
        ('billing', '0003_refunds'),
        ('billing', '0004_invoices'),
        ('billing', '0005_books'),
        ('billing', '0006_adjustments'),
        ('billing', '0007_transfer_taken_down'),
        ('billing', '0008_tax_numbers'),
        ('billing', '0009_alerts'),
        ('billing', '0010_periods'),
    ]

    dependencies = [
        ('accounts', '0001_squashed_first_era'),
    ]

    operations = [
        migrations.RunSQL(UNHURRIED, migrations.RunSQL.noop),
        migrations.CreateModel(
            name='LedgerAccount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=80, unique=True, verbose_name='name')),
                ('kind', models.CharField(choices=[('paid', 'Paid balance'), ('bonus', 'Bonus balance'), ('system', 'House account')], default='system', max_length=10, verbose_name='kind')),
                ('currency', models.CharField(default='USD', max_length=3, verbose_name='currency')),
                ('customer', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='ledger_accounts', to='accounts.customer', verbose_name='customer')),
            ],
            options={
                'verbose_name': 'ledger account',
                'verbose_name_plural': 'ledger accounts',
                'constraints': [models.UniqueConstraint(fields=('id', 'currency'), name='ledgeraccount_id_currency'), models.UniqueConstraint(condition=models.Q(('customer__isnull', False)), fields=('customer', 'kind'), name='ledgeraccount_one_of_a_kind'), models.CheckConstraint(condition=models.Q(models.Q(('customer__isnull', True), ('kind', 'system')), models.Q(models.Q(('kind', 'system'), _negated=True), ('currency', 'USD'), ('customer__isnull', False)), _connector='OR'), name='ledgeraccount_customer_kinds_have_customer'), models.CheckConstraint(condition=models.Q(('currency__in', ['AED', 'AFN', 'ALL', 'AMD', 'ANG', 'AOA', 'ARS', 'AUD', 'AWG', 'AZN', 'BAM', 'BBD', 'BDT', 'BGN', 'BHD', 'BIF', 'BMD', 'BND', 'BOB', 'BRL', 'BSD', 'BWP', 'BYN', 'BZD', 'CAD', 'CDF', 'CHF', 'CLP', 'CNY', 'COP', 'CRC', 'CVE', 'CZK', 'DJF', 'DKK', 'DOP', 'DZD', 'EGP', 'ETB', 'EUR', 'FJD', 'FKP', 'GBP', 'GEL', 'GIP', 'GMD', 'GNF', 'GTQ', 'GYD', 'HKD', 'HNL', 'HTG', 'HUF', 'IDR', 'ILS', 'INR', 'ISK', 'JMD', 'JOD', 'JPY', 'KES', 'KGS', 'KHR', 'KMF', 'KRW', 'KWD', 'KYD', 'KZT', 'LAK', 'LBP', 'LKR', 'LRD', 'LSL', 'MAD', 'MDL', 'MGA', 'MKD', 'MMK', 'MNT', 'MOP', 'MUR', 'MVR', 'MWK', 'MXN', 'MYR', 'MZN', 'NAD', 'NGN', 'NIO', 'NOK', 'NPR', 'NZD', 'OMR', 'PAB', 'PEN', 'PGK', 'PHP', 'PKR', 'PLN', 'PYG', 'QAR', 'RON', 'RSD', 'RUB', 'RWF', 'SAR', 'SBD', 'SCR', 'SEK', 'SGD', 'SHP', 'SLE', 'SOS', 'SRD', 'STD', 'SZL', 'THB', 'TJS', 'TND', 'TOP', 'TRY', 'TTD', 'TWD', 'TZS', 'UAH', 'UGX', 'USD', 'UYU', 'UZS', 'VND', 'VUV', 'WST', 'XAF', 'XCD', 'XCG', 'XOF', 'XPF', 'YER', 'ZAR', 'ZMW'])), name='ledgeraccount_currency_known')],
            },
        ),
        migrations.CreateModel(
            name='Wallet',
            fields=[
                ('customer', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='wallet', serialize=False, to='accounts.customer', verbose_name='customer')),
                ('paid', models.DecimalField(decimal_places=8, default=0, max_digits=20, verbose_name='paid balance')),
                ('bonus', models.DecimalField(decimal_places=8, default=0, max_digits=20, verbose_name='bonus')),
                ('held', models.DecimalField(decimal_places=8, default=0, max_digits=20, verbose_name='held')),
                ('exposure', models.DecimalField(decimal_places=8, default=0, help_text='What open requests may cost beyond their holds: the sum of (bound - hold).', max_digits=20, verbose_name='exposure')),
                ('topped_up', models.BooleanField(default=False, verbose_name='has topped up')),
                ('bonus_account', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.ledgeraccount')),
                ('paid_account', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.ledgeraccount')),
            ],
            options={
                'verbose_name': 'wallet',
                'verbose_name_plural': 'wallets',
                'constraints': [models.CheckConstraint(condition=models.Q(('bonus__gte', 0)), name='wallet_bonus_not_negative'), models.CheckConstraint(condition=models.Q(('held__gte', 0)), name='wallet_held_not_negative'), models.CheckConstraint(condition=models.Q(('exposure__gte', 0)), name='wallet_exposure_not_negative')],
            },
        ),
        migrations.CreateModel(
            name='Hold',
            fields=[
                ('key', models.CharField(db_collation='C', help_text='Such as gen-... or refund:7.', max_length=60, primary_key=True, serialize=False, verbose_name='key')),
                ('kind', models.CharField(choices=[('request', 'Request'), ('refund', 'Refund'), ('dispute', 'Dispute')], max_length=10, verbose_name='kind')),
                ('state', models.CharField(choices=[('open', 'open'), ('captured', 'captured'), ('released', 'released')], default='open', max_length=10, verbose_name='state')),
                ('amount', models.DecimalField(decimal_places=8, max_digits=20, verbose_name='amount')),
                ('bound', models.DecimalField(decimal_places=8, help_text='The most that may be captured.', max_digits=20, verbose_name='bound')),
                ('captured', models.DecimalField(decimal_places=8, default=0, max_digits=20, verbose_name='captured')),
                ('reason', models.CharField(blank=True, max_length=30, verbose_name='reason')),
                ('created_at', models.DateTimeField(verbose_name='created at')),
                ('resolved_at', models.DateTimeField(blank=True, null=True, verbose_name='resolved at')),
                ('customer', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='holds', to='accounts.customer', verbose_name='customer')),
            ],
            options={
                'verbose_name': 'hold',
                'verbose_name_plural': 'holds',
                'constraints': [models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='hold_amount_positive'), models.CheckConstraint(condition=models.Q(('bound__gte', models.F('amount'))), name='hold_within_bound'), models.CheckConstraint(condition=models.Q(('captured__gte', 0), ('captured__lte', models.F('bound'))), name='hold_captured_within_bound'), models.CheckConstraint(condition=models.Q(models.Q(('resolved_at__isnull', True), ('state', 'open')), models.Q(models.Q(('state', 'open'), _negated=True), ('resolved_at__isnull', False)), _connector='OR'), name='hold_resolved_has_time')],
                'indexes': [models.Index(condition=models.Q(('state', 'open')), fields=['customer'], name='hold_open')],
            },
        ),
        migrations.CreateModel(
            name='RefundRequest',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.CharField(help_text='Ours, known over the API.', max_length=32, unique=True, verbose_name='number')),
                ('origin', models.CharField(choices=[('customer', 'asked by the customer'), ('staff', 'entered by staff'), ('fraud_warning', 'early fraud warning'), ('provider', 'begun at the provider'), ('late_payment', 'paid too late')], default='customer', max_length=14, verbose_name='origin')),
                ('state', models.CharField(choices=[('requested', 'requested'), ('approved', 'approved'), ('sending', 'being sent'), ('done', 'done'), ('partly_done', 'partly done'), ('returned', 'back at the desk'), ('denied', 'denied'), ('cancelled', 'cancelled'), ('external', 'begun at the provider')], default='requested', max_length=12, verbose_name='state')),
                ('amount', models.DecimalField(decimal_places=2, max_digits=12, verbose_name='asked, USD')),
                ('approved', models.DecimalField(blank=True, decimal_places=2, max_digits=12, null=True, verbose_name='approved, USD')),
                ('sent', models.DecimalField(decimal_places=2, default=0, max_digits=12, verbose_name='sent, USD')),
                ('returned', models.DecimalField(decimal_places=2, default=0, max_digits=12, verbose_name='arrived, USD')),
                ('reason', models.CharField(blank=True, max_length=500, verbose_name='reason')),
                ('locale', models.CharField(default='en', max_length=10, verbose_name='language')),
                ('reference', models.CharField(blank=True, help_text='Of the mail it came by, or of the provider.', max_length=200, verbose_name='reference')),
                ('question', models.CharField(blank=True, max_length=1000, verbose_name='question to the customer')),
                ('answer', models.CharField(blank=True, max_length=1000, verbose_name="the customer's answer")),
                ('asked_back_at', models.DateTimeField(blank=True, null=True, verbose_name='asked back at')),
                ('proposed', models.DecimalField(blank=True, decimal_places=2, help_text="Above support's limit: somebody of finance approves it.", max_digits=12, null=True, verbose_name='proposed, USD')),
                ('decided_at', models.DateTimeField(blank=True, null=True, verbose_name='decided at')),
                ('decision', models.CharField(blank=True, max_length=1000, verbose_name='words to the customer')),
                ('problem', models.CharField(blank=True, help_text='What staff should look at.', max_length=300, verbose_name='problem')),
                ('freezes', models.PositiveIntegerField(default=0, help_text='Holds placed so far; the last one counts.', verbose_name='holds placed')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='asked at')),
                ('due_at', models.DateTimeField(verbose_name='due')),
                ('changed_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='changed at')),
                ('finished_at', models.DateTimeField(blank=True, null=True, verbose_name='finished at')),
                ('attempt_at', models.DateTimeField(blank=True, help_text='When sending goes on.', null=True, verbose_name='next attempt')),
                ('asked_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='asked by')),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='refunds', to='accounts.customer', verbose_name='customer')),
                ('decided_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='decided by')),
                ('entered_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='entered by')),
                ('proposed_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='proposed by')),
            ],
            options={
                'verbose_name': 'refund',
                'verbose_name_plural': 'refunds',
                'constraints': [models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='refund_amount_positive'), models.CheckConstraint(condition=models.Q(('approved__isnull', True), models.Q(('approved__gt', 0), ('approved__lte', models.F('amount'))), _connector='OR'), name='refund_approved_within_amount'), models.CheckConstraint(condition=models.Q(('returned__gte', 0), ('returned__lte', models.F('sent')), ('sent__lte', models.F('amount'))), name='refund_sums_within')],
                'indexes': [models.Index(fields=['customer', '-id'], name='refund_customer'), models.Index(condition=models.Q(('state__in', ['requested', 'returned'])), fields=['due_at'], name='refund_desk'), models.Index(condition=models.Q(('state__in', ['approved', 'sending'])), fields=['attempt_at'], name='refund_to_send')],
            },
        ),
        migrations.CreateModel(
            name='InvoiceRequest',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.CharField(help_text='Ours, known over the API.', max_length=32, unique=True, verbose_name='number')),
                ('state', models.CharField(choices=[('requested', 'requested'), ('issued', 'issued'), ('denied', 'denied'), ('cancelled', 'cancelled'), ('partly_credited', 'partly credited'), ('credited', 'credited')], default='requested', max_length=16, verbose_name='state')),
                ('invoice_type', models.CharField(choices=[('commercial', 'commercial invoice'), ('fapiao_general', 'general fapiao'), ('fapiao_special', 'special fapiao')], default='commercial', max_length=16, verbose_name='type')),
                ('amount', models.DecimalField(decimal_places=2, max_digits=12, verbose_name='amount')),
                ('credited', models.DecimalField(decimal_places=2, default=0, max_digits=12, verbose_name='credited')),
                ('currency', models.CharField(max_length=3, verbose_name='currency')),
                ('buyer_kind', models.CharField(choices=[('company', 'company'), ('individual', 'individual')], default='company', max_length=10, verbose_name='buyer')),
                ('company_name', models.CharField(max_length=200, verbose_name='company name')),
                ('tax_id', models.CharField(blank=True, max_length=40, verbose_name='tax number')),
                ('country', models.CharField(blank=True, max_length=2, verbose_name='country')),
                ('billing_address', models.CharField(blank=True, max_length=500, verbose_name='billing address')),
                ('delivery', models.CharField(choices=[('email', 'by email'), ('post', 'by post')], default='email', max_length=5, verbose_name='delivery')),
                ('email', models.EmailField(blank=True, max_length=254, verbose_name='email')),
                ('mailing_address', models.CharField(blank=True, max_length=500, verbose_name='mailing address')),
                ('remark', models.CharField(blank=True, max_length=200, verbose_name='remark')),
                ('locale', models.CharField(default='en', max_length=10, verbose_name='language')),
                ('reference', models.CharField(blank=True, help_text='Of the mail it came by.', max_length=200, verbose_name='reference')),
                ('decided_at', models.DateTimeField(blank=True, null=True, verbose_name='decided at')),
                ('decision', models.CharField(blank=True, max_length=1000, verbose_name='words to the customer')),
                ('problem', models.CharField(blank=True, help_text='What staff should look at.', max_length=300, verbose_name='problem')),
                ('carrier', models.CharField(blank=True, max_length=60, verbose_name='carrier')),
                ('tracking', models.CharField(blank=True, max_length=80, verbose_name='tracking number')),
                ('posted_at', models.DateTimeField(blank=True, null=True, verbose_name='posted at')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='asked at')),
                ('due_at', models.DateTimeField(verbose_name='due')),
                ('changed_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='changed at')),
                ('asked_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='asked by')),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='invoices', to='accounts.customer', verbose_name='customer')),
                ('decided_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='decided by')),
                ('entered_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='entered by')),
                ('replaces', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='replaced_by', to='billing.invoicerequest', verbose_name='replaces')),
                ('tax_id_is_doubtful', models.BooleanField(default=False, help_text='Its check digit does not fit; the buyer stands by it.', verbose_name='tax number in doubt')),
            ],
            options={
                'verbose_name': 'invoice request',
                'verbose_name_plural': 'invoice requests',
                'constraints': [models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='invoice_amount_positive'), models.CheckConstraint(condition=models.Q(('credited__gte', 0), ('credited__lte', models.F('amount'))), name='invoice_credited_within'), models.CheckConstraint(condition=models.Q(('currency__in', ['USD', 'CNY'])), name='invoice_currency_known'), models.CheckConstraint(condition=models.Q(models.Q(('credited', models.F('amount')), ('state', 'credited')), models.Q(('credited__gt', 0), ('credited__lt', models.F('amount')), ('state', 'partly_credited')), models.Q(models.Q(('state__in', ['credited', 'partly_credited']), _negated=True), ('credited', 0)), _connector='OR'), name='invoice_state_follows_credited')],
                'indexes': [models.Index(fields=['customer', '-id'], name='invoice_customer'), models.Index(condition=models.Q(('state', 'requested')), fields=['due_at'], name='invoice_desk')],
            },
        ),
        migrations.CreateModel(
            name='InvoiceAllocation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('source_id', models.BigIntegerField(verbose_name='payment')),
                ('label', models.CharField(max_length=64, verbose_name='order number')),
                ('method', models.CharField(max_length=20, verbose_name='method')),
                ('paid_at', models.DateTimeField(verbose_name='paid at')),
                ('amount', models.DecimalField(decimal_places=2, max_digits=12, verbose_name='amount')),
                ('credited', models.DecimalField(decimal_places=2, default=0, max_digits=12, verbose_name='credited')),
                ('waived', models.DecimalField(decimal_places=2, default=0, max_digits=12, verbose_name='waived')),
                ('request', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='allocations', to='billing.invoicerequest')),
            ],
            options={
                'verbose_name': 'allocation of an invoice',
                'verbose_name_plural': 'allocations of invoices',
                'constraints': [models.UniqueConstraint(fields=('request', 'source_id'), name='invoiceallocation_once'), models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='invoiceallocation_positive'), models.CheckConstraint(condition=models.Q(('amount__gte', django.db.models.expressions.CombinedExpression(models.F('credited'), '+', models.F('waived'))), ('credited__gte', 0), ('waived__gte', 0)), name='invoiceallocation_credited_within')],
                'indexes': [models.Index(fields=['source_id'], name='invoiceallocation_source')],
            },
        ),
        migrations.CreateModel(
            name='Document',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('invoice', 'invoice'), ('credit_note', 'credit note'), ('fapiao', 'fapiao'), ('red_letter', 'red-letter fapiao')], max_length=12, verbose_name='kind')),
                ('number', models.CharField(max_length=40, unique=True, verbose_name='number')),
                ('sequence', models.PositiveIntegerField(blank=True, null=True, verbose_name='number in its series')),
                ('fapiao_number', models.CharField(blank=True, max_length=20, verbose_name='fapiao number')),
                ('currency', models.CharField(max_length=3, verbose_name='currency')),
                ('gross', models.DecimalField(decimal_places=2, max_digits=12, verbose_name='gross')),
                ('net', models.DecimalField(blank=True, decimal_places=2, max_digits=12, null=True, verbose_name='net')),
                ('tax', models.DecimalField(blank=True, decimal_places=2, max_digits=12, null=True, verbose_name='tax')),
                ('tax_rate', models.DecimalField(blank=True, decimal_places=4, max_digits=5, null=True, verbose_name='tax rate')),
                ('seller', models.JSONField(default=dict, verbose_name='seller')),
                ('buyer', models.JSONField(default=dict, verbose_name='buyer')),
                ('lines', models.JSONField(default=list, verbose_name='lines')),
                ('reason', models.CharField(blank=True, max_length=300, verbose_name='reason')),
                ('locale', models.CharField(default='en', max_length=10, verbose_name='language')),
                ('content', models.BinaryField(default=bytes, help_text='Empty: only its number is recorded.', verbose_name='file')),
                ('content_type', models.CharField(blank=True, max_length=40, verbose_name='type of the file')),
                ('file_name', models.CharField(blank=True, max_length=80, verbose_name='file name')),
                ('sha256', models.CharField(blank=True, max_length=64, verbose_name='SHA-256')),
                ('issued_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='issued at')),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='documents', to='accounts.customer', verbose_name='customer')),
                ('issued_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='issued by')),
                ('refers_to', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='credits', to='billing.document', verbose_name='refers to')),
                ('request', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='documents', to='billing.invoicerequest', verbose_name='invoice request')),
            ],
            options={
                'verbose_name': 'document',
                'verbose_name_plural': 'documents',
            },
        ),
        migrations.CreateModel(
            name='CreditTask',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('source_id', models.BigIntegerField(verbose_name='payment')),
                ('amount', models.DecimalField(decimal_places=2, max_digits=12, verbose_name='amount')),
                ('credited', models.DecimalField(decimal_places=2, default=0, max_digits=12, verbose_name='credited')),
                ('reason', models.CharField(choices=[('refund', 'refund'), ('dispute', 'lost dispute')], max_length=12, verbose_name='reason')),
                ('state', models.CharField(choices=[('open', 'needs a credit note'), ('done', 'credited'), ('overridden', 'overridden'), ('dropped', 'no longer needed')], default='open', max_length=10, verbose_name='state')),
                ('words', models.CharField(blank=True, max_length=500, verbose_name='why no credit note')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='opened at')),
                ('resolved_at', models.DateTimeField(blank=True, null=True, verbose_name='resolved at')),
                ('refund', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='credit_tasks', to='billing.refundrequest')),
                ('resolved_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='resolved by')),
                ('document', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='tasks', to='billing.document')),
                ('allocation', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='tasks', to='billing.invoiceallocation')),
                ('request', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='tasks', to='billing.invoicerequest')),
            ],
            options={
                'verbose_name': 'credit note wanted',
                'verbose_name_plural': 'credit notes wanted',
                'constraints': [models.CheckConstraint(condition=models.Q(('amount__gt', 0), ('credited__gte', 0), ('credited__lte', models.F('amount'))), name='credittask_within'), models.CheckConstraint(condition=models.Q(models.Q(('resolved_at__isnull', True), ('state', 'open')), models.Q(models.Q(('state', 'open'), _negated=True), ('resolved_at__isnull', False)), _connector='OR'), name='credittask_resolved_has_time'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'overridden'), _negated=True), models.Q(models.Q(('words', ''), _negated=True), ('resolved_by__isnull', False)), _connector='OR'), name='credittask_override_has_reason'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'done'), _negated=True), ('document__isnull', False), _connector='OR'), name='credittask_done_has_document')],
                'indexes': [models.Index(condition=models.Q(('state', 'open')), fields=['created_at'], name='credittask_open'), models.Index(fields=['source_id'], name='credittask_source')],
            },
        ),
        migrations.CreateModel(
            name='InvoiceSeries',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('prefix', models.CharField(help_text='Such as CZ2026-', max_length=20, unique=True, verbose_name='prefix')),
                ('next_number', models.PositiveIntegerField(default=1, verbose_name='next number')),
                ('currency', models.CharField(blank=True, help_text='Empty: any.', max_length=3, verbose_name='currency')),
                ('is_active', models.BooleanField(default=True, verbose_name='in use')),
                ('tax_rate', models.DecimalField(decimal_places=4, default=0, max_digits=5, verbose_name='tax rate')),
                ('tax_name_en', models.CharField(default='VAT', max_length=40, verbose_name='name of the tax')),
                ('tax_name_zh', models.CharField(default='增值税', max_length=40, verbose_name='name of the tax, Chinese')),
                ('tax_note_en', models.CharField(blank=True, max_length=300, verbose_name='note on tax')),
                ('tax_note_zh', models.CharField(blank=True, max_length=300, verbose_name='note on tax, Chinese')),
                ('seller_name_en', models.CharField(max_length=200, verbose_name='seller')),
                ('seller_name_zh', models.CharField(blank=True, max_length=200, verbose_name='seller, Chinese')),
                ('seller_address_en', models.CharField(max_length=500, verbose_name="seller's address")),
                ('seller_address_zh', models.CharField(blank=True, max_length=500, verbose_name="seller's address, Chinese")),
                ('seller_tax_id', models.CharField(blank=True, max_length=40, verbose_name="seller's tax number")),
                ('seller_contact', models.CharField(blank=True, max_length=200, verbose_name="seller's contact")),
            ],
            options={
                'verbose_name': 'invoice series',
                'verbose_name_plural': 'invoice series',
                'constraints': [models.CheckConstraint(condition=models.Q(('tax_rate__gte', 0), ('tax_rate__lt', 1)), name='invoiceseries_rate_is_share'), models.CheckConstraint(condition=models.Q(('next_number__gte', 1)), name='invoiceseries_number_from_one'), models.CheckConstraint(condition=models.Q(('currency__in', ['', 'USD', 'CNY'])), name='invoiceseries_currency_known')],
            },
        ),
        migrations.AddField(
            model_name='document',
            name='series',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='documents', to='billing.invoiceseries', verbose_name='series'),
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
                'indexes': [models.Index(fields=['-finished_at'], name='auditrun_finished')],
            },
        ),
        migrations.CreateModel(
            name='AccountDay',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField(verbose_name='day (UTC)')),
                ('debits', models.DecimalField(decimal_places=8, max_digits=24, verbose_name='debits')),
                ('credits', models.DecimalField(decimal_places=8, max_digits=24, verbose_name='credits')),
                ('transfers', models.PositiveIntegerField(verbose_name='transfers')),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='days', to='billing.ledgeraccount', verbose_name='account')),
            ],
            options={
                'verbose_name': 'day of an account',
                'verbose_name_plural': 'days of accounts',
                'constraints': [models.UniqueConstraint(fields=('account', 'day'), name='accountday_once')],
                'indexes': [models.Index(fields=['day'], name='accountday_day')],
            },
        ),
        migrations.CreateModel(
            name='AdjustmentProposal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('paid_up', 'paid balance up'), ('paid_down', 'paid balance down'), ('bonus_up', 'bonus up'), ('bonus_down', 'bonus down'), ('reversal', 'charge given back'), ('write_off', 'small debt written off')], max_length=12, verbose_name='kind')),
                ('state', models.CharField(choices=[('proposed', 'proposed'), ('posted', 'posted'), ('refused', 'refused')], default='proposed', max_length=10, verbose_name='state')),
                ('amount', models.DecimalField(decimal_places=8, max_digits=20, verbose_name='amount, USD')),
                ('generation_id', models.CharField(blank=True, help_text='Whose charge is given back, gen-...', max_length=60, verbose_name='request')),
                ('reason', models.CharField(help_text='For the books; staff alone read it.', max_length=500, verbose_name='reason')),
                ('words', models.CharField(blank=True, max_length=200, verbose_name='words to the customer')),
                ('proposed_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='proposed at')),
                ('decided_at', models.DateTimeField(blank=True, null=True, verbose_name='decided at')),
                ('decision', models.CharField(blank=True, max_length=500, verbose_name='why refused')),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='adjustments', to='accounts.customer', verbose_name='customer')),
                ('decided_by', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='decided by')),
                ('proposed_by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='proposed by')),
            ],
            options={
                'verbose_name': 'adjustment',
                'verbose_name_plural': 'adjustments',
                'permissions': [('post_adjustments', 'Can propose and approve adjustments and write-offs'), ('handle_refunds', 'Can decide refund requests up to the limit'), ('approve_large_refunds', 'Can approve refunds above the limit'), ('handle_invoices', 'Can handle invoice requests')],
                'constraints': [models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='adjustment_amount_positive'), models.CheckConstraint(condition=models.Q(models.Q(('kind', 'reversal'), models.Q(('generation_id', ''), _negated=True)), models.Q(models.Q(('kind', 'reversal'), _negated=True), ('generation_id', '')), _connector='OR'), name='adjustment_reversal_names_request'), models.CheckConstraint(condition=models.Q(models.Q(('decided_at__isnull', True), ('decided_by__isnull', True), ('state', 'proposed')), models.Q(models.Q(('state', 'proposed'), _negated=True), ('decided_at__isnull', False), ('decided_by__isnull', False)), _connector='OR'), name='adjustment_decided_by_somebody'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'posted'), _negated=True), models.Q(('decided_by', models.F('proposed_by')), _negated=True), _connector='OR'), name='adjustment_four_eyes'), models.UniqueConstraint(condition=models.Q(models.Q(('generation_id', ''), _negated=True), models.Q(('state', 'refused'), _negated=True)), fields=('generation_id',), name='adjustment_reverses_once')],
            },
        ),
        migrations.CreateModel(
            name='AlertPost',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('message_id', models.CharField(help_text='The same at each attempt.', max_length=40, unique=True, verbose_name='message id')),
                ('body', models.TextField(verbose_name='text')),
                ('attempts', models.PositiveIntegerField(default=0, verbose_name='attempts')),
                ('problem', models.CharField(blank=True, max_length=200, verbose_name='problem')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='written at')),
                ('send_at', models.DateTimeField(blank=True, db_index=True, null=True, verbose_name='next attempt')),
                ('sent_at', models.DateTimeField(blank=True, null=True, verbose_name='sent at')),
            ],
            options={
                'verbose_name': 'alert post',
                'verbose_name_plural': 'alert posts',
            },
        ),
        migrations.CreateModel(
            name='Mail',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('about', models.CharField(help_text='The number of the refund or the document.', max_length=80, verbose_name='about')),
                ('to', models.EmailField(max_length=254, verbose_name='to')),
                ('subject', models.CharField(max_length=200, verbose_name='subject')),
                ('body', models.TextField(verbose_name='text')),
                ('attempts', models.PositiveIntegerField(default=0, verbose_name='attempts')),
                ('problem', models.CharField(blank=True, max_length=200, verbose_name='problem')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='written at')),
                ('send_at', models.DateTimeField(blank=True, null=True, verbose_name='next attempt')),
                ('sent_at', models.DateTimeField(blank=True, null=True, verbose_name='sent at')),
                ('customer', models.ForeignKey(blank=True, help_text='Empty: to the operator.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer', verbose_name='customer')),
                ('document', models.ForeignKey(blank=True, help_text='Goes with it as a file.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.document', verbose_name='document')),
            ],
            options={
                'verbose_name': 'mail',
                'verbose_name_plural': 'mail',
                'permissions': [('handle_mail', 'Can send mail again, or put it aside')],
                'indexes': [models.Index(condition=models.Q(('send_at__isnull', False)), fields=['send_at'], name='mail_to_send'), models.Index(fields=['customer', '-id'], name='mail_customer')],
            },
        ),
        migrations.CreateModel(
            name='Alert',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('code', models.CharField(help_text='Panel and figure, in English.', max_length=200, verbose_name='figure')),
                ('value', models.CharField(help_text='As it was seen last.', max_length=200, verbose_name='value')),
                ('link', models.CharField(blank=True, max_length=300, verbose_name='page')),
                ('since', models.DateTimeField(default=django.utils.timezone.now, verbose_name='red since')),
                ('told_at', models.DateTimeField(blank=True, null=True, verbose_name='told last')),
                ('ended_at', models.DateTimeField(blank=True, null=True, verbose_name='green again at')),
            ],
            options={
                'verbose_name': 'alert',
                'verbose_name_plural': 'alerts',
                'constraints': [models.UniqueConstraint(condition=models.Q(('ended_at__isnull', True)), fields=('code',), name='alert_open_once')],
            },
        ),
        migrations.CreateModel(
            name='ClosedDay',
            fields=[
                ('day', models.DateField(primary_key=True, serialize=False, verbose_name='day (UTC)')),
                ('transfers', models.PositiveIntegerField(verbose_name='transfers')),
                ('closed_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='closed at')),
                ('zone', models.CharField(default='UTC', help_text="The books' time zone when it was closed.", max_length=60)),
            ],
            options={
                'verbose_name': 'closed day',
                'verbose_name_plural': 'closed days',
            },
        ),
        migrations.CreateModel(
            name='Transfer',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(db_collation='C', help_text='The business fact, such as topup:123.', max_length=120, unique=True, verbose_name='key')),
                ('kind', models.CharField(max_length=30, verbose_name='kind')),
                ('currency', models.CharField(default='USD', max_length=3, verbose_name='currency')),
                ('amount', models.DecimalField(decimal_places=8, max_digits=20, verbose_name='amount')),
                ('group', models.CharField(blank=True, help_text='Transfers of one business act.', max_length=120, verbose_name='group')),
                ('memo', models.CharField(blank=True, max_length=300, verbose_name='note')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='created at')),
                ('actor', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='done by')),
                ('credit', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='credits', to='billing.ledgeraccount', verbose_name='credit')),
                ('debit', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='debits', to='billing.ledgeraccount', verbose_name='debit')),
                ('booked_on', models.DateField(db_default=models.Func(function='CURRENT_DATE', output_field=models.DateField(), template='%(function)s'), help_text="The day it is about, in the books' time zone.", verbose_name='booked on')),
            ],
            options={
                'verbose_name': 'transfer',
                'verbose_name_plural': 'transfers',
                'constraints': [models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='transfer_amount_positive'), models.CheckConstraint(condition=models.Q(('debit', models.F('credit')), _negated=True), name='transfer_two_accounts')],
                'indexes': [models.Index(fields=['debit', '-id'], name='transfer_debit'), models.Index(fields=['credit', '-id'], name='transfer_credit'), django.contrib.postgres.indexes.BrinIndex(autosummarize=True, fields=['created_at'], name='transfer_day', pages_per_range=32), models.Index(condition=models.Q(('kind__in', ['adjustment', 'write_off_recovered'])), fields=['debit'], name='transfer_taken_down'), django.contrib.postgres.indexes.BrinIndex(autosummarize=True, fields=['booked_on'], name='transfer_booked', pages_per_range=32)],
            },
        ),
        migrations.CreateModel(
            name='MonthLock',
            fields=[
                ('month', models.DateField(help_text='Its first day.', primary_key=True, serialize=False, verbose_name='month')),
                ('locked_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='locked at')),
                ('locked_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='locked by')),
            ],
            options={
                'verbose_name': 'locked month',
                'verbose_name_plural': 'locked months',
                'permissions': [('lock_months', 'Can lock months of the books')],
                'constraints': [models.CheckConstraint(condition=models.Q(('month__day', 1)), name='monthlock_first_day')],
            },
        ),
        migrations.AddConstraint(
            model_name='document',
            constraint=models.UniqueConstraint(condition=models.Q(('fapiao_number', ''), _negated=True), fields=('fapiao_number',), name='document_fapiao_number_once'),
        ),
        migrations.AddConstraint(
            model_name='document',
            constraint=models.UniqueConstraint(condition=models.Q(('series__isnull', False)), fields=('series', 'sequence'), name='document_sequence_once'),
        ),
        migrations.AddConstraint(
            model_name='document',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('gross__gt', 0), ('kind__in', ['invoice', 'fapiao']), ('refers_to__isnull', True)), models.Q(('gross__lt', 0), ('kind__in', ['credit_note', 'red_letter']), ('refers_to__isnull', False)), _connector='OR'), name='document_sign_follows_kind'),
        ),
        migrations.AddConstraint(
            model_name='document',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('fapiao_number', ''), ('gross', django.db.models.expressions.CombinedExpression(models.F('net'), '+', models.F('tax'))), ('kind__in', ['invoice', 'credit_note']), ('net__isnull', False), ('sequence__isnull', False), ('series__isnull', False), ('tax__isnull', False)), models.Q(('kind__in', ['fapiao', 'red_letter']), ('sequence__isnull', True), ('series__isnull', True), ('net__isnull', True), ('tax__isnull', True), models.Q(('fapiao_number', ''), _negated=True)), _connector='OR'), name='document_is_ours_or_fapiao'),
        ),
        migrations.AddIndex(
            model_name='document',
            index=models.Index(fields=['customer', '-id'], name='document_customer'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='ledgeraccount',
            trigger=pgtrigger.compiler.Trigger(name='ledgeraccount_protect', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='6c53fb59e3b58225daf2163575d184ecc654475a', operation='UPDATE OR DELETE', pgid='pgtrigger_ledgeraccount_protect_1f844', table='billing_ledgeraccount', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='transfer',
            trigger=pgtrigger.compiler.Trigger(name='transfer_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='e177e99ac4de9f538a9f1e2bf625c98565b6c72f', operation='UPDATE OR DELETE', pgid='pgtrigger_transfer_append_only_2d09f', table='billing_transfer', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='transfer',
            trigger=pgtrigger.compiler.Trigger(name='transfer_no_truncate', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'transfers are append-only';", hash='16e7df30d0e72392c64c081d4a13ad506fcbd9e4', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_transfer_no_truncate_737ae', table='billing_transfer', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='transfer',
            trigger=pgtrigger.compiler.Trigger(name='transfer_open_day', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (NEW.created_at < statement_timestamp() - interval '30 minutes')", declare='DECLARE closed_day date; books_zone text;', func="\nPERFORM pg_advisory_xact_lock_shared(hashtext('close_days'));\nSELECT max(day), min(zone) INTO closed_day, books_zone FROM billing_closedday;\nIF (NEW.created_at AT TIME ZONE 'UTC')::date <= closed_day THEN\n  IF NEW.booked_on = (NEW.created_at AT TIME ZONE books_zone)::date THEN\n    NEW.booked_on := (clock_timestamp() AT TIME ZONE books_zone)::date;\n  END IF;\n  NEW.created_at := clock_timestamp();\nEND IF;\nRETURN NEW;\n", hash='bdfe70a1073d02af9fd5b498003f2eed78085a6d', operation='INSERT', pgid='pgtrigger_transfer_open_day_ca0cd', table='billing_transfer', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='document',
            trigger=pgtrigger.compiler.Trigger(name='document_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='623524064ce9d486fb85d81010e69f91e62394e4', operation='UPDATE OR DELETE', pgid='pgtrigger_document_append_only_9c814', table='billing_document', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='document',
            trigger=pgtrigger.compiler.Trigger(name='document_no_truncate', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'documents are append-only';", hash='a455c0aeb539ba83ffef5f7c00849c3c660a7d55', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_document_no_truncate_72dfc', table='billing_document', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='invoiceseries',
            trigger=pgtrigger.compiler.Trigger(name='invoiceseries_kept', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;", hash='8aa3650c5a9cb7a3e28860a7f0de8abedb99b1be', operation='DELETE', pgid='pgtrigger_invoiceseries_kept_02019', table='billing_invoiceseries', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='invoiceseries',
            trigger=pgtrigger.compiler.Trigger(name='invoiceseries_only_counts_up', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (NEW."next_number" < (OLD."next_number") OR (NEW."prefix" IS DISTINCT FROM (OLD."prefix") AND OLD."next_number" > 1))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='bb49a831a548b9b7f9ae17a3bec0f5bdd682d633', operation='UPDATE', pgid='pgtrigger_invoiceseries_only_counts_up_772b2', table='billing_invoiceseries', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='adjustmentproposal',
            trigger=pgtrigger.compiler.Trigger(name='adjustment_kept', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;", hash='6af175bf8da21e44fb8cdf5097d2d2ce3c9e14cb', operation='DELETE', pgid='pgtrigger_adjustment_kept_c34d1', table='billing_adjustmentproposal', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='adjustmentproposal',
            trigger=pgtrigger.compiler.Trigger(name='adjustment_decided_once', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."state" IS DISTINCT FROM \'proposed\')', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='149615822eb73ba99e1bba976619527316bca53f', operation='UPDATE', pgid='pgtrigger_adjustment_decided_once_b7849', table='billing_adjustmentproposal', when='BEFORE')),
        ),
        # What Django's models cannot say: narrow hot rows that update in place, and one currency a transfer.
        migrations.RunPython(make_indexes, migrations.RunPython.noop),
        migrations.RunSQL(DROP_PATTERN_INDEXES, migrations.RunSQL.noop),
        migrations.RunSQL(
            "ALTER TABLE billing_wallet SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);"
            "ALTER TABLE billing_hold SET (fillfactor = 85);",
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(
            "ALTER TABLE billing_transfer"
            " ADD CONSTRAINT transfer_debit_in_currency FOREIGN KEY (debit_id, currency)"
            "  REFERENCES billing_ledgeraccount (id, currency),"
            " ADD CONSTRAINT transfer_credit_in_currency FOREIGN KEY (credit_id, currency)"
            "  REFERENCES billing_ledgeraccount (id, currency);",
            migrations.RunSQL.noop,
        ),
    ]

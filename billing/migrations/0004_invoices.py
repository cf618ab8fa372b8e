import django.db.models.deletion
import django.db.models.expressions
import django.utils.timezone
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_staff"), ("billing", "0003_refunds"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]

    operations = [
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
                ('sha256', models.CharField(blank=True, max_length=64)),
                ('issued_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='issued at')),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='documents', to='accounts.customer')),
                ('issued_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='issued by')),
                ('refers_to', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='credits', to='billing.document', verbose_name='refers to')),
            ],
            options={
                'verbose_name': 'document',
                'verbose_name_plural': 'documents',
            },
        ),
        migrations.AddField(
            model_name='mail',
            name='document',
            field=models.ForeignKey(blank=True, help_text='Goes with it as a file.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.document', verbose_name='document'),
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
                ('asked_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='invoices', to='accounts.customer')),
                ('decided_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='decided by')),
                ('entered_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='entered by')),
                ('replaces', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='replaced_by', to='billing.invoicerequest', verbose_name='replaces')),
            ],
            options={
                'verbose_name': 'invoice request',
                'verbose_name_plural': 'invoice requests',
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
            },
        ),
        migrations.AddField(
            model_name='document',
            name='request',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='documents', to='billing.invoicerequest'),
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
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='documents', to='billing.invoiceseries'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='invoiceseries',
            trigger=pgtrigger.compiler.Trigger(name='invoiceseries_kept', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;", hash='8aa3650c5a9cb7a3e28860a7f0de8abedb99b1be', operation='DELETE', pgid='pgtrigger_invoiceseries_kept_02019', table='billing_invoiceseries', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='invoiceseries',
            trigger=pgtrigger.compiler.Trigger(name='invoiceseries_only_counts_up', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (NEW."next_number" < (OLD."next_number") OR (NEW."prefix" IS DISTINCT FROM (OLD."prefix") AND OLD."next_number" > 1))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='bb49a831a548b9b7f9ae17a3bec0f5bdd682d633', operation='UPDATE', pgid='pgtrigger_invoiceseries_only_counts_up_772b2', table='billing_invoiceseries', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='invoicerequest',
            index=models.Index(fields=['customer', '-id'], name='invoice_customer'),
        ),
        migrations.AddIndex(
            model_name='invoicerequest',
            index=models.Index(condition=models.Q(('state', 'requested')), fields=['due_at'], name='invoice_desk'),
        ),
        migrations.AddConstraint(
            model_name='invoicerequest',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='invoice_amount_positive'),
        ),
        migrations.AddConstraint(
            model_name='invoicerequest',
            constraint=models.CheckConstraint(condition=models.Q(('credited__gte', 0), ('credited__lte', models.F('amount'))), name='invoice_credited_within'),
        ),
        migrations.AddConstraint(
            model_name='invoicerequest',
            constraint=models.CheckConstraint(condition=models.Q(('currency__in', ['USD', 'CNY'])), name='invoice_currency_known'),
        ),
        migrations.AddConstraint(
            model_name='invoicerequest',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('credited', models.F('amount')), ('state', 'credited')), models.Q(('credited__gt', 0), ('credited__lt', models.F('amount')), ('state', 'partly_credited')), models.Q(models.Q(('state__in', ['credited', 'partly_credited']), _negated=True), ('credited', 0)), _connector='OR'), name='invoice_state_follows_credited'),
        ),
        migrations.AddIndex(
            model_name='invoiceallocation',
            index=models.Index(fields=['source_id'], name='invoiceallocation_source'),
        ),
        migrations.AddConstraint(
            model_name='invoiceallocation',
            constraint=models.UniqueConstraint(fields=('request', 'source_id'), name='invoiceallocation_once'),
        ),
        migrations.AddConstraint(
            model_name='invoiceallocation',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='invoiceallocation_positive'),
        ),
        migrations.AddConstraint(
            model_name='invoiceallocation',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gte', django.db.models.expressions.CombinedExpression(models.F('credited'), '+', models.F('waived'))), ('credited__gte', 0), ('waived__gte', 0)), name='invoiceallocation_credited_within'),
        ),
        migrations.AddIndex(
            model_name='credittask',
            index=models.Index(condition=models.Q(('state', 'open')), fields=['created_at'], name='credittask_open'),
        ),
        migrations.AddIndex(
            model_name='credittask',
            index=models.Index(fields=['source_id'], name='credittask_source'),
        ),
        migrations.AddConstraint(
            model_name='credittask',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gt', 0), ('credited__gte', 0), ('credited__lte', models.F('amount'))), name='credittask_within'),
        ),
        migrations.AddConstraint(
            model_name='credittask',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('resolved_at__isnull', True), ('state', 'open')), models.Q(models.Q(('state', 'open'), _negated=True), ('resolved_at__isnull', False)), _connector='OR'), name='credittask_resolved_has_time'),
        ),
        migrations.AddConstraint(
            model_name='credittask',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'overridden'), _negated=True), models.Q(models.Q(('words', ''), _negated=True), ('resolved_by__isnull', False)), _connector='OR'), name='credittask_override_has_reason'),
        ),
        migrations.AddConstraint(
            model_name='credittask',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'done'), _negated=True), ('document__isnull', False), _connector='OR'), name='credittask_done_has_document'),
        ),
        migrations.AddIndex(
            model_name='document',
            index=models.Index(fields=['customer', '-id'], name='document_customer'),
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
        pgtrigger.migrations.AddTrigger(
            model_name='document',
            trigger=pgtrigger.compiler.Trigger(name='document_append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='623524064ce9d486fb85d81010e69f91e62394e4', operation='UPDATE OR DELETE', pgid='pgtrigger_document_append_only_9c814', table='billing_document', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='document',
            trigger=pgtrigger.compiler.Trigger(name='document_no_truncate', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'documents are append-only';", hash='a455c0aeb539ba83ffef5f7c00849c3c660a7d55', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_document_no_truncate_72dfc', table='billing_document', when='BEFORE')),
        ),
    ]

import django.db.models.deletion
import django.utils.timezone
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_api_rates'),
        ('billing', '0010_periods'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
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
            ],
            options={
                'verbose_name': 'journal entry',
                'verbose_name_plural': 'journal entries',
                'permissions': [('post_entries', 'Can propose and approve journal entries')],
            },
        ),
        migrations.AddConstraint(
            model_name='ledgeraccount',
            constraint=models.UniqueConstraint(fields=('id', 'kind', 'currency'), name='ledgeraccount_id_kind_currency'),
        ),
        migrations.AddField(
            model_name='journalentry',
            name='credit',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.ledgeraccount', verbose_name='credit'),
        ),
        migrations.AddField(
            model_name='journalentry',
            name='debit',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.ledgeraccount', verbose_name='debit'),
        ),
        migrations.AddField(
            model_name='journalentry',
            name='decided_by',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='decided by'),
        ),
        migrations.AddField(
            model_name='journalentry',
            name='proposed_by',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='proposed by'),
        ),
        migrations.AddConstraint(
            model_name='journalentry',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='journalentry_amount_positive'),
        ),
        migrations.AddConstraint(
            model_name='journalentry',
            constraint=models.CheckConstraint(condition=models.Q(('debit', models.F('credit')), _negated=True), name='journalentry_two_accounts'),
        ),
        migrations.AddConstraint(
            model_name='journalentry',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('reference', ''), _negated=True), models.Q(('reason', ''), _negated=True)), name='journalentry_says_why'),
        ),
        migrations.AddConstraint(
            model_name='journalentry',
            constraint=models.CheckConstraint(condition=models.Q(('account_kind', 'system')), name='journalentry_accounts_of_the_house'),
        ),
        migrations.AddConstraint(
            model_name='journalentry',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('decided_at__isnull', True), ('decided_by__isnull', True), ('state', 'proposed')), models.Q(models.Q(('state', 'proposed'), _negated=True), ('decided_at__isnull', False), ('decided_by__isnull', False)), _connector='OR'), name='journalentry_decided_by_somebody'),
        ),
        migrations.AddConstraint(
            model_name='journalentry',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'posted'), _negated=True), models.Q(('decided_by', models.F('proposed_by')), _negated=True), _connector='OR'), name='journalentry_four_eyes'),
        ),
        migrations.RunSQL(
            "ALTER TABLE billing_journalentry"
            " ADD CONSTRAINT journalentry_debit_of_the_house FOREIGN KEY (debit_id, account_kind, currency)"
            "  REFERENCES billing_ledgeraccount (id, kind, currency),"
            " ADD CONSTRAINT journalentry_credit_of_the_house FOREIGN KEY (credit_id, account_kind, currency)"
            "  REFERENCES billing_ledgeraccount (id, kind, currency);",
            "ALTER TABLE billing_journalentry DROP CONSTRAINT journalentry_debit_of_the_house,"
            " DROP CONSTRAINT journalentry_credit_of_the_house;",
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='journalentry',
            trigger=pgtrigger.compiler.Trigger(name='journalentry_kept', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;", hash='6cf96bddc51991822aa6a90bc1b31d5e4f1f934c', operation='DELETE', pgid='pgtrigger_journalentry_kept_3400d', table='billing_journalentry', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='journalentry',
            trigger=pgtrigger.compiler.Trigger(name='journalentry_decided_once', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."state" IS DISTINCT FROM \'proposed\')', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='47e91bb7544d4b2ede648d6ae4e2188473266288', operation='UPDATE', pgid='pgtrigger_journalentry_decided_once_b6687', table='billing_journalentry', when='BEFORE')),
        ),
    ]

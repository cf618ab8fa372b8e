import django.db.models.deletion
import django.utils.timezone
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("billing", "0005_books"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("accounts", "0003_staff"),
    ]

    operations = [
        migrations.CreateModel(
            name='AdjustmentProposal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('paid_up', 'paid balance up'), ('paid_down', 'paid balance down'), ('bonus_up', 'bonus up'), ('bonus_down', 'bonus down'), ('reversal', 'charge given back')], max_length=12, verbose_name='kind')),
                ('state', models.CharField(choices=[('proposed', 'proposed'), ('posted', 'posted'), ('refused', 'refused')], default='proposed', max_length=10, verbose_name='state')),
                ('amount', models.DecimalField(decimal_places=8, max_digits=20, verbose_name='amount, USD')),
                ('generation_id', models.CharField(blank=True, help_text='Whose charge is given back, gen-...', max_length=60, verbose_name='request')),
                ('reason', models.CharField(help_text='For the books; staff alone read it.', max_length=500, verbose_name='reason')),
                ('words', models.CharField(blank=True, max_length=200, verbose_name='words to the customer')),
                ('proposed_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='proposed at')),
                ('decided_at', models.DateTimeField(blank=True, null=True, verbose_name='decided at')),
                ('decision', models.CharField(blank=True, max_length=500, verbose_name='why refused')),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='adjustments', to='accounts.customer')),
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
        pgtrigger.migrations.AddTrigger(
            model_name='adjustmentproposal',
            trigger=pgtrigger.compiler.Trigger(name='adjustment_kept', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;", hash='6af175bf8da21e44fb8cdf5097d2d2ce3c9e14cb', operation='DELETE', pgid='pgtrigger_adjustment_kept_c34d1', table='billing_adjustmentproposal', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='adjustmentproposal',
            trigger=pgtrigger.compiler.Trigger(name='adjustment_decided_once', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."state" IS DISTINCT FROM \'proposed\')', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='149615822eb73ba99e1bba976619527316bca53f', operation='UPDATE', pgid='pgtrigger_adjustment_decided_once_b7849', table='billing_adjustmentproposal', when='BEFORE')),
        ),
    ]

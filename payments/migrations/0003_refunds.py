import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0002_late_looks"), ("billing", "0003_refunds"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]

    operations = [
        migrations.CreateModel(
            name='RefundPart',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField(verbose_name='part')),
                ('state', models.CharField(choices=[('planned', 'planned'), ('sending', 'being sent'), ('done', 'done'), ('failed', 'failed'), ('parked', 'waits for staff')], default='planned', max_length=10, verbose_name='state')),
                ('amount', models.DecimalField(decimal_places=2, max_digits=12, verbose_name='amount, USD')),
                ('charge_amount', models.DecimalField(blank=True, decimal_places=2, max_digits=12, null=True, verbose_name='paid back')),
                ('charge_currency', models.CharField(default='USD', max_length=3, verbose_name='currency')),
                ('key', models.CharField(max_length=64, unique=True, verbose_name='our number')),
                ('provider_id', models.CharField(blank=True, max_length=120, verbose_name="provider's number")),
                ('detail', models.CharField(blank=True, max_length=300, verbose_name="the provider's words")),
                ('bank_reference', models.CharField(blank=True, max_length=120, verbose_name='bank reference')),
                ('attempts', models.PositiveIntegerField(default=0, verbose_name='attempts')),
                ('look_at', models.DateTimeField(blank=True, null=True, verbose_name='next look')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='planned at')),
                ('sent_at', models.DateTimeField(blank=True, null=True, verbose_name='sent at')),
                ('done_at', models.DateTimeField(blank=True, null=True, verbose_name='done at')),
                ('failed_at', models.DateTimeField(blank=True, null=True, verbose_name='failed at')),
                ('confirmed_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='confirmed by')),
                ('recorded_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='recorded by')),
                ('refund', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='parts', to='billing.refundrequest')),
                ('topup', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='refund_parts', to='payments.topup', verbose_name='top-up')),
            ],
            options={
                'verbose_name': 'part of a refund',
                'verbose_name_plural': 'parts of refunds',
                'indexes': [models.Index(condition=models.Q(('look_at__isnull', False)), fields=['look_at'], name='refundpart_to_look')],
                'constraints': [models.UniqueConstraint(fields=('refund', 'number'), name='refundpart_number_once'), models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='refundpart_amount_positive'), models.CheckConstraint(condition=models.Q(('charge_amount__isnull', True), ('charge_amount__gte', 0), _connector='OR'), name='refundpart_charge_not_negative'), models.UniqueConstraint(condition=models.Q(('provider_id', ''), _negated=True), fields=('topup', 'provider_id'), name='refundpart_provider_id_once')],
            },
        ),
        migrations.AlterField(
            model_name='notification',
            name='outcome',
            field=models.CharField(blank=True, choices=[('credited', 'credited'), ('repeated', 'was credited before'), ('pending', 'not paid yet'), ('closed', 'closed unpaid'), ('unknown_order', 'unknown order'), ('mismatch', 'does not match the order'), ('booked', 'booked'), ('ignored', 'nothing to do')], max_length=20, verbose_name='outcome'),
        ),
    ]

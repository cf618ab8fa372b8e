import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0002_storage'),
        ('billing', '0003_refunds'),
        ('payments', '0003_refunds'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='notification',
            name='reference',
            field=models.CharField(blank=True, help_text="A dispute, a warning or a refund, by the provider's number.", max_length=120, verbose_name='about'),
        ),
        migrations.CreateModel(
            name='Dispute',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('provider', models.CharField(choices=[('stripe', 'Card'), ('alipay', 'Alipay'), ('wechat', 'WeChat Pay')], max_length=10, verbose_name='provider')),
                ('provider_id', models.CharField(max_length=120, verbose_name="provider's number")),
                ('payment_id', models.CharField(blank=True, max_length=120, verbose_name="provider's transaction")),
                ('status', models.CharField(help_text="In the provider's words.", max_length=30, verbose_name='state')),
                ('reason', models.CharField(blank=True, max_length=60, verbose_name='reason')),
                ('amount', models.DecimalField(decimal_places=2, max_digits=12, verbose_name='disputed')),
                ('currency', models.CharField(max_length=3, verbose_name='currency')),
                ('held', models.DecimalField(decimal_places=2, default=0, max_digits=12, verbose_name='held, USD')),
                ('withdrawn', models.DecimalField(decimal_places=2, default=0, max_digits=12, verbose_name='withdrawn, USD')),
                ('holds', models.PositiveIntegerField(default=0, help_text='Holds placed so far; the last one counts.')),
                ('evidence_due_at', models.DateTimeField(blank=True, null=True, verbose_name='answer due')),
                ('suspended_at', models.DateTimeField(blank=True, null=True, verbose_name='spending suspended at')),
                ('problem', models.CharField(blank=True, help_text='What staff should look at.', max_length=200, verbose_name='problem')),
                ('write_off', models.DecimalField(blank=True, decimal_places=2, max_digits=12, null=True, verbose_name='write-off, USD')),
                ('write_off_reason', models.CharField(blank=True, max_length=300, verbose_name='reason of the write-off')),
                ('written_off_at', models.DateTimeField(blank=True, null=True, verbose_name='written off at')),
                ('recovered', models.DecimalField(decimal_places=2, default=0, help_text='Of what was written off, as the provider gave it back.', max_digits=12, verbose_name='recovered, USD')),
                ('version', models.PositiveIntegerField(default=0, help_text='Answers of the provider that were booked.')),
                ('opened_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='opened at')),
                ('changed_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='changed at')),
                ('customer', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='disputes', to='accounts.customer', verbose_name='customer')),
                ('topup', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='disputes', to='payments.topup', verbose_name='top-up')),
                ('write_off_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='proposed by')),
                ('written_off_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='confirmed by')),
            ],
            options={
                'verbose_name': 'dispute',
                'verbose_name_plural': 'disputes',
            },
        ),
        migrations.CreateModel(
            name='DisputeMovement',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('provider_id', models.CharField(max_length=80, verbose_name="provider's row")),
                ('amount', models.DecimalField(decimal_places=2, max_digits=12, verbose_name='amount')),
                ('fee', models.DecimalField(decimal_places=2, default=0, max_digits=12, verbose_name='fee')),
                ('currency', models.CharField(max_length=3, verbose_name='currency')),
                ('at', models.DateTimeField(verbose_name='at')),
                ('posted_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='posted at')),
                ('dispute', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='movements', to='payments.dispute')),
            ],
            options={
                'verbose_name': 'movement of a dispute',
                'verbose_name_plural': 'movements of disputes',
            },
        ),
        migrations.CreateModel(
            name='FraudWarning',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('provider', models.CharField(choices=[('stripe', 'Card'), ('alipay', 'Alipay'), ('wechat', 'WeChat Pay')], max_length=10, verbose_name='provider')),
                ('provider_id', models.CharField(max_length=120, verbose_name="provider's number")),
                ('kind', models.CharField(blank=True, max_length=60, verbose_name='kind')),
                ('problem', models.CharField(blank=True, help_text='What staff should look at.', max_length=200, verbose_name='problem')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='received at')),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='fraud_warnings', to='accounts.customer', verbose_name='customer')),
                ('refund', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='fraud_warnings', to='billing.refundrequest', verbose_name='proposed refund')),
                ('topup', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='fraud_warnings', to='payments.topup', verbose_name='top-up')),
            ],
            options={
                'verbose_name': 'early fraud warning',
                'verbose_name_plural': 'early fraud warnings',
            },
        ),
        migrations.AddIndex(
            model_name='dispute',
            index=models.Index(fields=['customer', 'id'], name='dispute_customer'),
        ),
        migrations.AddConstraint(
            model_name='dispute',
            constraint=models.UniqueConstraint(fields=('provider', 'provider_id'), name='dispute_once'),
        ),
        migrations.AddConstraint(
            model_name='dispute',
            constraint=models.CheckConstraint(condition=models.Q(('held__gte', 0)), name='dispute_held_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='dispute',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('customer__isnull', True), ('held', 0), ('topup__isnull', True)), models.Q(('customer__isnull', False), ('topup__isnull', False)), _connector='OR'), name='dispute_of_a_customers_topup'),
        ),
        migrations.AddConstraint(
            model_name='dispute',
            constraint=models.CheckConstraint(condition=models.Q(('written_off_at__isnull', True), models.Q(('write_off__gt', 0), ('written_off_by__isnull', False), models.Q(('written_off_by', models.F('write_off_by')), _negated=True)), _connector='OR'), name='dispute_write_off_by_two'),
        ),
        migrations.AddConstraint(
            model_name='disputemovement',
            constraint=models.UniqueConstraint(fields=('dispute', 'provider_id'), name='disputemovement_once'),
        ),
        migrations.AddConstraint(
            model_name='fraudwarning',
            constraint=models.UniqueConstraint(fields=('provider', 'provider_id'), name='fraudwarning_once'),
        ),
    ]

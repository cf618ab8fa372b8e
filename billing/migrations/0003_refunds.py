import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_staff"), ("billing", "0002_storage"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]

    operations = [
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
                ('freezes', models.PositiveIntegerField(default=0, help_text='Holds placed so far; the last one counts.')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='asked at')),
                ('due_at', models.DateTimeField(verbose_name='due')),
                ('changed_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='changed at')),
                ('finished_at', models.DateTimeField(blank=True, null=True, verbose_name='finished at')),
                ('attempt_at', models.DateTimeField(blank=True, help_text='When sending goes on.', null=True, verbose_name='next attempt')),
                ('asked_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='refunds', to='accounts.customer')),
                ('decided_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='decided by')),
                ('entered_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='entered by')),
                ('proposed_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='proposed by')),
            ],
            options={
                'verbose_name': 'refund',
                'verbose_name_plural': 'refunds',
                'indexes': [models.Index(fields=['customer', '-id'], name='refund_customer'), models.Index(condition=models.Q(('state__in', ['requested', 'returned'])), fields=['due_at'], name='refund_desk'), models.Index(condition=models.Q(('state__in', ['approved', 'sending'])), fields=['attempt_at'], name='refund_to_send')],
                'constraints': [models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='refund_amount_positive'), models.CheckConstraint(condition=models.Q(('approved__isnull', True), models.Q(('approved__gt', 0), ('approved__lte', models.F('amount'))), _connector='OR'), name='refund_approved_within_amount'), models.CheckConstraint(condition=models.Q(('returned__gte', 0), ('returned__lte', models.F('sent')), ('sent__lte', models.F('amount'))), name='refund_sums_within')],
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
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer', verbose_name='customer')),
            ],
            options={
                'verbose_name': 'mail',
                'verbose_name_plural': 'mail',
                'indexes': [models.Index(condition=models.Q(('send_at__isnull', False)), fields=['send_at'], name='mail_to_send'), models.Index(fields=['customer', '-id'], name='mail_customer')],
            },
        ),
    ]

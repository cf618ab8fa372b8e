import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0004_disputes"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]

    operations = [
        migrations.CreateModel(
            name='Statement',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('provider', models.CharField(choices=[('stripe', 'Card'), ('alipay', 'Alipay'), ('wechat', 'WeChat Pay')], max_length=10, verbose_name='provider')),
                ('day', models.DateField(verbose_name='day')),
                ('raw', models.BinaryField()),
                ('sha256', models.CharField(max_length=64, verbose_name='SHA-256')),
                ('lines', models.PositiveIntegerField(verbose_name='lines')),
                ('fetched_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='fetched at')),
            ],
            options={
                'verbose_name': 'statement',
                'verbose_name_plural': 'statements',
                'constraints': [models.UniqueConstraint(fields=('provider', 'day'), name='statement_once')],
            },
        ),
        migrations.CreateModel(
            name='Discrepancy',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('provider', models.CharField(choices=[('stripe', 'Card'), ('alipay', 'Alipay'), ('wechat', 'WeChat Pay')], max_length=10, verbose_name='provider')),
                ('day', models.DateField(verbose_name='day')),
                ('kind', models.CharField(choices=[('missing_here', 'missing here'), ('missing_there', 'missing there'), ('amount_differs', 'amount differs'), ('unexpected', 'unexpected line')], max_length=16, verbose_name='kind')),
                ('key', models.CharField(help_text="The provider's row, or our number.", max_length=160, verbose_name='about')),
                ('state', models.CharField(choices=[('open', 'open'), ('explained', 'explained'), ('cured', 'cured by itself')], default='open', max_length=10, verbose_name='state')),
                ('theirs', models.DecimalField(blank=True, decimal_places=2, max_digits=14, null=True, verbose_name='theirs')),
                ('ours', models.DecimalField(blank=True, decimal_places=2, max_digits=14, null=True, verbose_name='ours')),
                ('currency', models.CharField(max_length=3, verbose_name='currency')),
                ('detail', models.CharField(blank=True, max_length=300, verbose_name='detail')),
                ('note', models.CharField(blank=True, max_length=500, verbose_name='note')),
                ('found_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='found at')),
                ('decided_at', models.DateTimeField(blank=True, null=True, verbose_name='decided at')),
                ('decided_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='decided by')),
            ],
            options={
                'verbose_name': 'discrepancy',
                'verbose_name_plural': 'discrepancies',
                'indexes': [models.Index(condition=models.Q(('state', 'open')), fields=['found_at'], name='discrepancy_open')],
                'constraints': [models.UniqueConstraint(fields=('provider', 'day', 'kind', 'key'), name='discrepancy_once')],
            },
        ),
        migrations.CreateModel(
            name='StatementLine',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('provider', models.CharField(choices=[('stripe', 'Card'), ('alipay', 'Alipay'), ('wechat', 'WeChat Pay')], max_length=10, verbose_name='provider')),
                ('key', models.CharField(max_length=160, verbose_name="provider's row")),
                ('kind', models.CharField(max_length=16, verbose_name='kind')),
                ('amount', models.DecimalField(decimal_places=2, max_digits=14, verbose_name='amount')),
                ('fee', models.DecimalField(decimal_places=2, max_digits=14, verbose_name='fee')),
                ('currency', models.CharField(max_length=3, verbose_name='currency')),
                ('transaction_id', models.CharField(blank=True, max_length=120, verbose_name="provider's transaction")),
                ('refund_id', models.CharField(blank=True, max_length=120, verbose_name="provider's refund")),
                ('number', models.CharField(blank=True, max_length=64, verbose_name='our number')),
                ('at', models.DateTimeField(verbose_name='at')),
                ('statement', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='rows', to='payments.statement')),
            ],
            options={
                'verbose_name': 'line of a statement',
                'verbose_name_plural': 'lines of statements',
                'indexes': [models.Index(fields=['provider', 'transaction_id'], name='statementline_transaction'), models.Index(condition=models.Q(('number', ''), _negated=True), fields=['provider', 'number'], name='statementline_number')],
                'constraints': [models.UniqueConstraint(fields=('provider', 'key'), name='statementline_once')],
            },
        ),
    ]

from django.db import migrations, models

FILL = """
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

    dependencies = [
        ('accounts', '0006_api_rates'),
        ('billing', '0011_entries'),
    ]

    operations = [
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
        migrations.RunSQL(
            ["SET statement_timeout = 0", FILL, "RESET statement_timeout"], migrations.RunSQL.noop
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
    ]

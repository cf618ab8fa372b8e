from django.db import migrations

WATCH = """
UPDATE payments_refundpart SET look_at = now()
WHERE look_at IS NULL AND topup_id IS NOT NULL AND NOT by_bank AND sent_at IS NOT NULL AND charge_amount > 0
 AND (state = 'parked' OR (state = 'failed' AND failed_at > now() - interval '30 days'))"""


class Migration(migrations.Migration):
    """Parts that failed or were parked before their providers were asked about such."""

    dependencies = [("payments", "0019_topup_fees")]

    operations = [migrations.RunSQL(WATCH, migrations.RunSQL.noop)]

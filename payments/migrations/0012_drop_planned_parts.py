from django.db import migrations

DROP = """
UPDATE payments_refundpart p SET state = 'failed', failed_at = now(), detail = 'the request is sent no longer'
FROM billing_refundrequest r WHERE r.id = p.refund_id AND p.state = 'planned' AND r.state <> 'sending'"""


class Migration(migrations.Migration):
    """Parts that were planned when their request was denied or came back: they took room of their top-ups."""

    dependencies = [("payments", "0011_settling"), ("billing", "0003_refunds")]

    operations = [migrations.RunSQL(DROP, migrations.RunSQL.noop)]

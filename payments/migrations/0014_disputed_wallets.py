from django.db import migrations

FILL = """
UPDATE billing_wallet w SET disputed = t.disputed, paid_in = w.paid_in - t.disputed
FROM (SELECT customer_id, sum(disputed) AS disputed FROM payments_topup WHERE disputed > 0 GROUP BY customer_id) t
WHERE t.customer_id = w.customer_id AND w.disputed = 0"""


class Migration(migrations.Migration):

    dependencies = [
        ("billing", "0012_paid_in"),
        ("payments", "0013_resolved"),
    ]

    operations = [
        migrations.RunSQL(["SET statement_timeout = 0", FILL, "RESET statement_timeout"], migrations.RunSQL.noop)
    ]

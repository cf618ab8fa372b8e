"""What Django's models cannot say: narrow hot rows that update in place, and one currency a transfer."""

from django.db import migrations

# The keys are collated "C", so Django's second index for LIKE only costs writes.
DROP_PATTERN_INDEXES = """DO $$ DECLARE i text; BEGIN
FOR i IN SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()
  AND tablename IN ({tables}) AND indexname LIKE '%like' LOOP
  EXECUTE format('DROP INDEX %I', i);
END LOOP; END $$;"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE billing_wallet SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);"
            "ALTER TABLE billing_hold SET (fillfactor = 85);",
            "ALTER TABLE billing_wallet RESET (fillfactor, autovacuum_vacuum_scale_factor);"
            "ALTER TABLE billing_hold RESET (fillfactor);",
        ),
        migrations.RunSQL(DROP_PATTERN_INDEXES.format(tables="'billing_transfer', 'billing_hold'"), ""),
        migrations.RunSQL(
            "ALTER TABLE billing_transfer"
            " ADD CONSTRAINT transfer_debit_in_currency FOREIGN KEY (debit_id, currency)"
            "  REFERENCES billing_ledgeraccount (id, currency),"
            " ADD CONSTRAINT transfer_credit_in_currency FOREIGN KEY (credit_id, currency)"
            "  REFERENCES billing_ledgeraccount (id, currency);",
            "ALTER TABLE billing_transfer DROP CONSTRAINT transfer_debit_in_currency,"
            " DROP CONSTRAINT transfer_credit_in_currency;",
        ),
    ]

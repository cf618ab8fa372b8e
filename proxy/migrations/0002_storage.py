"""Generations are written twice soon after each other, so leave room for the second version in their page."""

from django.db import migrations

DROP_PATTERN_INDEX = """DO $$ DECLARE i text; BEGIN
FOR i IN SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()
  AND tablename = 'proxy_generation' AND indexname LIKE '%like' LOOP
  EXECUTE format('DROP INDEX %I', i);
END LOOP; END $$;"""


class Migration(migrations.Migration):
    dependencies = [("proxy", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE proxy_generation SET (fillfactor = 70);", "ALTER TABLE proxy_generation RESET (fillfactor);"
        ),
        migrations.RunSQL(DROP_PATTERN_INDEX, ""),
    ]

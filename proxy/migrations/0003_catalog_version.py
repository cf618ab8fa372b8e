"""A number that moves with the catalog, so that gateways need not read the whole of it to see that nothing changed."""

from django.db import migrations

TABLES = ("upstream", "model", "route", "price")


class Migration(migrations.Migration):
    dependencies = [("proxy", "0002_storage")]

    operations = [
        migrations.RunSQL(
            "CREATE TABLE proxy_catalog_version (number bigint NOT NULL);"
            "INSERT INTO proxy_catalog_version VALUES (1);"
            "CREATE FUNCTION proxy_catalog_changed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " UPDATE proxy_catalog_version SET number = number + 1; RETURN NULL; END $$;"
            + "".join(
                f"CREATE TRIGGER proxy_{table}_changes_catalog AFTER INSERT OR UPDATE OR DELETE ON proxy_{table}"
                " FOR EACH STATEMENT EXECUTE FUNCTION proxy_catalog_changed();"
                for table in TABLES
            ),
            "".join(f"DROP TRIGGER proxy_{table}_changes_catalog ON proxy_{table};" for table in TABLES)
            + "DROP FUNCTION proxy_catalog_changed(); DROP TABLE proxy_catalog_version;",
        ),
    ]

"""The database as the migrations left it, for the next test."""

from functools import cache

from django.conf import settings
from django.db import connection

# Few tables hold anything, and TRUNCATE would make all their indexes anew. A table without a page has no rows.
# Triggers and foreign keys, which rightly refuse this, are off until the statement ends.
EMPTY = """
DO $$
DECLARE filled regclass;
BEGIN
 PERFORM set_config('session_replication_role', 'replica', true);
 FOR filled IN
  SELECT oid FROM pg_class
  WHERE relnamespace = 'public'::regnamespace AND relname = ANY('{%s}') AND pg_relation_size(oid) > 0
 LOOP
  EXECUTE format('DELETE FROM %%s', filled);
 END LOOP;
END $$"""


def empty() -> None:
    """Delete the rows of all models but content types and permissions, which `migrate` filled in, and of the caches."""
    with connection.cursor() as cursor:
        cursor.execute(EMPTY % ",".join(_tables()))


@cache
def _tables() -> list[str]:
    of_models = connection.introspection.django_table_names(only_existing=True, include_views=False)
    caches = {cache["LOCATION"] for cache in settings.CACHES.values()}
    return sorted({*of_models, *caches} - {"django_content_type", "auth_permission"})

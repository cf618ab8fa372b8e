"""Who writes transfers now: what closes a day or a month waits for them, however long they have been at it."""

from time import monotonic, sleep

from django.db import connection

# Whoever has written a transfer holds this lock on the table until its transaction ends, a prepared one too. Every
# role may read pg_locks, unlike the ages in pg_stat_activity.
WRITERS = """
SELECT DISTINCT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND relation = 'billing_transfer'::regclass AND mode = 'RowExclusiveLock'
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND pid IS DISTINCT FROM pg_backend_pid()"""
LOOK_SECONDS = 0.05


def wait_for_writers(*, seconds: float = 10.0) -> bool:
    """Wait until all who write transfers now are through; False where one is not after so many seconds.

    So every transfer written until now can be read, or never will be. Call it outside any transaction.
    """
    until = monotonic() + seconds
    before = _writers()
    while before:
        if monotonic() > until:
            return False
        sleep(LOOK_SECONDS)
        before &= _writers()
    return True


def _writers() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(WRITERS)
        return {name for (name,) in cursor.fetchall()}

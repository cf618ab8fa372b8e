"""Waiting for another machine: the thread that waits holds no database connection meanwhile.

A process has few (`DB_POOL_SIZE`); a provider or a mail server that hangs would keep them from everybody else.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def outside() -> Iterator[None]:
    """Around the wait. The next query takes a connection again; within a transaction it has to be kept."""
    if not connection.in_atomic_block:
        connection.close()
    yield

"""The clock that all processes share. Their own may be minutes apart, so ages are judged by this one alone."""

from datetime import datetime

from django.db import connection


def database_now() -> datetime:
    """PostgreSQL's time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        [now] = cursor.fetchone()
    moment: datetime = now
    return moment

"""The clock that all processes share, and how long to wait before another try.

Their own clocks may be minutes apart, so ages are judged by this one alone.
"""

from datetime import datetime, timedelta

from django.db import connection


def database_now() -> datetime:
    """PostgreSQL's time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        [now] = cursor.fetchone()
    moment: datetime = now
    return moment


def backoff(attempts: int, *, first: timedelta, slowest: timedelta) -> timedelta:
    """`first`, doubled with each attempt that was made, up to `slowest`."""
    return min(first * (1 << min(attempts, 12)), slowest)

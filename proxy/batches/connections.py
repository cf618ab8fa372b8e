"""The gateway's own connections: psycopg, asynchronous, outside Django's pool. Admission and metering live on them."""

from typing import Any

import django.db
import psycopg
from django.conf import settings

AWAY = (psycopg.OperationalError, django.db.OperationalError, django.db.InterfaceError, OSError)
"""How it shows that the database does not answer."""


def conninfo() -> dict[str, Any]:
    """Connection arguments from Django's DATABASES, test database included."""
    config = settings.DATABASES["default"]
    named = {
        "dbname": config["NAME"],
        "user": config.get("USER"),
        "password": config.get("PASSWORD"),
        "host": config.get("HOST"),
        "port": config.get("PORT"),
    }
    extra = {name: value for name, value in config.get("OPTIONS", {}).items() if name != "pool"}
    return {**{name: value for name, value in named.items() if value}, **extra, "connect_timeout": 5}


async def connect(*, query_seconds: float | None = None) -> psycopg.AsyncConnection[Any]:
    """A connection in autocommit: transactions are spelled out by their owners. Statements are prepared at once.

    PostgreSQL gives a query up after `query_seconds`, whether its client is still there or not.
    """
    told = conninfo()
    if query_seconds is not None:
        told["options"] = f"{told.get('options', '')} -c statement_timeout={round(query_seconds * 1000)}"
    connection = await psycopg.AsyncConnection.connect(**told, autocommit=True, prepare_threshold=0)
    return connection

"""The gateway's own connections: psycopg, asynchronous, outside Django's pool. Admission and metering live on them."""

from typing import Any

import psycopg
from django.conf import settings


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


async def connect() -> psycopg.AsyncConnection[Any]:
    """A connection in autocommit: transactions are spelled out by their owners. Statements are prepared at once."""
    connection = await psycopg.AsyncConnection.connect(**conninfo(), autocommit=True, prepare_threshold=0)
    return connection

"""Synchronous code that uses the database, called from the gateway's event loop."""

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections

Params = ParamSpec("Params")
Returned = TypeVar("Returned")


def in_thread(
    function: Callable[Params, Returned], *, executor: ThreadPoolExecutor | None = None
) -> Callable[Params, Awaitable[Returned]]:
    """Run it in a thread, of `executor` if one is given, and give its database connection back afterwards."""

    def call(*args: Params.args, **kwargs: Params.kwargs) -> Returned:
        close_old_connections()
        try:
            return function(*args, **kwargs)
        finally:
            close_old_connections()

    return sync_to_async(call, thread_sensitive=False, executor=executor)

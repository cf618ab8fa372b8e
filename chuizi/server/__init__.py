"""What reads HTTP: a strict reader of our own, inside uvicorn. docs/decisions/0001-reading-http.md says why.

`heads` and `bodies` read, `cycle` is a request and its answer, `connection` holds the limits, `clock` their deadlines.
"""

import sys
from typing import Any

from uvicorn.config import HTTP_PROTOCOLS

from chuizi.server.connection import Connection


def take_over() -> None:
    """Whatever uvicorn was told to read HTTP with, it gets a `Connection`.

    It may have chosen a class by the time it imports the application, or choose one later. It makes an instance of it
    for each connection, and that is where a choice can still be put right.
    """
    for name, stock in HTTP_PROTOCOLS.items():
        module, _, chosen = stock.partition(":")
        if module.startswith("uvicorn.") and module in sys.modules:
            getattr(sys.modules[module], chosen).__new__ = _ours
        HTTP_PROTOCOLS[name] = f"{__name__}:{Connection.__name__}"


def _ours(stock: type[Any], *given: Any, **named: Any) -> Connection:
    return Connection(*given, **named)

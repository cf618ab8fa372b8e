"""What tests of requests that are done once share."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from chuizi.asgi import gateway as application
from proxy.gateway.app import Gateway as Application
from proxy.gateway.routes import ROUTES
from tests.proxy.conftest import Gateway
from tests.serving import Server

REPLAYED = "Idempotency-Replayed"
KEY = {"Idempotency-Key": "order-1"}
FIRST, RETRY = ({"x-stainless-retry-count": count} for count in "01")


class Gate:
    """An upstream's events, the rest of which come when it is opened."""

    def __init__(self, upstream: Any, spoken: Any, *, words: int = 2) -> None:
        self._is_open = threading.Event()
        events = [*spoken.opening, *spoken.words]
        first, rest = events[: spoken.head + words], [*events[spoken.head + words :], *spoken.ending]
        upstream.events = [*first, self._wait, *rest]

    def open(self) -> None:
        self._is_open.set()

    def _wait(self) -> None:
        assert self._is_open.wait(20)


def ask(gateway: Any, *, stream: bool = False, headers: dict[str, str] | None = None, **body: Any) -> Any:
    if not stream:
        return gateway.chat(headers=headers, **body)
    with gateway.stream(headers=headers, **body) as response:
        response.read()
        return response


def readers() -> int:
    """How many requests read along with another one's answer."""
    return sum(one.readers for found in application._once._by_digest.values() for one in found)


@pytest.fixture
def other(gateway: Gateway) -> Iterator[Gateway]:
    """A second gateway, which shares nothing with the first but the database."""
    second = Application()

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            route = ROUTES.find(scope["path"])
            assert route is not None
            await second(scope, receive, send, route)
            return
        for act, kind in ((second.start, "startup"), (second.stop, "shutdown")):
            await receive()
            await act()
            await send({"type": f"lifespan.{kind}.complete"})

    server = Server(serve, log_level="warning", access_log=False, timeout_graceful_shutdown=3).start()
    client = Gateway(server.port, gateway.key, server, spoken=gateway.spoken)
    yield client
    client.client.close()
    server.stop()

"""The one ASGI application: an exact table of gateway paths goes to the raw gateway, the rest is Django."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chuizi.settings")

from django.core.asgi import get_asgi_application

django = get_asgi_application()

# After Django: these import models.
from billing.months import periods  # noqa: E402
from chuizi.memory import give_back_at_once, leave_alone  # noqa: E402
from chuizi.pages import Pages  # noqa: E402
from chuizi.server import take_over  # noqa: E402
from chuizi.stopping import stop_in_order  # noqa: E402
from core.web import cors, paths  # noqa: E402
from proxy.exchange import Exchange  # noqa: E402
from proxy.gateway.app import Gateway  # noqa: E402
from proxy.gateway.routes import ROUTES  # noqa: E402
from proxy.watch import probes  # noqa: E402

take_over()
gateway = Gateway()
pages = Pages(django)


def undo_forwarding(scope: Any) -> None:
    """Give back the peer's address where uvicorn put X-Forwarded-For in its place (a port of 0 tells).

    uvicorn believes that header from loopback unless told otherwise; here TRUSTED_PROXY_DEPTH alone decides.
    """
    client = scope.get("client")
    if client and client[1] == 0:
        scope["client"] = ("127.0.0.1" if "FORWARDED_ALLOW_IPS" not in os.environ else "", 0)


async def application(
    scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    undo_forwarding(scope)
    if scope["type"] != "http":
        return
    route = ROUTES.find(scope["path"])
    if route is not None and scope["method"] in route.endpoints:
        await gateway(scope, receive, send, route)
    else:
        await elsewhere(scope, receive, send)


async def elsewhere(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    """Every path but the gateway's own as they are written: its other spellings, the probes, and Django's."""
    path = scope["path"]
    if path in probes.PATHS:
        await probes.answer(scope, receive, send, leaving=gateway.leaving)
        return
    plain = paths.plain(path)
    if plain != path:
        scope = {**scope, "path": plain, "raw_path": quote(plain).encode()}
    if paths.is_api(plain) and scope["method"] == "OPTIONS":
        await preflight(scope, receive, send)
    elif (route := ROUTES.find(plain)) is not None:
        await gateway(scope, receive, send, route)
    else:
        await pages(scope, receive, send)


async def preflight(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    exchange = Exchange(scope, receive, send)
    await exchange.start(204, cors.preflight(scope))
    await exchange.end()


async def lifespan(receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    """Start the gateway before the first request and stop it after the last."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            try:
                await asyncio.to_thread(periods.check_at_start)
                await gateway.start()
            except Exception as error:
                await send({"type": "lifespan.startup.failed", "message": f"The gateway cannot start: {error}"})
                return
            leave_alone()
            give_back_at_once()
            stop_in_order(gateway)
            await send({"type": "lifespan.startup.complete"})
        else:
            await gateway.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return

"""The whole sandbox as one aiohttp application."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from aiohttp import web

from sandbox import control, home
from sandbox.alipay.gateway import Alipay
from sandbox.config import Config
from sandbox.store import Store
from sandbox.stripe.api import Stripe
from sandbox.upstream import chat, gemini, kin, messages, responses
from sandbox.wechat.api import Wechat
from sandbox.world import WORLD, Handler, World

BACKLOG = 1024
TICK = 0.25  # seconds between looks at what is due
MAX_BODY = 2**27


@web.middleware
async def refuse_other_sites(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A page of another site must not press our buttons through the browser of whoever runs this."""
    if request.method not in ("GET", "HEAD") and not _is_ours(request):
        raise web.HTTPForbidden(text="Not from another site.")
    return await handler(request)


def _is_ours(request: web.Request) -> bool:
    """From a page of this very origin, or from a program, which sends neither header.

    Browsers say it by Sec-Fetch-Site; Origin is "null" on a page of ours that tells no referrer.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("none", "same-origin")
    return request.headers.get("Origin") in (None, f"{request.scheme}://{request.host}")


def build_app(config: Config) -> web.Application:
    """Orders are kept in `<state>/sandbox.sqlite3`. The caller listens at `config.host` and `config.port`."""
    config.state.mkdir(parents=True, exist_ok=True)
    app = web.Application(client_max_size=MAX_BODY, middlewares=[refuse_other_sites])
    world = World(config, Store(config.state / "sandbox.sqlite3"))
    providers = (Stripe(world), Alipay(world), Wechat(world))
    world.providers = {provider.code: provider for provider in providers}
    app[WORLD] = world
    app[chat.CALLS] = chat.Calls()
    app[responses.STORE] = responses.Store()
    app.add_routes(home.routes())
    app.add_routes(control.routes())
    app.add_routes(chat.routes())
    app.add_routes(kin.routes())
    app.add_routes(messages.routes())
    app.add_routes(responses.routes())
    app.add_routes(gemini.routes())
    for provider in providers:
        app.add_routes(provider.routes())
    app.cleanup_ctx.append(_run)
    return app


async def serve(config: Config, *, listener: socket.socket | None = None) -> web.AppRunner:
    """Listen, on `listener` if it is given; the caller cleans the runner up."""
    # A handler may hang on purpose; it must neither outlive its caller nor hold up the end.
    runner = web.AppRunner(build_app(config), access_log=None, shutdown_timeout=0.2, handler_cancellation=True)
    await runner.setup()
    if listener is not None:
        await web.SockSite(runner, listener, backlog=BACKLOG).start()
    else:
        await web.TCPSite(runner, config.host, config.port, backlog=BACKLOG).start()
    return runner


async def _run(app: web.Application) -> AsyncIterator[None]:
    clock = asyncio.create_task(_tick(app[WORLD]))
    yield
    clock.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await clock
    await app[WORLD].delivery.close()
    app[WORLD].store.close()


async def _tick(world: World) -> None:
    while True:
        await asyncio.sleep(TICK)
        for provider in world.providers.values():
            provider.tick(world.now())

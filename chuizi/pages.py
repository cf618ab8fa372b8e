"""Pages, the account API and notifications: Django, which gets a request when its body is here, within limits.

Django itself writes a body to memory or disk for as long as it comes, before any view can refuse it.
"""

from http.cookies import CookieError, SimpleCookie
from importlib import import_module

import orjson
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.core.handlers.asgi import ASGIHandler
from django.db import connections
from django.http import HttpRequest

from core.web import cors, paths
from core.web.errors import error_body
from proxy.errors import Refusal
from proxy.exchange import BodyBudget, ClientGone, Exchange, Message, Receive, Scope, Send

FREE_BYTES = 64_000
"""Of each body, not counted against the budget: forms and notifications come in while others use it up."""
STAFF_PAGES = "/admin/"


class Pages:
    """Django behind the limits on bodies: `MAX_PAGE_BODY_BYTES`, and `MAX_BODY_BYTES` for what staff upload."""

    def __init__(self, django: ASGIHandler) -> None:
        self._django = django
        self._budget = BodyBudget(settings.PAGE_BODY_BUDGET_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send, more=cors.RAW_HEADERS if paths.is_api(scope["path"]) else ())
        share = Share(self._budget)
        try:
            body = await exchange.body(most=await _most(exchange), budget=share)
            # Django takes X_Forwarded_For for X-Forwarded-For, which our proxies do not write.
            headers = [(name, value) for name, value in scope["headers"] if b"_" not in name]
            await self._django({**scope, "headers": headers}, _Replay(body, receive), send)  # type: ignore[arg-type]
        except Refusal as refusal:
            await _refuse(exchange, refusal)
        except ClientGone:
            pass
        finally:
            share.give_back()


class Share:
    """What one request has of the budget."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._free = FREE_BYTES
        self._taken = 0

    def take(self, size: int) -> None:
        free = min(size, self._free)
        self._budget.take(size - free)
        self._free -= free
        self._taken += size - free

    def give_back(self) -> None:
        self._budget.give_back(self._taken)


class _Replay:
    """The body that has been read, then whatever else is said about the request."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        body, self._body = self._body, None
        if body is None:
            return await self._receive()
        return {"type": "http.request", "body": body, "more_body": False}


async def _refuse(exchange: Exchange, refusal: Refusal) -> None:
    body = error_body(message=refusal.message, status=refusal.status, code=refusal.code)
    headers = [(name.lower().encode(), value.encode()) for name, value in refusal.headers.items()]
    try:
        await exchange.answer(refusal.status, orjson.dumps(body), headers)
    except ClientGone:
        return


async def _most(exchange: Exchange) -> int:
    """How long this body may be. Who asks is only looked up for one that seems longer than anybody's may be."""
    most: int = min(settings.MAX_PAGE_BODY_BYTES, settings.MAX_BODY_BYTES)
    length = exchange.header(b"content-length")
    is_long = int(length) > most if length.isdigit() else bool(exchange.header(b"transfer-encoding"))
    if is_long and exchange.scope["path"].startswith(STAFF_PAGES):
        async with ThreadSensitiveContext():
            if await sync_to_async(_is_staff)(exchange.header(b"cookie")):
                most = settings.MAX_BODY_BYTES
    return most


def _is_staff(cookies: str) -> bool:
    try:
        session = SimpleCookie(cookies).get(settings.SESSION_COOKIE_NAME)
    except CookieError:
        return False
    if session is None:
        return False
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session.value)
    try:
        user = get_user(request)
        return user.is_active and user.is_staff
    finally:
        connections.close_all()

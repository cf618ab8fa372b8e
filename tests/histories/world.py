"""What a history happens in: the sandbox of the three providers, a clock of our own, and a worker that may die."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from payments.models import TopUp
from payments.providers import registry
from sandbox.delivery import Notification, Signing
from tests.payments.conftest import provider_number
from tests.sandbox_server import SandboxServer

NEVER = 10**9
"""Seconds: what a provider does by itself waits until the history lets it."""


class Death(BaseException):
    """The worker is gone: nothing that is not committed, and nothing that was not sent, happened."""


class Providers:
    """The sandbox, whose notifications arrive when a history says so, in any order, as often as it likes, or never."""

    def __init__(self, server: SandboxServer) -> None:
        self.server = server

    def begin(self) -> None:
        self.server.reset()
        self.server.fault("refund_pending", times=0)

    def act(self, topup: TopUp, action: str, **options: Any) -> dict[str, Any]:
        return self.server.control("POST", f"/orders/{topup.method}/{provider_number(topup)}/{action}", **options)

    def letters(self) -> list[Notification]:
        return list(self.server.world.delivery.log)

    def deliver(self, letter: Notification) -> bool:
        """Whether our answer is an acknowledgement to the provider."""
        written = letter.write(Signing.GOOD, timezone.now().timestamp())
        headers = {name.lower(): value for name, value in written.headers.items()}
        kind = headers.pop("content-type", "application/json")
        path = urlsplit(letter.url).path
        answer = Client().generic("POST", path, written.body, content_type=kind, headers=headers)
        return letter.is_accepted(answer.status_code, answer.content)

    def refunds(self, state: str = "pending") -> list[dict[str, Any]]:
        return [found for found in self.server.control("GET", "/refunds")["refunds"] if found["state"] == state]

    def settle(self, refund: dict[str, Any], outcome: str) -> None:
        self.server.control("POST", f"/refunds/{refund['provider']}/{refund['number']}/{outcome}")

    def orders(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.server.control("GET", "/orders")["orders"]
        return found

    def held(self, provider: str) -> int:
        """In cents or fen."""
        return int(self.server.control("GET", "/balances")[provider])

    def pay_out(self, provider: str, *, amount: int) -> None:
        self.server.control("POST", f"/payouts/{provider}", amount=amount)

    def disputes(self) -> list[dict[str, Any]]:
        async def read() -> list[dict[str, Any]]:
            return [dict(d) for d in self.server.world.store.objects if d.get("object") == "dispute"]

        return asyncio.run_coroutine_threadsafe(read(), self.server._loop).result(10)


class Clock:
    """Our clock, which a history moves on; each process may be up to a minute apart from it."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self, *, apart: int = 0) -> datetime:
        return timezone.now() + self._ahead + timedelta(seconds=apart)

    def pass_(self, time: timedelta) -> None:
        self._ahead += time


@contextmanager
def mortal(steps: int | None) -> Iterator[None]:
    """The worker dies at its n-th step, a commit or a provider's answer; None: it lives. Where it died is in the end
    as if it had never been there, as with a kill: the database undoes what is open.
    """
    left = steps

    def passes() -> None:
        nonlocal left
        if left is None:
            return
        if left == 0:
            left = None  # once
            raise Death
        left -= 1

    with pytest.MonkeyPatch.context() as patch:
        if steps is not None:
            patch.setattr(transaction.Atomic, "__exit__", _dying_exit(transaction.Atomic.__exit__, passes))
            patch.setattr(registry, "get", lambda code, get=registry.get: _Dying(get(code), passes))
        try:
            yield
        except Death:
            assert not connection.in_atomic_block


def _dying_exit(leave: Callable[..., Any], passes: Callable[[], None]) -> Callable[..., Any]:
    def exit_(self: Any, kind: Any, value: Any, trace: Any) -> Any:
        is_suppressed = leave(self, kind, value, trace)
        if kind is None and not connection.in_atomic_block:
            passes()
        return is_suppressed

    return exit_


class _Dying:
    """A provider after whose answers, and before whose calls, the worker may die."""

    def __init__(self, provider: Any, passes: Callable[[], None]) -> None:
        self._provider = provider
        self._passes = passes

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._provider, name)
        if not callable(value):
            return value

        def call(*args: Any, **options: Any) -> Any:
            self._passes()
            answer = value(*args, **options)
            self._passes()
            return answer

        return call

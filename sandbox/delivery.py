"""Sending notifications: tries with growing pauses until the merchant accepts, and every way it may go wrong."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from typing import Any

import aiohttp

from sandbox.faults import Fault, Faults

NUMBERS = count(1)
LOGGED = 2000
TIMEOUT = aiohttp.ClientTimeout(total=10)


class Signing(Enum):
    GOOD = "good"
    BAD = "bad_signature"
    STALE = "stale_timestamp"
    PROBE = "signature_probe"
    GBK = "notification_gbk"


@dataclass(frozen=True)
class Letter:
    """One try on the wire."""

    headers: dict[str, str]
    body: bytes


@dataclass
class Notification:
    """`write` signs each try anew, at `now` (unix seconds); `is_accepted` reads the merchant's status and body.

    Faults meet an `is_main` notification; the ones beside it (Stripe sends several events for one payment) are met
    only by faults that name their event.
    """

    provider: str
    event: str
    orders: tuple[str, ...]
    url: str
    write: Callable[[Signing, float], Letter]
    is_accepted: Callable[[int, bytes], bool]
    is_main: bool = True
    id: int = field(default_factory=lambda: next(NUMBERS))
    state: str = "pending"  # pending | held | delivered | dropped | given_up
    tries: list[dict[str, Any]] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        names = ("id", "provider", "event", "orders", "url", "state", "tries")
        return {name: getattr(self, name) for name in names}


class Delivery:
    """`retry_after` is the pause in seconds before each further try."""

    def __init__(self, *, faults: Faults, retry_after: tuple[float, ...]) -> None:
        self.retry_after = retry_after
        self.log: deque[Notification] = deque(maxlen=LOGGED)
        self._faults = faults
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: dict[str, list[Notification]] = {}
        self._session: aiohttp.ClientSession | None = None

    def send(self, notification: Notification) -> None:
        """Start sending; returns at once."""
        if not notification.url:
            return
        self.log.append(notification)
        if self._take("drop_notification", notification):
            notification.state = "dropped"
            return
        if fault := self._take("reorder_notification", notification):
            notification.state = "held"
            self._held.setdefault(notification.provider, []).append(notification)
            self._spawn(self._release_after(notification, seconds=fault.seconds(3)))
            return
        fault = self._take("delay_notification", notification)
        self._spawn(self._deliver(notification, pause=fault.seconds(5) if fault else 0))
        if fault := self._take("repeat_notification", notification):
            for _ in range(int(fault.options.get("count", 1))):
                self._spawn(self._deliver(notification, pause=0))

    def resend(self, number: int) -> Notification | None:
        """Send a logged notification once more; None if there is none with this number."""
        for notification in self.log:
            if notification.id == number:
                self._spawn(self._deliver(notification, pause=0))
                return notification
        return None

    def forget(self) -> None:
        """Send nothing more of what is under way, and empty the log."""
        for task in self._tasks:
            task.cancel()
        self._held.clear()
        self.log.clear()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def _take(self, name: str, notification: Notification) -> Fault | None:
        return self._faults.take(
            name,
            provider=notification.provider,
            orders=notification.orders,
            event=notification.event,
            is_main=notification.is_main,
        )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _release_after(self, notification: Notification, *, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if notification in (held := self._held.get(notification.provider, [])):
            held.remove(notification)
            await self._deliver(notification, pause=0)

    async def _deliver(self, notification: Notification, *, pause: float) -> None:
        for wait in (pause, *self.retry_after):
            if wait:
                await asyncio.sleep(wait)
            accepted = await self._try(notification)
            for held in self._held.pop(notification.provider, []):
                self._spawn(self._deliver(held, pause=0))
            if accepted:
                notification.state = "delivered"
                return
        notification.state = "given_up"

    async def _try(self, notification: Notification) -> bool:
        signing, at = Signing.GOOD, time.time()
        for bad in (Signing.BAD, Signing.STALE, Signing.PROBE, Signing.GBK):
            if fault := self._take(bad.value, notification):
                signing = bad
                at -= fault.seconds(3600) if bad is Signing.STALE else 0
                break
        letter = notification.write(signing, at)
        outcome: dict[str, Any] = {"at": time.time(), "signing": signing.value}
        notification.tries.append(outcome)
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=TIMEOUT, trust_env=False, cookie_jar=aiohttp.DummyCookieJar())
        try:
            post = self._session.post(notification.url, data=letter.body, headers=letter.headers, allow_redirects=False)
            async with post as answer:
                body = await answer.content.read(4096)
                outcome |= {"status": answer.status, "answer": body.decode(errors="replace")[:200]}
                return notification.is_accepted(answer.status, body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            outcome["error"] = f"{type(error).__name__}: {error}"[:200]
            return False

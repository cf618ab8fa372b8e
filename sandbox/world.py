"""One sandbox: its clock, its memory, its faults, and the three providers in it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, Protocol

from aiohttp import web

from sandbox.config import Config
from sandbox.delivery import Delivery
from sandbox.faults import Fault, Faults
from sandbox.store import Order, Store

SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class NotPossible(Exception):
    """This order or refund cannot do that now; the text says why."""


class Provider(Protocol):
    """A payment provider as the control API, the home page and the clock see it."""

    code: str

    def routes(self) -> Sequence[web.AbstractRouteDef]: ...
    def pay(self, order: Order, *, late: bool = False) -> None: ...  # `late`: though it is closed
    def fail(self, order: Order, *, final: bool = False) -> None: ...  # one attempt; `final`: the order too
    def close(self, order: Order) -> None: ...
    def refund(self, order: Order, *, amount: int) -> dict[str, Any]: ...  # begun at the provider
    def settle_refund(self, number: str, *, outcome: str) -> dict[str, Any]: ...  # done | failed | closed | abnormal
    def refunds(self) -> list[dict[str, Any]]: ...
    def tick(self, now: float) -> None: ...  # let what is due happen


class World:
    """Shared by all handlers of one sandbox."""

    def __init__(self, config: Config, store: Store) -> None:
        self.config = config
        self.store = store
        self.faults = Faults()
        self.delivery = Delivery(faults=self.faults, retry_after=config.retry_after)
        self.providers: dict[str, Provider] = {}
        self.is_bill_ready_at_once = False
        self.offset = 0.0

    def now(self) -> float:
        """Unix seconds on the providers' calendar, which tests may move; signatures use the real time."""
        return time.time() + self.offset

    def shanghai(self, at: float | None = None) -> datetime:
        return datetime.fromtimestamp(self.now() if at is None else at, SHANGHAI)

    def is_bill_ready(self, day: str, *, hour: int) -> bool:
        """A day's bill is there the next day from `hour` on, Shanghai time."""
        if self.is_bill_ready_at_once:
            return True
        try:
            ready = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=SHANGHAI) + timedelta(days=1, hours=hour)
        except ValueError:
            return False
        return self.shanghai() >= ready

    def refund_plan(self, provider: str, orders: tuple[str, ...]) -> tuple[str, float | None]:
        """What becomes of a new refund: an outcome, and after how many seconds (None: when it is told)."""
        usual = self.config.refund_seconds
        for name in ("pending", "fails", "bounces", "abnormal", "closed"):
            if fault := self.faults.take(f"refund_{name}", provider=provider, orders=orders):
                return name, None if name == "pending" else fault.seconds(usual)
        return "done", usual

    def statement_fault(self, name: str, provider: str, orders: tuple[str, ...] = ()) -> Fault | None:
        return self.faults.take(f"statement_{name}", provider=provider, orders=orders)


WORLD = web.AppKey("world", World)


async def with_faults(
    world: World, *, provider: str, operation: str, orders: tuple[str, ...], act: Callable[[], web.Response]
) -> web.Response | None:
    """The answer of `act`, or none if the provider is down: the caller shapes its own 503."""
    faults = world.faults
    if faults.take("provider_down", provider=provider, operation=operation, orders=orders):
        return None
    if fault := faults.take("time_out_before", provider=provider, operation=operation, orders=orders):
        await asyncio.sleep(fault.seconds(30))
        return None
    answer = act()
    if fault := faults.take("time_out_after_success", provider=provider, operation=operation, orders=orders):
        await asyncio.sleep(fault.seconds(30))
    return answer

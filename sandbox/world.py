"""One sandbox: its clock, its memory, its faults, and the three providers in it."""

import asyncio
import json
import re
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
    def held(self) -> int: ...  # what it owes the merchant, in cents or fen
    def pay_out(self, *, amount: int | None = None) -> dict[str, Any]: ...  # to the merchant's bank; None: all of it
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
        self.settles_in = "usd"

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
        for name in ("pending", "fails", "bounces", "abnormal", "closed", "recovers"):
            if fault := self.faults.take(f"refund_{name}", provider=provider, orders=orders):
                return name, None if name == "pending" else fault.seconds(usual)
        return "done", usual

    def statement_fault(
        self, name: str, provider: str, orders: tuple[str, ...] = (), *, bill: str = "trade"
    ) -> Fault | None:
        """`bill`: trade or flow."""
        return self.faults.take(f"statement_{name}", provider=provider, orders=orders, operation=bill)


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
    if fault := faults.take("answer_garbled", provider=provider, operation=operation, orders=orders):
        return garbled(answer, how=str(fault.options.get("how", "html")), status=int(fault.options.get("status", 200)))
    if fault := faults.take("time_out_after_success", provider=provider, operation=operation, orders=orders):
        await asyncio.sleep(fault.seconds(30))
    return answer


def as_json(content: Any, **options: Any) -> str:
    """JSON with letters as they are; half characters are escaped, as they cannot be written otherwise."""
    text = json.dumps(content, ensure_ascii=False, **options)
    return text if text.isascii() or text.encode(errors="ignore").decode() == text else json.dumps(content, **options)


GARBAGE = {
    "html": b"<html><body><h1>502 Bad Gateway</h1></body></html>",
    "list": b"[]",
    "number": b"17",
    "text": b'"ok"',
    "null": b"null",
    "deep": b"[" * 100_000,
    "empty": b"",
    "bytes": b"\xff\xfe\x00\x80",
}


def garbled(answer: web.Response, *, how: str, status: int) -> web.Response:
    """What a proxy, a bad day or another character set makes of an answer."""
    body = answer.body if isinstance(answer.body, bytes) else b""
    headers = {name: value for name, value in answer.headers.items() if name.startswith("Wechatpay")}
    if how == "base64":
        body = re.sub(rb'"sign":"[^"]*"', b'"sign":"abcde"', body)
        headers |= {"Wechatpay-Signature": "abcde"} if headers else {}
    elif how == "gbk":
        body = json.dumps({"msg": "系统繁忙", "error": "系统繁忙"}, ensure_ascii=False).encode("gbk")
    elif how in ("cut", "half"):
        headers |= {"Content-Length": str(len(body))} if how == "cut" else {}
        body = body[: len(body) // 2]
    else:
        body = GARBAGE[how]
    made = web.Response(body=body, status=status, headers=headers, content_type="application/json")
    made.force_close()
    return made

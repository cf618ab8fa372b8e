"""The v3 addresses, each answer signed, and what the payer and the clock do to an order."""

import json
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Any

from aiohttp import web

from sandbox import crypto, qr_page, statements
from sandbox.delivery import Notification
from sandbox.store import Order, Refund
from sandbox.wechat import orders, refunds, wire
from sandbox.wechat.bills import Bills
from sandbox.wechat.wire import WechatError
from sandbox.world import NotPossible, World, with_faults

Act = Callable[[web.Request, dict[str, Any]], Any]


class Wechat:
    """See `sandbox.world.Provider`."""

    code = "wechat"

    def __init__(self, world: World) -> None:
        self._world = world
        self._bills = Bills()

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        world, bills = self._world, self._bills
        table: list[tuple[str, str, str, Act]] = [
            ("POST", "/pay/transactions/native", "create", lambda _, body: orders.create(world, body)),
            ("GET", "/pay/transactions/out-trade-no/{number}", "query", lambda r, _: self._query(r)),
            ("GET", "/pay/transactions/id/{transaction}", "query", lambda r, _: self._query(r)),
            (
                "POST",
                "/pay/transactions/out-trade-no/{number}/close",
                "close",
                lambda r, body: orders.close(world, r.match_info["number"], body),
            ),
            ("POST", "/refund/domestic/refunds", "refund", lambda _, body: refunds.ask(world, body)),
            (
                "GET",
                "/refund/domestic/refunds/{refund}",
                "refund_query",
                lambda r, _: refunds.shown(world, *refunds.find(world, r.match_info["refund"])),
            ),
            ("GET", "/bill/tradebill", "bill", lambda r, _: bills.trade(world, r.query)),
            ("GET", "/bill/fundflowbill", "bill", lambda r, _: bills.fund_flow(world, r.query)),
        ]
        return [
            *(web.route(method, f"/wechat/v3{path}", self._signed(name, act)) for method, path, name, act in table),
            web.get("/wechat/v3/billdownload/file", self.download),
            web.route("*", "/wechat/v3/{rest:.*}", self.unknown),
            *qr_page.routes(self.code),
        ]

    async def download(self, request: web.Request) -> web.Response:
        """The bill itself comes without a signature, but only to the merchant."""
        try:
            wire.check_request(self._world.config, request, "", now=time.time())
            content = self._bills.read(request.query.get("token", ""))
        except WechatError as error:
            return wire.refusal(self._world, error)
        kind = "application/x-gzip" if request.query.get("tartype") == "gzip" else "text/plain"
        return web.Response(body=content, content_type=kind)

    async def unknown(self, _request: web.Request) -> web.Response:
        return wire.refusal(self._world, WechatError(404, "NOT_FOUND", "请求的URL不存在"))

    def pay(self, order: Order, *, late: bool = False) -> None:
        world = self._world
        if order.state == "paid":
            raise NotPossible("This order is paid already. 订单已支付。")
        is_over = order.state != "open" or world.now() >= order.expires
        if is_over and not late:
            raise NotPossible("This order can no longer be paid. 此订单已不能付款。")
        order.state, order.paid_at, order.is_scanned, order.note = "paid", world.now(), True, ""
        order.transaction = f"42000{crypto.digits(5)}{world.shanghai().strftime('%Y%m%d')}{crypto.digits(10)}"
        world.store.save_order(order)
        self._send(
            "TRANSACTION.SUCCESS", "支付成功", "transaction", orders.shown(world, order), order, order.notify_url
        )

    def fail(self, order: Order, *, final: bool = False) -> None:
        """A failed attempt leaves the order unpaid; WeChat tells the merchant nothing."""
        if order.state != "open":
            raise NotPossible("This order is not open. 订单不在待付款状态。")
        order.note = "The payment failed; you may try again. 付款失败，可以重试。"
        self._world.store.save_order(order)
        if final:
            orders.shut(self._world, order, state="failed")

    def close(self, order: Order) -> None:
        if order.state != "open":
            raise NotPossible("This order is not open. 订单不在待付款状态。")
        orders.shut(self._world, order)

    def refund(self, order: Order, *, amount: int) -> dict[str, Any]:
        if order.state != "paid" or amount > order.amount - self._world.store.refunded(order) or amount <= 0:
            raise NotPossible("The order is not paid, or this is more than is left of it.")
        number = "desk" + crypto.digits(12)
        told = f"{self._world.config.site_url}/payments/wechat/refund-notify"  # as set in the merchant platform
        refund = refunds.make(self._world, order, amount=amount, number=number, reason="商户平台退款", notify_url=told)
        return _shown(refund)

    def settle_refund(self, number: str, *, outcome: str) -> dict[str, Any]:
        refund = self._world.store.refunds.get(f"wechat:{number}")
        if refund is None:
            raise NotPossible(f"No refund {number}.")
        self._settle(refund, outcome="abnormal" if outcome == "failed" else outcome)
        return _shown(refund)

    def refunds(self) -> list[dict[str, Any]]:
        return [_shown(refund) for refund in self._world.store.refunds if refund.provider == self.code]

    def held(self) -> int:
        return statements.held(self._world, provider=self.code)

    def pay_out(self, *, amount: int | None = None) -> dict[str, Any]:
        return asdict(statements.pay_out(self._world, provider=self.code, amount=amount))

    def tick(self, now: float) -> None:
        for order in self._world.store.expired_orders(self.code, now=now):
            orders.shut(self._world, order)
        for refund in self._world.store.due_refunds(self.code, now=now):
            self._settle(refund, outcome=refund.outcome)

    def _settle(self, refund: Refund, *, outcome: str) -> None:
        world = self._world
        refund.state, refund.due = outcome, 0
        refund.done_at = world.now()
        world.store.save_refund(refund)
        order = world.store.orders.get(refund.order)
        if order is not None:
            status = refunds.STATUS[outcome]
            content = refunds.notice(world, refund, order)
            self._send(f"REFUND.{status}", refunds.SUMMARY[status], "refund", content, order, refund.notify_url, refund)

    def _query(self, request: web.Request) -> dict[str, Any]:
        if request.query.get("mchid") != self._world.config.wechat_mchid:
            raise WechatError(400, "PARAM_ERROR", "商户号mchid与请求签名的商户号不一致")
        known = request.match_info
        order = orders.find(self._world, number=known.get("number", ""), transaction=known.get("transaction", ""))
        return orders.shown(self._world, order)

    def _signed(self, operation: str, act: Act) -> Callable[[web.Request], Awaitable[web.Response]]:
        """A handler that checks the request's signature and signs the answer of `act`."""

        async def handle(request: web.Request) -> web.Response:
            world = self._world
            text = await request.text()
            try:
                wire.check_request(world.config, request, text, now=time.time())
                body = json.loads(text) if text else {}
                if not isinstance(body, dict):
                    raise WechatError(400, "PARAM_ERROR", "请求体不是JSON对象")
            except WechatError as error:
                return wire.refusal(world, error)
            except ValueError:
                return wire.refusal(world, WechatError(400, "PARAM_ERROR", "请求体不是合法的JSON"))
            named = [request.match_info.get("number"), request.match_info.get("refund")]
            named += [body.get("out_trade_no"), body.get("out_refund_no")]

            def do() -> web.Response:
                try:
                    content = act(request, body)
                except WechatError as error:
                    return wire.refusal(world, error)
                return wire.answer(world, content, status=204 if content is None else 200, operation=operation)

            numbers = tuple(str(name) for name in named if name)
            answer = await with_faults(world, provider=self.code, operation=operation, orders=numbers, act=do)
            return answer or wire.refusal(world, WechatError(503, "SYSTEM_ERROR", "系统异常，请稍后重试"))

        return handle

    def _send(
        self,
        event: str,
        summary: str,
        kind: str,
        content: dict[str, Any],
        order: Order,
        url: str,
        refund: Refund | None = None,
    ) -> None:
        config, created = self._world.config, orders.stamp(self._world.now())
        number = str(uuid.uuid4())
        self._world.delivery.send(
            Notification(
                provider=self.code,
                event=event,
                orders=(order.number, *([refund.number] if refund else [])),
                url=url,
                write=lambda signing, now: wire.letter(
                    config,
                    content,
                    number=number,
                    event=event,
                    kind=kind,
                    summary=summary,
                    created=created,
                    signing=signing,
                    now=now,
                ),
                is_accepted=lambda status, _body: status in (200, 204),
            )
        )


def _shown(refund: Refund) -> dict[str, Any]:
    names = ("provider", "number", "id", "order", "amount", "state", "reason", "created", "done_at")
    return {name: getattr(refund, name) for name in names}

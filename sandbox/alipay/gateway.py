"""The gateway's one address, the pay page's acts, and the bill's download."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from aiohttp import web

from sandbox import crypto, qr_page, statements
from sandbox.alipay import refunds, trades, wire
from sandbox.alipay.bills import Bills
from sandbox.alipay.wire import AlipayError
from sandbox.delivery import Notification
from sandbox.store import Order, Refund
from sandbox.world import NotPossible, World, with_faults

OPERATIONS = {
    "alipay.trade.precreate": "create",
    "alipay.trade.query": "query",
    "alipay.trade.close": "close",
    "alipay.trade.refund": "refund",
    "alipay.trade.fastpay.refund.query": "refund_query",
    "alipay.data.dataservice.bill.downloadurl.query": "bill",
}


class Alipay:
    """See `sandbox.world.Provider`."""

    code = "alipay"

    def __init__(self, world: World) -> None:
        self._world = world
        self._bills = Bills()

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        return [
            web.get("/alipay/gateway.do", self.gateway),
            web.post("/alipay/gateway.do", self.gateway),
            web.get("/alipay/bill/{token}", self.download),
            *qr_page.routes(self.code),
        ]

    async def gateway(self, request: web.Request) -> web.Response:
        """Parameters may stand in the query, in the form, or in both."""
        form = await request.post() if request.method == "POST" else {}
        params = {name: str(value) for name, value in (*request.query.items(), *form.items())}
        method = params.get("method", "")
        operation = OPERATIONS.get(method, "")
        try:
            content = wire.checked(self._world.config, params, now=time.time())
        except AlipayError as error:
            return self._answer(method, error.node, is_signed=error.is_signed)
        number = str(content.get("out_trade_no", ""))

        def act() -> web.Response:
            return self._act(method, content, notify_url=params.get("notify_url", ""))

        answer = await with_faults(self._world, provider=self.code, operation=operation, orders=(number,), act=act)
        return answer or web.Response(status=503, text="Service Unavailable")

    async def download(self, request: web.Request) -> web.Response:
        content = self._bills.read(request.match_info["token"])
        if content is None:
            return web.Response(status=403, text="URL expired")
        headers = {"Content-Disposition": "attachment; filename=bill.csv.zip"}
        return web.Response(body=content, content_type="application/zip", headers=headers)

    def pay(self, order: Order, *, late: bool = False) -> None:
        world = self._world
        if order.state == "paid":
            raise NotPossible("This order is paid already. 订单已支付。")
        is_over = order.state != "open" or world.now() >= order.expires
        if is_over and not late:
            raise NotPossible("This order can no longer be paid. 此订单已不能付款。")
        order.state, order.paid_at, order.is_scanned, order.note = "paid", world.now(), True, ""
        order.transaction = order.transaction or trades.transaction_number(world)
        world.store.save_order(order)
        self._notify(order)

    def fail(self, order: Order, *, final: bool = False) -> None:
        """A failed attempt leaves the trade waiting for its buyer."""
        if order.state != "open":
            raise NotPossible("This order is not open. 订单不在待付款状态。")
        order.is_scanned = True
        order.note = "The payment failed; you may try again. 付款失败，可以重试。"
        self._world.store.save_order(order)
        if final:
            self.close(order)

    def close(self, order: Order) -> None:
        if order.state != "open":
            raise NotPossible("This order is not open. 订单不在待付款状态。")
        order.is_scanned = True
        trades.shut(self._world, order)
        order.transaction = order.transaction or trades.transaction_number(self._world)
        self._world.store.save_order(order)
        self._notify(order)

    def finish(self, order: Order) -> None:
        """The time for refunds is over; Alipay says so once more."""
        if order.state != "paid":
            raise NotPossible("Only a paid trade finishes.")
        order.is_finished = True
        self._world.store.save_order(order)
        self._notify(order)

    def refund(self, order: Order, *, amount: int) -> dict[str, Any]:
        if order.state != "paid" or amount > order.amount - self._world.store.refunded(order) or amount <= 0:
            raise NotPossible("The order is not paid, or this is more than is left of it.")
        number = "desk" + crypto.digits(12)
        refund = refunds.make(self._world, order, amount=amount, number=number, reason="商家后台退款")
        self._notify(order, refund=refund)
        return _shown(refund)

    def settle_refund(self, number: str, *, outcome: str) -> dict[str, Any]:
        refund = next((r for r in self._world.store.refunds if r.provider == self.code and r.number == number), None)
        if refund is None:
            raise NotPossible(f"No refund {number}.")
        self._settle(refund, outcome="done" if outcome == "done" else "failed")
        return _shown(refund)

    def refunds(self) -> list[dict[str, Any]]:
        return [_shown(refund) for refund in self._world.store.refunds if refund.provider == self.code]

    def held(self) -> int:
        return statements.held(self._world, provider=self.code)

    def pay_out(self, *, amount: int | None = None) -> dict[str, Any]:
        return asdict(statements.pay_out(self._world, provider=self.code, amount=amount))

    def tick(self, now: float) -> None:
        for order in self._world.store.expired_orders(self.code, now=now):
            self._expire(order)
        for refund in self._world.store.due_refunds(self.code, now=now):
            self._settle(refund, outcome=refund.outcome)

    def _expire(self, order: Order) -> None:
        trades.shut(self._world, order)
        if order.is_scanned:
            order.transaction = order.transaction or trades.transaction_number(self._world)
            self._world.store.save_order(order)
            self._notify(order)

    def _settle(self, refund: Refund, *, outcome: str) -> None:
        refund.state, refund.due = outcome, 0
        refund.done_at = self._world.now()
        self._world.store.save_refund(refund)
        order = self._world.store.orders.get(refund.order)
        if order is not None and outcome == "done":
            self._notify(order, refund=refund)

    def _act(self, method: str, content: dict[str, Any], *, notify_url: str) -> web.Response:
        world = self._world
        known: dict[str, Callable[[], dict[str, Any]]] = {
            "create": lambda: trades.precreate(world, content, notify_url=notify_url),
            "query": lambda: trades.query(world, content),
            "close": lambda: trades.close(world, content),
            "refund": lambda: self._refund(content),
            "refund_query": lambda: refunds.query(world, content),
            "bill": lambda: self._bills.url(world, content),
        }
        act = known.get(OPERATIONS.get(method, ""))
        try:
            if act is None:
                raise AlipayError("isv.invalid-method", "不存在的方法名", code="40002")
            node = {"code": "10000", "msg": "Success", **act()}
        except AlipayError as error:
            node = error.node
        return self._answer(method, node)

    def _refund(self, content: dict[str, Any]) -> dict[str, Any]:
        node, refund, is_new = refunds.ask(self._world, content)
        if is_new and refund.state == "done" and (order := self._world.store.orders.get(refund.order)):
            self._notify(order, refund=refund)
        return node

    def _answer(self, method: str, node: dict[str, Any], *, is_signed: bool = True) -> web.Response:
        faults, operation, charset = self._world.faults, OPERATIONS.get(method, ""), "utf-8"
        spoiled = faults.take("answer_bad_signature", provider=self.code, operation=operation)
        if fault := faults.take("answer_altered", provider=self.code, operation=operation):
            node = fault.altered(node)
        if faults.take("answer_gbk", provider=self.code, operation=operation):
            node, charset = {**node, "msg": "接口调用成功"}, "gbk"
        text = wire.answer(
            self._world.config,
            method=method,
            node=node,
            is_signed=is_signed,
            is_spoiled=spoiled is not None,
            charset=charset,
        )
        return web.Response(body=text.encode(charset), content_type="text/html", charset=charset)

    def _notify(self, order: Order, *, refund: Refund | None = None) -> None:
        config, world = self._world.config, self._world
        fields = notice_fields(world, order, refund=refund)
        status = fields["trade_status"]
        world.delivery.send(
            Notification(
                provider=self.code,
                event=f"refund.{status}" if refund else status,
                orders=(order.number, *([refund.number] if refund else [])),
                url=order.notify_url,
                write=lambda signing, now: wire.letter(config, fields, signing=signing, now=now),
                is_accepted=lambda status, body: status == 200 and body.strip() == b"success",
            )
        )


def notice_fields(world: World, order: Order, *, refund: Refund | None) -> dict[str, str]:
    """A trade_status_sync, unsigned. A refund's carries what went back so far and the refund's number."""
    config = world.config
    said: dict[str, Any] = {
        "amount": order.amount,
        "app_id": config.alipay_app_id,
        "seller_id": config.alipay_seller_id,
    } | order.reported
    amount = wire.yuan(said["amount"])
    fields = {
        "notify_type": "trade_status_sync",
        "notify_id": world.shanghai().strftime("%Y%m%d") + "00222" + crypto.digits(26),
        "charset": "utf-8",
        "version": "1.0",
        "app_id": str(said["app_id"]),
        "auth_app_id": str(said["app_id"]),
        "seller_id": str(said["seller_id"]),
        "seller_email": "sandbox@example.com",
        "buyer_id": trades.BUYER["buyer_user_id"],
        "buyer_logon_id": trades.BUYER["buyer_logon_id"],
        "trade_no": order.transaction,
        "out_trade_no": str(said.get("number", order.number)),
        "trade_status": trades.status(world, order),
        "subject": order.description,
        "body": str(order.request.get("body", "")),
        "total_amount": amount,
        "gmt_create": wire.stamp(order.created),
    }
    if order.state == "paid":
        fields |= {
            "receipt_amount": amount,
            "invoice_amount": amount,
            "buyer_pay_amount": amount,
            "point_amount": "0.00",
            "gmt_payment": wire.stamp(order.paid_at),
            "fund_bill_list": f'[{{"amount":"{amount}","fundChannel":"ALIPAYACCOUNT"}}]',
        }
    if refund is not None:
        fields |= {
            "out_biz_no": refund.number,
            "refund_fee": wire.yuan(world.store.refunded(order)),
            "gmt_refund": wire.stamp(refund.done_at) + ".000",
        }
    return fields


def _shown(refund: Refund) -> dict[str, Any]:
    names = ("provider", "number", "id", "order", "amount", "state", "reason", "created", "done_at")
    return {name: getattr(refund, name) for name in names}

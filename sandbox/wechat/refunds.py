"""Refunds of WeChat Pay: accepted first, finished later; a number is good for one refund."""

import re
from typing import Any

from sandbox import crypto
from sandbox.store import Order, Refund
from sandbox.wechat import orders
from sandbox.wechat.wire import WechatError, invalid
from sandbox.world import World

NUMBER = re.compile(r"[0-9A-Za-z_\-|*@]{1,64}")
PARTS = 50
STATUS = {"pending": "PROCESSING", "done": "SUCCESS", "failed": "ABNORMAL", "abnormal": "ABNORMAL", "closed": "CLOSED"}
OUTCOMES = {"fails": "abnormal", "bounces": "abnormal", "abnormal": "abnormal", "closed": "closed"}
BANK_CARD = "招商银行信用卡0403"
SUMMARY = {"SUCCESS": "退款成功", "ABNORMAL": "退款异常", "CLOSED": "退款关闭"}


def ask(world: World, body: dict[str, Any]) -> dict[str, Any]:
    number = body.get("out_refund_no")
    if not isinstance(number, str) or not NUMBER.fullmatch(number):
        raise invalid("/body/out_refund_no", "1到64个字符，只能是数字、大小写字母_-|*@")
    amount, total = orders.total_of(body, "refund"), orders.total_of(body, "total")
    order = _order(world, body)
    refund = world.store.refunds.get(f"wechat:{number}")
    if refund is not None:
        if (refund.order, refund.amount) != (order.key, amount):
            raise WechatError(400, "INVALID_REQUEST", "订单金额或退款金额与之前请求不一致，请核实后再试")
        return shown(world, refund, order)
    if order.state != "paid":
        raise WechatError(400, "INVALID_REQUEST", "订单未支付，不能退款")
    if total != order.amount:
        raise WechatError(400, "INVALID_REQUEST", "订单金额与之前请求不一致，请核实后再试")
    if amount > order.amount - world.store.refunded(order):
        raise WechatError(400, "INVALID_REQUEST", "申请退款金额超过订单可退金额")
    if len(world.store.refunds_of(order)) >= PARTS:
        raise WechatError(400, "INVALID_REQUEST", "一笔订单最多支持50次部分退款")
    if world.faults.take("refund_no_funds", provider="wechat", orders=(order.number, number)):
        raise WechatError(403, "NOT_ENOUGH", "基本账户余额不足，请充值后重新发起")
    refund = make(
        world,
        order,
        amount=amount,
        number=number,
        reason=str(body.get("reason", "")),
        notify_url=str(body.get("notify_url", "")),
    )
    return shown(world, refund, order)


def make(world: World, order: Order, *, amount: int, number: str, reason: str, notify_url: str) -> Refund:
    now = world.now()
    plan, seconds = world.refund_plan("wechat", (order.number, number))
    refund = Refund(
        provider="wechat",
        number=number,
        id=f"503{crypto.digits(26)}",
        order=order.key,
        amount=amount,
        created=now,
        state={"bounces": "done", "recovers": "abnormal"}.get(plan, "pending"),
        done_at=now if plan == "bounces" else 0,
        due=0 if seconds is None else now + seconds,
        outcome=OUTCOMES.get(plan, "done"),
        reason=reason,
        notify_url=notify_url,
    )
    if world.faults.take("refund_to_bank_card", provider="wechat", orders=(order.number, number)):
        refund.account = BANK_CARD
    world.store.save_refund(refund)
    return refund


def find(world: World, number: str) -> tuple[Refund, Order]:
    """Raise `WechatError`."""
    refund = world.store.refunds.get(f"wechat:{number}")
    order = world.store.orders.get(refund.order) if refund else None
    if refund is None or order is None:
        raise WechatError(404, "RESOURCE_NOT_EXISTS", "退款单不存在")
    return refund, order


def shown(world: World, refund: Refund, order: Order) -> dict[str, Any]:
    body: dict[str, Any] = {
        "refund_id": refund.id,
        "out_refund_no": refund.number,
        "transaction_id": order.transaction,
        "out_trade_no": order.number,
        "channel": "ORIGINAL",
        "user_received_account": refund.account,
        "create_time": orders.stamp(refund.created),
        "status": STATUS[refund.state],
        "funds_account": "AVAILABLE",
        "amount": {
            "total": order.amount,
            "refund": refund.amount,
            "payer_total": order.amount,
            "payer_refund": refund.amount,
            "settlement_refund": refund.amount,
            "settlement_total": order.amount,
            "discount_refund": 0,
            "currency": "CNY",
            "from": [],
        },
        "promotion_detail": [],
    }
    if refund.state == "done":
        body["success_time"] = orders.stamp(refund.done_at)
    return body


def notice(world: World, refund: Refund, order: Order) -> dict[str, Any]:
    """What a refund notification seals."""
    body: dict[str, Any] = {
        "mchid": world.config.wechat_mchid,
        "out_trade_no": order.number,
        "transaction_id": order.transaction,
        "out_refund_no": refund.number,
        "refund_id": refund.id,
        "refund_status": STATUS[refund.state],
        "user_received_account": refund.account,
        "amount": {
            "total": order.amount,
            "refund": refund.amount,
            "payer_total": order.amount,
            "payer_refund": refund.amount,
        },
    }
    if refund.state == "done":
        body["success_time"] = orders.stamp(refund.done_at)
    return body


def _order(world: World, body: dict[str, Any]) -> Order:
    number, transaction = str(body.get("out_trade_no") or ""), str(body.get("transaction_id") or "")
    if not number and not transaction:
        raise invalid("/body/transaction_id", "transaction_id和out_trade_no二选一必填")
    try:
        return orders.find(world, number=number, transaction=transaction)
    except WechatError as error:
        raise WechatError(404, "RESOURCE_NOT_EXISTS", "订单号不存在") from error

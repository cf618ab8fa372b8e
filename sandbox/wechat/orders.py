"""Native orders: made, asked for and closed by the merchant, paid by whoever scans the code."""

import re
from datetime import datetime
from typing import Any

from sandbox import crypto
from sandbox.store import Order
from sandbox.wechat.wire import WechatError, invalid
from sandbox.world import SHANGHAI, World

NUMBER = re.compile(r"[0-9A-Za-z_\-|*]{6,32}")
OPEN_SECONDS = 7200
MEANING = {
    "SUCCESS": "支付成功",
    "REFUND": "转入退款",
    "NOTPAY": "订单未支付",
    "CLOSED": "订单已关闭",
    "PAYERROR": "支付失败(其他原因，如银行返回失败)",
}


def stamp(at: float) -> str:
    """RFC 3339 with Shanghai's offset, as WeChat writes times."""
    return datetime.fromtimestamp(at, SHANGHAI).isoformat(timespec="seconds")


def create(world: World, body: dict[str, Any]) -> dict[str, Any]:
    config, now = world.config, world.now()
    if body.get("mchid") != config.wechat_mchid:
        raise WechatError(400, "PARAM_ERROR", "商户号mchid与请求签名的商户号不一致")
    if body.get("appid") != config.wechat_appid:
        raise WechatError(400, "APPID_MCHID_NOT_MATCH", "appid和mch_id不匹配")
    number, description = body.get("out_trade_no"), body.get("description")
    if not isinstance(number, str) or not NUMBER.fullmatch(number):
        raise invalid("/body/out_trade_no", "6到32个字符，只能是数字、大小写字母_-|*")
    if not isinstance(description, str) or not 0 < len(description.encode()) <= 127:
        raise invalid("/body/description", "长度为1到127个字节")
    if not str(body.get("notify_url", "")).startswith(("http://", "https://")):
        raise invalid("/body/notify_url", "不是合法的URL")
    amount = total_of(body, "total")
    order = world.store.order("wechat", number)
    if order is None:
        order = Order(
            provider="wechat",
            number=number,
            token=crypto.letters(16),
            amount=amount,
            currency="CNY",
            description=description,
            created=now,
            expires=_expiry(body, now=now),
            notify_url=body["notify_url"],
            request=body,
        )
        world.store.save_order(order)
    elif order.state == "paid":
        raise WechatError(403, "OUT_TRADE_NO_USED", "商户订单号重复")
    elif order.state != "open":
        raise WechatError(400, "ORDER_CLOSED", "订单已关闭")
    elif (order.amount, order.description) != (amount, description):
        raise WechatError(400, "INVALID_REQUEST", "201 商户订单号重复")
    return {"code_url": f"{config.base_url}/wechat/pay/{order.token}"}


def find(world: World, *, number: str = "", transaction: str = "") -> Order:
    """Raise `WechatError`."""
    store = world.store
    order = store.order("wechat", number) if number else store.order_of_transaction("wechat", transaction)
    if order is None:
        raise WechatError(404, "ORDER_NOT_EXIST", "订单不存在")
    return order


def close(world: World, number: str, body: dict[str, Any]) -> None:
    if body.get("mchid") != world.config.wechat_mchid:
        raise invalid("/body/mchid", "商户号不一致")
    order = find(world, number=number)
    if order.state == "paid":
        raise WechatError(400, "ORDERPAID", "该订单已支付")
    if order.state == "open":
        shut(world, order)


def shut(world: World, order: Order, *, state: str = "closed") -> None:
    order.state, order.closed_at = state, world.now()
    world.store.save_order(order)


def trade_state(world: World, order: Order) -> str:
    if order.state == "paid":
        return "REFUND" if world.store.refunds_of(order) else "SUCCESS"
    return {"open": "NOTPAY", "closed": "CLOSED", "failed": "PAYERROR"}[order.state]


def shown(world: World, order: Order) -> dict[str, Any]:
    """The transaction as a query answers it; a notification carries the same."""
    said: dict[str, Any] = {
        "mchid": world.config.wechat_mchid,
        "appid": world.config.wechat_appid,
        "amount": order.amount,
        "currency": order.currency,
        "number": order.number,
        "trade_state": trade_state(world, order),
        **order.reported,
    }
    body: dict[str, Any] = {
        "mchid": said["mchid"],
        "appid": said["appid"],
        "out_trade_no": said["number"],
        "trade_state": said["trade_state"],
        "trade_state_desc": MEANING[said["trade_state"]],
        "attach": str(order.request.get("attach", "")),
        "amount": {"total": said["amount"], "currency": said["currency"]},
    }
    if order.state == "paid":
        body |= {
            "transaction_id": order.transaction,
            "trade_type": "NATIVE",
            "bank_type": "OTHERS",
            "success_time": stamp(order.paid_at),
            "payer": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
        }
        body["amount"] |= {"payer_total": said["amount"], "payer_currency": said["currency"]}
    return body


def total_of(body: dict[str, Any], name: str) -> int:
    """An amount of the body in fen; raise `WechatError`."""
    amount = body.get("amount")
    value = amount.get(name) if isinstance(amount, dict) else None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise invalid(f"/body/amount/{name}", "必须是不小于1的整数，单位为分")
    if isinstance(amount, dict) and amount.get("currency", "CNY") != "CNY":
        raise invalid("/body/amount/currency", "只支持CNY")
    return value


def _expiry(body: dict[str, Any], *, now: float) -> float:
    text = body.get("time_expire")
    if text is None:
        return now + OPEN_SECONDS
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise invalid("/body/time_expire", "格式应为yyyy-MM-DDTHH:mm:ss+TIMEZONE") from error
    if moment.tzinfo is None:
        raise invalid("/body/time_expire", "格式应为yyyy-MM-DDTHH:mm:ss+TIMEZONE")
    return moment.timestamp()

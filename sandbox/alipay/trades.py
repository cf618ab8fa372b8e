"""QR trades: made when the code is asked for, known to Alipay only once somebody has scanned it."""

import re
from datetime import datetime
from typing import Any

from sandbox import crypto
from sandbox.alipay.wire import TIME, AlipayError, fen, stamp, yuan
from sandbox.store import Order
from sandbox.world import SHANGHAI, World

NUMBER = re.compile(r"[0-9A-Za-z_]{1,64}")
QR_SECONDS = 7200
DURATION = re.compile(r"([1-9]\d{0,4})([mhd])")
UNITS = {"m": 60, "h": 3600, "d": 86400}
BUYER = {"buyer_logon_id": "159****5620", "buyer_user_id": "2088622987654321"}


def precreate(world: World, content: dict[str, Any], *, notify_url: str) -> dict[str, Any]:
    number = str(content.get("out_trade_no", ""))
    if not NUMBER.fullmatch(number):
        raise AlipayError("ACQ.INVALID_PARAMETER", "参数无效：out_trade_no")
    subject = content.get("subject")
    if not isinstance(subject, str) or not 0 < len(subject) <= 256:
        raise AlipayError("ACQ.INVALID_PARAMETER", "参数无效：subject")
    amount, now = fen(content.get("total_amount")), world.now()
    if amount > 10_000_000_000:
        raise AlipayError("ACQ.TOTAL_FEE_EXCEED", "订单总金额不在允许范围内")
    order = world.store.order("alipay", number)
    if order is None:
        order = Order(
            provider="alipay",
            number=number,
            token="bax" + crypto.letters(21).lower(),
            amount=amount,
            currency="CNY",
            description=subject,
            created=now,
            expires=_expiry(content, now=now),
            notify_url=notify_url,
            request=content,
        )
        world.store.save_order(order)
    elif order.state == "paid":
        raise AlipayError("ACQ.TRADE_HAS_SUCCESS", "交易已被支付")
    elif order.state != "open":
        raise AlipayError("ACQ.TRADE_HAS_CLOSE", "交易已经关闭")
    elif order.amount != amount:
        raise AlipayError("ACQ.CONTEXT_INCONSISTENT", "交易信息被篡改")
    return {"out_trade_no": number, "qr_code": f"{world.config.base_url}/alipay/pay/{order.token}"}


def query(world: World, content: dict[str, Any]) -> dict[str, Any]:
    order = find(world, content)
    said = {"amount": order.amount, **order.reported}
    amount = yuan(said["amount"])
    node = {
        "buyer_logon_id": BUYER["buyer_logon_id"],
        "buyer_pay_amount": amount if order.state == "paid" else "0.00",
        "buyer_user_id": BUYER["buyer_user_id"],
        "invoice_amount": amount if order.state == "paid" else "0.00",
        "out_trade_no": said.get("number", order.number),
        "point_amount": "0.00",
        "receipt_amount": amount if order.state == "paid" else "0.00",
        "total_amount": amount,
        "trade_no": order.transaction,
        "trade_status": status(world, order),
    }
    if order.state == "paid":
        node["fund_bill_list"] = [{"amount": amount, "fund_channel": "ALIPAYACCOUNT"}]
        node["send_pay_date"] = stamp(order.paid_at)
    return node


def close(world: World, content: dict[str, Any]) -> dict[str, Any]:
    order = find(world, content)
    if order.state == "paid":
        raise AlipayError("ACQ.TRADE_STATUS_ERROR", "交易状态不合法")
    if order.state == "open":
        shut(world, order)
    return {"out_trade_no": order.number, "trade_no": order.transaction}


def shut(world: World, order: Order) -> None:
    order.state, order.closed_at = "closed", world.now()
    world.store.save_order(order)


def find(world: World, content: dict[str, Any]) -> Order:
    """The trade of a request; to Alipay an unscanned code is no trade. Raise `AlipayError`."""
    number, transaction = content.get("out_trade_no"), content.get("trade_no")
    if not number and not transaction:
        raise AlipayError("ACQ.INVALID_PARAMETER", "参数无效：out_trade_no和trade_no不能同时为空")
    if transaction:
        order = world.store.order_of_transaction("alipay", str(transaction))
    else:
        order = world.store.order("alipay", str(number))
    if order is None or not order.is_scanned:
        raise AlipayError("ACQ.TRADE_NOT_EXIST", "交易不存在")
    if not order.transaction:
        order.transaction = transaction_number(world)
        world.store.save_order(order)
    return order


def transaction_number(world: World) -> str:
    return world.shanghai().strftime("%Y%m%d") + "22001" + crypto.digits(15)


def status(world: World, order: Order) -> str:
    if "trade_status" in order.reported:
        return str(order.reported["trade_status"])
    if order.state == "paid":
        if world.store.refunded(order) >= order.amount:
            return "TRADE_CLOSED"
        return "TRADE_FINISHED" if order.is_finished else "TRADE_SUCCESS"
    return "WAIT_BUYER_PAY" if order.state == "open" else "TRADE_CLOSED"


def _expiry(content: dict[str, Any], *, now: float) -> float:
    if text := content.get("time_expire"):
        try:
            return datetime.strptime(str(text), TIME).replace(tzinfo=SHANGHAI).timestamp()
        except ValueError as error:
            raise AlipayError("ACQ.INVALID_PARAMETER", "参数无效：time_expire") from error
    text = content.get("qr_code_timeout_express") or content.get("timeout_express") or ""
    if not text:
        return now + QR_SECONDS
    if not (match := DURATION.fullmatch(str(text))):
        raise AlipayError("ACQ.INVALID_PARAMETER", "参数无效：timeout_express")
    return now + int(match[1]) * UNITS[match[2]]

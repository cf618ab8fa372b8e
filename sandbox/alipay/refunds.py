"""Refunds of Alipay: made at once, repeated harmlessly, asked for by their out_request_no."""

from typing import Any

from sandbox import crypto
from sandbox.alipay import trades
from sandbox.alipay.wire import AlipayError, fen, stamp, yuan
from sandbox.store import Order, Refund
from sandbox.world import World


def ask(world: World, content: dict[str, Any]) -> tuple[dict[str, Any], Refund, bool]:
    """The answer, the refund, and whether it is new. `refund_fee` is the trade's sum so far."""
    order = trades.find(world, content)
    amount = fen(content.get("refund_amount"))
    number = str(content.get("out_request_no") or order.number)
    refund = world.store.refunds.get(f"{order.key}:{number}")
    if refund is not None and refund.amount != amount:
        raise AlipayError("ACQ.DISCORDANT_REPEAT_REQUEST", "请求信息不一致")
    is_new = refund is None
    if refund is None:
        _expect_refundable(world, order, amount=amount)
        refund = make(world, order, amount=amount, number=number, reason=str(content.get("refund_reason", "")))
    node = {
        "buyer_logon_id": trades.BUYER["buyer_logon_id"],
        "buyer_user_id": trades.BUYER["buyer_user_id"],
        "fund_change": "Y" if is_new and refund.state == "done" else "N",
        "gmt_refund_pay": stamp(refund.created),
        "out_trade_no": order.number,
        "refund_fee": yuan(world.store.refunded(order)),
        "send_back_fee": yuan(amount if refund.state == "done" else 0),
        "trade_no": order.transaction,
    }
    return node, refund, is_new


def query(world: World, content: dict[str, Any]) -> dict[str, Any]:
    """Without `refund_status` the refund is unknown, not finished, or failed."""
    order = trades.find(world, content)
    number = str(content.get("out_request_no") or "")
    if not number:
        raise AlipayError("ACQ.INVALID_PARAMETER", "参数无效：out_request_no")
    refund = world.store.refunds.get(f"{order.key}:{number}")
    if refund is None or refund.state != "done":
        return {}
    return {
        "out_request_no": number,
        "out_trade_no": order.number,
        "refund_amount": yuan(refund.amount),
        "refund_reason": refund.reason,
        "refund_status": "REFUND_SUCCESS",
        "gmt_refund_pay": stamp(refund.done_at),
        "send_back_fee": yuan(refund.amount),
        "total_amount": yuan(order.amount),
        "trade_no": order.transaction,
    }


def make(world: World, order: Order, *, amount: int, number: str, reason: str) -> Refund:
    now = world.now()
    plan, seconds = world.refund_plan("alipay", (order.number, number))
    is_instant = plan in ("done", "bounces")
    refund = Refund(
        provider="alipay",
        number=number,
        id=crypto.digits(28),
        order=order.key,
        amount=amount,
        created=now,
        state="done" if is_instant else "failed" if plan == "recovers" else "pending",
        done_at=now if is_instant else 0,
        due=0 if plan == "done" or seconds is None else now + seconds,
        outcome="done" if plan in ("done", "recovers") else "failed",
        reason=reason,
    )
    world.store.save_refund(refund)
    return refund


def _expect_refundable(world: World, order: Order, *, amount: int) -> None:
    if order.state != "paid":
        raise AlipayError("ACQ.TRADE_STATUS_ERROR", "交易状态不合法")
    if order.is_finished:
        raise AlipayError("ACQ.TRADE_HAS_FINISHED", "交易已完结")
    if amount > order.amount - world.store.refunded(order):
        raise AlipayError("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", "退款金额超限")
    if world.faults.take("refund_no_funds", provider="alipay", orders=(order.number,)):
        raise AlipayError("ACQ.SELLER_BALANCE_NOT_ENOUGH", "商户的支付宝账户中无足够的资金进行撤销")

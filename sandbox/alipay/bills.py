"""Alipay's daily bill: a zip of two GB18030 CSV files behind an address that dies after 30 seconds."""

import io
import re
import time
import zipfile
from typing import Any

from sandbox import crypto, statements
from sandbox.alipay.wire import AlipayError, stamp, yuan
from sandbox.statements import Row
from sandbox.store import Movement
from sandbox.world import World

READY_HOUR = 9
URL_SECONDS = 30
KINDS = {"trade": "trade", "signcustomer": "flow"}
COLUMNS = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,"
    "商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,"
    "商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"
)
FLOW_COLUMNS = (
    "账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,"
    "收入金额（+元）,支出金额（-元）,账户余额（元）,交易渠道,业务类型,备注"
)
FLOW_SUMMARY_COLUMNS = "类型,收入笔数,收入金额（+元）,支出笔数,支出金额（-元）,总金额（元）"
SUMMARY_COLUMNS = (
    "门店编号,门店名称,交易订单总笔数,退款订单总笔数,订单金额（元）,商家实收（元）,服务费（元）,实收净额（元）"
)


class Bills:
    """Bills handed out and not yet out of date, by the token in their address."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[float, bytes]] = {}

    def url(self, world: World, asked: dict[str, Any]) -> dict[str, Any]:
        kind, day = str(asked.get("bill_type")), str(asked.get("bill_date", ""))
        if kind not in KINDS or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", day):
            raise AlipayError("isp.invalid_arguments", "入参不合法")
        bill = KINDS[kind]
        found = statements.rows(world, provider="alipay", day=day, bill=bill)
        moved = statements.movements(world, provider="alipay", day=day) if bill == "flow" else []
        is_late = not world.is_bill_ready(day, hour=READY_HOUR) or world.statement_fault(
            "not_ready", "alipay", bill=bill
        )
        if is_late or not (found or moved):
            raise AlipayError("isp.bill_not_exist", "账单不存在")
        content = trade_zip(world, found, day=day) if bill == "trade" else flow_zip(world, found, moved, day=day)
        token = crypto.letters(32)
        self._made[token] = (time.time() + URL_SECONDS, content)
        for old in [name for name, (until, _) in self._made.items() if until < time.time()]:
            del self._made[old]
        return {"bill_download_url": f"{world.config.base_url}/alipay/bill/{token}?fileType=csv.zip&bizDates={day}"}

    def read(self, token: str) -> bytes | None:
        until, content = self._made.get(token, (0.0, b""))
        return content if until >= time.time() else None


def trade_zip(world: World, found: list[Row], *, day: str) -> bytes:
    lines = [_trade_line(row) for row in found]
    sums = _sums(found)
    detail = [
        *_head(world, day, "业务明细查询", "业务明细列表"),
        COLUMNS,
        *lines,
        "#-----------------------------------------业务明细列表结束------------------------------------",
        f"#交易合计：{sums['payments']}笔，商家实收共{yuan(sums['paid'])}元，商家优惠共0.00元",
        f"#退款合计：{sums['refunds']}笔，商家实收退款共{yuan(-sums['refunded'])}元，商家优惠退款共0.00元",
        f"#导出时间：[{world.shanghai().strftime('%Y年%m月%d日 %H:%M:%S')}]",
    ]
    net = sums["paid"] - sums["refunded"]
    charged = [yuan(net), yuan(-sums["fee"]), yuan(net - sums["fee"])]
    summary = [
        *_head(world, day, "业务汇总查询", "业务汇总列表"),
        SUMMARY_COLUMNS,
        ",".join(["合计\t", "\t", str(sums["payments"]), str(sums["refunds"]), yuan(net), *charged]),
        "#-----------------------------------------业务汇总列表结束------------------------------------",
    ]
    return _zip(world, day, {"业务明细": detail, "业务明细(汇总)": summary})


def flow_zip(world: World, found: list[Row], moved: list[Movement], *, day: str) -> bytes:
    """Whatever came to the account or left it. What was taken stands in its own column, below zero."""
    rows = [moves for row in found for moves in _row_moves(row)] + [_moves(one) for one in moved]
    balance, lines = 0, []
    sums: dict[str, list[int]] = {}
    for at, names, kind, amount, note in sorted(rows, key=lambda move: move[0]):
        balance += amount
        sums.setdefault(kind, []).append(amount)
        cells = [*(f"{name}\t" for name in (*names, stamp(at))), "\t"]
        cells += [yuan(max(amount, 0)), yuan(min(amount, 0)), yuan(balance), "支付宝", kind, note]
        lines.append(",".join(cells))
    amounts = [amount for of_kind in sums.values() for amount in of_kind]
    ins, outs = _side(amounts, 1), _side(amounts, -1)
    listed = [
        *_head(world, day, "账务明细查询", "账务明细列表"),
        FLOW_COLUMNS,
        *lines,
        "#-----------------------------------------账务明细列表结束------------------------------------",
        f"#支出合计：{outs[0]}笔，共{yuan(outs[1])}元",
        f"#收入合计：{ins[0]}笔，共{yuan(ins[1])}元",
        f"#导出时间：[{world.shanghai().strftime('%Y年%m月%d日 %H:%M:%S')}]",
    ]
    summary = [
        *_head(world, day, "账务汇总查询", "账务汇总列表"),
        FLOW_SUMMARY_COLUMNS,
        *(_summed(kind, of_kind) for kind, of_kind in sums.items()),
        _summed("合计", amounts),
        "#-----------------------------------------账务汇总列表结束------------------------------------",
    ]
    return _zip(world, day, {"账务明细": listed, "账务明细(汇总)": summary})


Move = tuple[float, tuple[str, ...], str, int, str]
"""When; the numbers of the row, Alipay's and the merchant's, and what was bought; as what; fen; a note."""


def _row_moves(row: Row) -> list[Move]:
    moves = [("交易退款", -row.refunded), ("退费", row.fee)] if row.refund else []
    return [
        (
            row.at,
            (statements.flow_number(row, kind), row.transaction, row.order_number, row.description.replace(",", " ")),
            kind,
            amount,
            f"服务费[{row.transaction}]" if kind in ("收费", "退费") else "",
        )
        for kind, amount in moves or [("在线支付", row.amount), ("收费", -row.fee)]
        if amount
    ]


def _moves(moved: Movement) -> Move:
    return moved.at, (moved.number[8:], moved.number, "", ""), moved.kind, moved.amount, moved.note


def _side(amounts: list[int], sign: int) -> tuple[int, int]:
    chosen = [amount for amount in amounts if amount * sign > 0]
    return len(chosen), sum(chosen)


def _summed(kind: str, amounts: list[int]) -> str:
    (many_in, ins), (many_out, outs) = _side(amounts, 1), _side(amounts, -1)
    return ",".join([f"{kind}\t", str(many_in), yuan(ins), str(many_out), yuan(outs), yuan(ins + outs)])


def _trade_line(row: Row) -> str:
    amount = -row.refunded if row.refund else row.amount
    cost = row.fee if row.refund else -row.fee
    # Names come with a tab behind them, so that a spreadsheet leaves them alone.
    names = [row.transaction, row.order_number, "退款" if row.refund else "交易", row.description.replace(",", " ")]
    names += [stamp(row.created), stamp(row.at), "", "", "", "", "*测试(159****5620)"]
    sums = [yuan(amount), yuan(amount), *["0.00"] * 5, "", "0.00", "0.00", f"{row.refund}\t", yuan(cost), "0.00", ""]
    return ",".join([f"{name}\t" for name in names] + sums)


def _head(world: World, day: str, query: str, listed: str) -> list[str]:
    start = f"{day[:4]}年{day[5:7]}月{day[8:]}日"
    return [
        f"#支付宝{query}",
        f"#账号：[{world.config.alipay_seller_id}0156]",
        f"#起始日期：[{start} 00:00:00]   终止日期：[{start} 24:00:00]",
        f"#-----------------------------------------{listed}----------------------------------------",
    ]


def _sums(found: list[Row]) -> dict[str, int]:
    payments = [row for row in found if not row.refund]
    refunds = [row for row in found if row.refund]
    return {
        "payments": len(payments),
        "refunds": len(refunds),
        "paid": sum(row.amount for row in payments),
        "refunded": sum(row.refunded for row in refunds),
        "fee": sum(row.fee for row in payments) - sum(row.fee for row in refunds),
    }


def _zip(world: World, day: str, files: dict[str, list[str]]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, lines in files.items():
            path = f"{world.config.alipay_seller_id}0156_{day.replace('-', '')}_{name}.csv"
            packed.writestr(path, ("\r\n".join(lines) + "\r\n").encode("gb18030"))
    return content.getvalue()

"""Alipay's daily bill: a zip of two GB18030 CSV files behind an address that dies after 30 seconds."""

import io
import re
import time
import zipfile
from typing import Any

from sandbox import crypto, statements
from sandbox.alipay.wire import AlipayError, stamp, yuan
from sandbox.statements import Row
from sandbox.world import World

READY_HOUR = 9
URL_SECONDS = 30
KINDS = ("trade", "signcustomer")
COLUMNS = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,"
    "商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,"
    "商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"
)
FLOW_COLUMNS = (
    "账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,"
    "收入金额（+元）,支出金额（-元）,账户余额（元）,交易渠道,业务类型,备注"
)
SUMMARY_COLUMNS = (
    "门店编号,门店名称,交易订单总笔数,退款订单总笔数,订单金额（元）,商家实收（元）,服务费（元）,实收净额（元）"
)


class Bills:
    """Bills handed out and not yet out of date, by the token in their address."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[float, bytes]] = {}

    def url(self, world: World, content: dict[str, Any]) -> dict[str, Any]:
        kind, day = content.get("bill_type"), str(content.get("bill_date", ""))
        if kind not in KINDS or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", day):
            raise AlipayError("isp.invalid_arguments", "入参不合法")
        found = statements.rows(world, provider="alipay", day=day)
        is_late = not world.is_bill_ready(day, hour=READY_HOUR) or world.statement_fault("not_ready", "alipay")
        if is_late or not found:
            raise AlipayError("isp.bill_not_exist", "账单不存在")
        make = trade_zip if kind == "trade" else flow_zip
        token = crypto.letters(32)
        self._made[token] = (time.time() + URL_SECONDS, make(world, found, day=day))
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


def flow_zip(world: World, found: list[Row], *, day: str) -> bytes:
    balance, lines = 0, []
    for row in found:
        moves = [("交易退款", -row.refunded), ("收费退回", row.fee)] if row.refund else []
        for kind, amount in moves or [("在线支付", row.amount), ("收费", -row.fee)]:
            if amount:
                balance += amount
                ins, outs = (yuan(amount), "0.00") if amount > 0 else ("0.00", yuan(amount))
                cells = [crypto.digits(20), row.transaction, row.order_number, row.description, stamp(row.at)]
                lines.append(
                    ",".join([*(f"{cell}\t" for cell in cells), "\t", ins, outs, yuan(balance), "支付宝", kind, ""])
                )
    listed = [
        *_head(world, day, "账务明细查询", "账务明细列表"),
        FLOW_COLUMNS,
        *lines,
        "#-----------------------------------------账务明细列表结束------------------------------------",
    ]
    return _zip(world, day, {"账务明细": listed})


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

"""A day's statement: Alipay's trade bill, and `signcustomer`, the fund flow: zips of GB18030 CSV.

What left the account stands in a column of its own of the flow, below zero.
"""

import csv
import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence

from payments.providers.base import Bill, BillRow
from payments.providers.files import MOST_BYTES
from payments.providers.flows import TOLD, flow_key, flow_row
from payments.providers.sheets import BadStatement, Cells, bill_of, lines_of, moment, table, with_goods, yuan

TRADES = ("支付宝交易号", "商户订单号", "业务类型", "完成时间", "订单金额（元）", "服务费（元）", "退款批次号/请求号")
"""Columns that a list of trades has; the first one tells its heading."""
FLOW = (
    "账务流水号",
    "业务流水号",
    "商户订单号",
    "发生时间",
    "收入金额（+元）",
    "支出金额（-元）",
    "业务类型",
    "备注",
)
"""Columns that are read; the first one tells the heading."""
FLOW_KINDS = {
    **dict.fromkeys(("在线支付", "交易付款", "交易", "交易退款", "退款"), TOLD),
    **dict.fromkeys(("收费", "退费"), "fee"),
    **dict.fromkeys(("提现", "充值"), "payout"),
}
"""By 业务类型: to the bank and from it are both payouts. What is not listed is for finance to look at."""


def read_trades(raw: bytes) -> Bill:
    """Raises `BadStatement`."""
    return bill_of(raw, table(lines_in(raw), required=TRADES, split=cells_of), _trade)


def read_flow(raw: bytes) -> Bill:
    """Raises `BadStatement`."""
    return bill_of(raw, table(lines_in(raw), required=FLOW, split=cells_of), _movement)


def lines_in(raw: bytes) -> list[str]:
    """Of a zip with two files, of which the one without 汇总 has the lines; raises `BadStatement`."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as packed:
            names = [info for info in packed.infolist() if "汇总" not in _name_of(info)]
            if len(names) != 1 or names[0].file_size > MOST_BYTES:
                raise BadStatement("alipay: the zip does not hold one list")
            text = packed.read(names[0]).decode("gb18030")
    except (zipfile.BadZipFile, UnicodeDecodeError, zlib.error, EOFError, RuntimeError) as error:
        raise BadStatement(f"alipay: {type(error).__name__}") from None
    return [line for line in lines_of(text) if not line.startswith("#")]


def cells_of(line: str, names: Sequence[str]) -> Cells | None:
    """Cells apart by commas, a tab behind some of them; None where they do not fit the heading."""
    for cells in (line.split(","), _quoted(line)):
        if len(cells) == len(names):
            return [cell.strip("\t ") for cell in cells]
    return with_goods(line.split(","), names, strip="\t ")


def _trade(cells: Mapping[str, str]) -> BillRow:
    refund = cells["退款批次号/请求号"]
    is_refund, is_payment = cells["业务类型"] == "退款", cells["业务类型"] == "交易"
    trade, at = cells["支付宝交易号"], cells["完成时间"]
    # What somebody began in Alipay's console may have no number of its own.
    other = f"{trade}:{refund or at}" if is_refund else f"{trade}:{cells['业务类型']}:{at}"
    return BillRow(
        key=trade if is_payment else other,
        kind="refund" if is_refund else "payment" if is_payment else "other",
        amount=yuan(cells["订单金额（元）"]),
        fee=-yuan(cells["服务费（元）"]),
        currency="CNY",
        transaction_id=trade,
        refund_id=refund if is_refund else "",
        number=refund if is_refund else cells["商户订单号"],
        at=moment(at),
    )


def _movement(cells: Mapping[str, str]) -> BillRow:
    """A fee that names an order is its payment's."""
    name, ins, outs = cells["业务类型"], cells["收入金额（+元）"], cells["支出金额（-元）"]
    if not ins and not outs:
        raise BadStatement("no amount")
    kind = FLOW_KINDS.get(name, "other")
    return flow_row(
        flow_key(cells["账务流水号"], name),
        TOLD if kind == "fee" and cells["商户订单号"] else kind,
        yuan(ins or "0") - abs(yuan(outs or "0")),
        moment(cells["发生时间"]),
        number=cells["业务流水号"],
        detail=f"{name} {cells['备注']}",
    )


def _quoted(line: str) -> Cells:
    """Cells as a spreadsheet quotes them; none where the line is not written so."""
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return []


def _name_of(info: zipfile.ZipInfo) -> str:
    """Names are GBK where the flag for UTF-8 is not set; the library reads those as code page 437."""
    if info.flag_bits & 0x800:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("gb18030")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return info.filename

"""A day's statement: WeChat Pay's trade bill, and `fundflowbill` of the basic account: gzipped text, yuan, a backtick
before each cell. Amounts of the flow have no sign, and a word beside them for the way they went.
"""

import gzip
import hashlib
import io
import zlib
from collections.abc import Mapping, Sequence
from decimal import Decimal

from billing.books.money import PLACES
from payments.providers.base import Bill, BillRow
from payments.providers.files import MOST_BYTES
from payments.providers.flows import TOLD, flow_key, flow_row
from payments.providers.sheets import BadStatement, Cells, bill_of, lines_of, moment, table, with_goods, yuan

TRADES = (
    *("交易时间", "微信订单号", "商户订单号", "交易状态", "货币种类", "应结订单金额", "代金券金额"),
    *("微信退款单号", "商户退款单号", "退款金额", "充值券退款金额", "手续费"),
)
"""Columns that both layouts have: the newer one adds what was ordered and what was asked back, coupons included."""
FLOW = ("记账时间", "微信支付业务单号", "资金流水单号", "业务类型", "收支类型", "收支金额（元）", "备注")
"""Columns that are read; the first one tells the heading."""
FLOW_KINDS = {
    **dict.fromkeys(("交易", "退款", "扣除交易手续费", "退回交易手续费"), TOLD),
    **dict.fromkeys(("提现", "充值"), "payout"),
    "提现手续费": "fee",
}
SIGNS = {"收入": 1, "支出": -1}


def read_trades(raw: bytes, *, sha1: str) -> Bill:
    """Raises `BadStatement`."""
    lines = lines_in(raw, sha1=sha1, until="总交易单数")
    return bill_of(raw, table(lines, required=TRADES, split=cells_of), _trade)


def read_flow(raw: bytes, *, sha1: str) -> Bill:
    """Raises `BadStatement`."""
    lines = lines_in(raw, sha1=sha1, until="资金流水总笔数")
    return bill_of(raw, table(lines, required=FLOW, split=cells_of), _movement)


def lines_in(raw: bytes, *, sha1: str, until: str) -> list[str]:
    """Of gzipped text whose SHA-1 the answer named (the SDK checks neither), as far as the line of sums that begins
    with `until`; raises `BadStatement`.
    """
    try:
        text = gzip.GzipFile(fileobj=io.BytesIO(raw)).read(MOST_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise BadStatement(f"wechat: {type(error).__name__}") from None
    if hashlib.sha1(text, usedforsecurity=False).hexdigest() != sha1.lower():
        raise BadStatement("wechat: the file's hash is not the one named")
    try:
        lines = lines_of(text.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise BadStatement("wechat: the file is not text") from None
    listed = []
    for line in lines:
        if line.lstrip("`").startswith(until):
            break
        listed.append(line)
    return listed


def cells_of(line: str, names: Sequence[str]) -> Cells | None:
    """Cells that begin with a backtick each; None where they do not fit the heading."""
    cells = line.removeprefix("`").split(",`") if line.startswith("`") else line.split(",")
    return with_goods(cells, names, strip="`")


def _trade(cells: Mapping[str, str]) -> BillRow:
    state, currency = cells["交易状态"], cells["货币种类"]
    if currency not in PLACES:
        raise BadStatement(f"{currency[:20]!r} is no known currency")
    is_refund, is_payment = state == "REFUND", state == "SUCCESS"
    return BillRow(
        key=cells["微信退款单号"] if is_refund else cells["微信订单号"] + ("" if is_payment else f":{state}"),
        # A payment that was taken back at a till (REVOKED) and what may come yet is nothing of ours.
        kind="refund" if is_refund else "payment" if is_payment else "other",
        amount=_amount(cells, is_payment=is_payment),
        fee=yuan(cells["手续费"]),
        currency=currency,
        transaction_id=cells["微信订单号"],
        refund_id=cells["微信退款单号"] if is_refund else "",
        number=cells["商户退款单号"] if is_refund else cells["商户订单号"],
        at=moment(cells["交易时间"]),
    )


def _amount(cells: Mapping[str, str], *, is_payment: bool) -> Decimal:
    """What was ordered or given back, coupons included; the older layout tells these apart alone."""
    if is_payment:
        whole = cells.get("订单金额")
        return yuan(whole) if whole else yuan(cells["应结订单金额"]) + yuan(cells["代金券金额"])
    whole = cells.get("申请退款金额")
    return -(yuan(whole) if whole else yuan(cells["退款金额"]) + yuan(cells["充值券退款金额"]))


def _movement(cells: Mapping[str, str]) -> BillRow:
    name, way = cells["业务类型"], cells["收支类型"]
    if way not in SIGNS:
        raise BadStatement(f"{way[:20]!r} is no way for money to go")
    return flow_row(
        flow_key(cells["资金流水单号"], name),
        FLOW_KINDS.get(name, "other"),
        SIGNS[way] * yuan(cells["收支金额（元）"]),
        moment(cells["记账时间"]),
        number=cells["微信支付业务单号"],
        detail=f"{name} {cells['备注']}",
    )

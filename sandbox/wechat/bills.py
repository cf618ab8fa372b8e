"""WeChat's daily bills: amounts in yuan, a backtick before each cell, gzip, and the SHA-1 of the text inside."""

import gzip
import hashlib
import re
import time
from collections.abc import Mapping
from typing import Any

from sandbox import crypto, statements
from sandbox.statements import Row
from sandbox.store import Movement
from sandbox.wechat.wire import WechatError
from sandbox.world import World

READY_HOUR = 10
URL_SECONDS = 300
COLUMNS = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,"
    "订单金额,申请退款金额,费率备注"
)
SUMMARY_COLUMNS = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
FLOW_COLUMNS = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,"
    "收支金额(元),账户结余(元),资金变更提交申请人,备注,业务凭证号"
)
FLOW_SUMMARY_COLUMNS = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"


class Bills:
    """Bills handed out, by the token in their address."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[float, bytes]] = {}

    def trade(self, world: World, query: Mapping[str, str]) -> dict[str, Any]:
        wanted = query.get("bill_type", "ALL")
        if wanted not in ("ALL", "SUCCESS", "REFUND"):
            raise WechatError(400, "PARAM_ERROR", "参数错误：bill_type")
        found = self._rows(world, query, bill="trade")
        if wanted != "ALL":
            found = [row for row in found if bool(row.refund) == (wanted == "REFUND")]
        return self._keep(world, trade_text(world, found), query)

    def fund_flow(self, world: World, query: Mapping[str, str]) -> dict[str, Any]:
        if query.get("account_type", "BASIC") not in ("BASIC", "OPERATION", "FEES"):
            raise WechatError(400, "PARAM_ERROR", "参数错误：account_type")
        moved = statements.movements(world, provider="wechat", day=query.get("bill_date", ""))
        found = self._rows(world, query, bill="flow", others=len(moved))
        return self._keep(world, flow_text(world, found, moved), query)

    def read(self, token: str) -> bytes:
        """Raise `WechatError`."""
        until, content = self._made.get(token, (0.0, b""))
        if until < time.time():
            raise WechatError(403, "NO_AUTH", "下载链接已失效")
        return content

    def _rows(self, world: World, query: Mapping[str, str], *, bill: str, others: int = 0) -> list[Row]:
        day = query.get("bill_date", "")
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", day):
            raise WechatError(400, "PARAM_ERROR", "参数错误：bill_date")
        if not world.is_bill_ready(day, hour=READY_HOUR) or world.statement_fault("not_ready", "wechat", bill=bill):
            raise WechatError(400, "STATEMENT_CREATING", "账单生成中")
        found = statements.rows(world, provider="wechat", day=day, bill=bill)
        if not found and not others:
            raise WechatError(400, "NO_STATEMENT_EXIST", "请求的账单文件不存在")
        return found

    def _keep(self, world: World, text: str, query: Mapping[str, str]) -> dict[str, Any]:
        raw = text.encode()
        is_packed = query.get("tar_type") == "GZIP"
        token = crypto.letters(48)
        self._made[token] = (time.time() + URL_SECONDS, gzip.compress(raw) if is_packed else raw)
        for old in [name for name, (until, _) in self._made.items() if until < time.time()]:
            del self._made[old]
        address = f"{world.config.base_url}/wechat/v3/billdownload/file?token={token}"
        return {
            "hash_type": "SHA1",
            "hash_value": hashlib.sha1(raw, usedforsecurity=False).hexdigest(),
            "download_url": address + ("&tartype=gzip" if is_packed else ""),
        }


def trade_text(world: World, found: list[Row]) -> str:
    payments = [row for row in found if not row.refund]
    refunds = [row for row in found if row.refund]
    paid, back = sum(row.amount for row in payments), sum(row.refunded for row in refunds)
    cost = sum(row.fee for row in payments) - sum(row.fee for row in refunds)
    sums = [str(len(found)), _yuan(paid), _yuan(back), "0.00", _yuan(cost, places=5), _yuan(paid), _yuan(back)]
    lines = [COLUMNS, *(_line(_trade_cells(world, row)) for row in found), SUMMARY_COLUMNS, _line(sums)]
    return "\ufeff" + "\r\n".join(lines) + "\r\n"


def flow_text(world: World, found: list[Row], moved: list[Movement]) -> str:
    """Whatever came to the basic account or left it; amounts are above zero, and a word says which way they went."""
    rows = [moves for row in found for moves in _row_moves(row)] + [_moves(one) for one in moved]
    lines, balance = [], 100_000_000
    for at, numbers, words, amount, note in sorted(rows, key=lambda move: move[0]):
        balance += amount
        cells = [_moment(world, at), numbers[0], numbers[1], *words, "收入" if amount > 0 else "支出"]
        lines.append(_line([*cells, _yuan(abs(amount)), _yuan(balance), "system", note, numbers[2]]))
    ins = [amount for *_, amount, _note in rows if amount > 0]
    outs = [-amount for *_, amount, _note in rows if amount < 0]
    sums = [str(len(lines)), str(len(ins)), _yuan(sum(ins)), str(len(outs)), _yuan(sum(outs))]
    return "\ufeff" + "\r\n".join([FLOW_COLUMNS, *lines, FLOW_SUMMARY_COLUMNS, _line(sums)]) + "\r\n"


Move = tuple[float, tuple[str, str, str], tuple[str, str], int, str]
"""When; the row's three numbers; its name and type; fen; a note."""


def _row_moves(row: Row) -> list[Move]:
    """A payment and its fee are two rows under one number; a refund is one, less the fee that comes back with it."""
    if row.refund:
        note = f"退款总金额{_yuan(row.refunded)}元;含手续费{_yuan(row.fee)}元"
        return [(row.at, (row.refund_id, row.transaction, row.refund), ("退款", "退款"), row.fee - row.refunded, note)]
    numbers = (row.transaction, row.transaction, row.order_number)
    taken: list[Move] = [(row.at, numbers, ("交易", "扣除交易手续费"), -row.fee, "")] if row.fee else []
    return [(row.at, numbers, ("交易", "交易"), row.amount, ""), *taken]


def _moves(moved: Movement) -> Move:
    return moved.at, (moved.number, moved.number, moved.number), (moved.kind, moved.kind), moved.amount, moved.note


def _trade_cells(world: World, row: Row) -> list[str]:
    config = world.config
    known = [
        _moment(world, row.at),
        config.wechat_appid,
        config.wechat_mchid,
        "0",
        "",
        row.transaction,
        row.order_number,
    ]
    known += ["oUpF8uMuAJO_M2pxb1Q9zNjWeS6o", "NATIVE", "REFUND" if row.refund else "SUCCESS", "OTHERS", "CNY"]
    name = row.description.replace(",", " ")
    if row.refund:
        money = [
            "0.00",
            "0.00",
            row.refund_id,
            row.refund,
            _yuan(row.refunded),
            "0.00",
            "ORIGINAL",
            "SUCCESS",
            name,
            "",
        ]
        return [*known, *money, _yuan(-row.fee, places=5), "0.60%", "0.00", _yuan(row.refunded), ""]
    money = [_yuan(row.amount), "0.00", "0", "0", "0.00", "0.00", "", "", name, ""]
    return [*known, *money, _yuan(row.fee, places=5), "0.60%", _yuan(row.amount), "0.00", ""]


def _line(cells: list[str]) -> str:
    return ",".join(f"`{cell}" for cell in cells)


def _yuan(amount: int, *, places: int = 2) -> str:
    return f"{'-' if amount < 0 else ''}{abs(amount) // 100}.{abs(amount) % 100:02}" + "0" * (places - 2)


def _moment(world: World, at: float) -> str:
    return world.shanghai(at).strftime("%Y-%m-%d %H:%M:%S")

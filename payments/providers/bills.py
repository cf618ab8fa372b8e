"""Daily statements: what each provider says happened on a day, read from its own file into one form.

Sources: Stripe balance transactions (stripe 16.1.0), Alipay's trade bill (zip of GB18030 CSV), WeChat Pay's trade bill
(gzip, yuan, a backtick before each cell).
"""

import gzip
import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import requests

from billing.money import InvalidAmount, cents, floor_cents, from_minor
from chuizi.outside import outside
from payments.providers.base import Bill, BillRow, ProviderUnavailable, Unreadable
from payments.providers.sheets import BadStatement, StatementNotReady, alipay_cells, lines_of, table, wechat_cells

__all__ = ["SHANGHAI", "BadStatement", "StatementNotReady", "download", "read_alipay", "read_stripe", "read_wechat"]

SHANGHAI = ZoneInfo("Asia/Shanghai")
MOST_BYTES = 200_000_000
ALIPAY = ("支付宝交易号", "商户订单号", "业务类型", "完成时间", "订单金额（元）", "服务费（元）", "退款批次号/请求号")
"""Columns that a list of trades has; the first one tells its heading."""
WECHAT = (
    *("交易时间", "微信订单号", "商户订单号", "交易状态", "货币种类", "应结订单金额", "代金券金额"),
    *("微信退款单号", "商户退款单号", "退款金额", "充值券退款金额", "手续费"),
)
"""Columns that both layouts have: the newer one adds what was ordered and what was asked back, coupons included."""
STRIPE_KINDS = {
    "charge": "payment",
    "payment": "payment",
    "refund": "refund",
    "payment_refund": "refund",
    "refund_failure": "refund_failure",
    "payment_failure_refund": "refund_failure",
    "payout": "payout",
    "payout_failure": "payout",
    "payout_cancel": "payout",
    "stripe_fee": "fee",
    "stripe_fx_fee": "fee",
    "tax_fee": "fee",
}


def download(url: str) -> bytes:
    """What stands at an address that a provider has just named; raises `ProviderUnavailable`."""
    try:
        with outside(), requests.get(url, timeout=(3, 30), stream=True, allow_redirects=False) as answer:
            if answer.status_code != 200:
                raise ProviderUnavailable(f"the bill's address answers {answer.status_code}")
            raw = answer.raw.read(MOST_BYTES + 1, decode_content=True)
    except (requests.RequestException, OSError) as error:
        raise ProviderUnavailable(f"the bill's address: {type(error).__name__}") from None
    if len(raw) > MOST_BYTES:
        raise BadStatement("the bill is too long")
    return bytes(raw)


def read_alipay(raw: bytes) -> Bill:
    """A zip with two files, of which the one without 汇总 has the lines; raises `BadStatement`."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as packed:
            names = [info for info in packed.infolist() if "汇总" not in _zip_name(info)]
            if len(names) != 1 or names[0].file_size > MOST_BYTES:
                raise BadStatement("alipay: the zip does not hold one list of trades")
            text = packed.read(names[0]).decode("gb18030")
    except (zipfile.BadZipFile, UnicodeDecodeError, zlib.error, EOFError, RuntimeError) as error:
        raise BadStatement(f"alipay: {type(error).__name__}") from None
    lines = [line for line in lines_of(text) if not line.startswith("#")]
    return bill_of(raw, table(lines, required=ALIPAY, split=alipay_cells), _alipay_row)


def read_wechat(raw: bytes, *, sha1: str) -> Bill:
    """Gzipped text whose SHA-1 the answer named (the SDK checks neither); raises `BadStatement`."""
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
        if line.startswith("总交易单数"):
            break
        listed.append(line)
    return bill_of(raw, table(listed, required=WECHAT, split=wechat_cells), _wechat_row)


def read_stripe(transactions: list[dict[str, Any]]) -> Bill:
    """Balance transactions with their sources expanded."""
    read, unreadable = [], []
    for number, row in enumerate(transactions, start=1):
        try:
            read.append(_stripe_row(row))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            unreadable.append(Unreadable(number, f"{type(error).__name__} {error}: {orjson.dumps(row).decode()}"))
    return Bill(orjson.dumps(transactions), read, unreadable)


def _stripe_row(row: Mapping[str, Any]) -> BillRow:
    source = row.get("source")
    about: Mapping[str, Any] = source if isinstance(source, Mapping) else {"id": source or ""}
    kind = STRIPE_KINDS.get(str(row["type"]), "other")
    is_dispute = str(row.get("reporting_category", "")).startswith("dispute")
    if is_dispute or str(about.get("id", "")).startswith(("du_", "dp_")):
        kind = "dispute"
    metadata = about.get("metadata") or {}
    return BillRow(
        key=str(row["id"]),
        kind=kind,
        amount=from_minor(int(row["amount"])),
        fee=from_minor(int(row["fee"])),
        currency=str(row["currency"]).upper(),
        transaction_id=str(about.get("payment_intent") or about.get("id") or ""),
        refund_id=str(about["id"]) if kind.startswith("refund") else "",
        number=str(metadata.get("part") or metadata.get("order") or ""),
        at=datetime.fromtimestamp(int(row["created"]), ZoneInfo("UTC")),
    )


def bill_of(
    raw: bytes, lines: Iterator[tuple[int, str, Mapping[str, str] | None]], read: Callable[[Mapping[str, str]], BillRow]
) -> Bill:
    """The lines as rows; one that cannot be read is told with its text, and the rest is read."""
    rows, unreadable = [], []
    for number, text, cells in lines:
        try:
            if cells is None:
                raise BadStatement("another number of cells than the heading")
            rows.append(read(cells))
        except (BadStatement, KeyError) as error:
            unreadable.append(Unreadable(number, f"{error}: {text}"))
    return Bill(raw, rows, unreadable)


def _alipay_row(cells: Mapping[str, str]) -> BillRow:
    refund = cells["退款批次号/请求号"]
    is_refund, is_payment = cells["业务类型"] == "退款", cells["业务类型"] == "交易"
    trade = cells["支付宝交易号"]
    return BillRow(
        key=f"{trade}:{refund}" if is_refund else trade if is_payment else f"{trade}:{cells['业务类型']}",
        kind="refund" if is_refund else "payment" if is_payment else "other",
        amount=_yuan(cells["订单金额（元）"]),
        fee=-_yuan(cells["服务费（元）"]),
        currency="CNY",
        transaction_id=trade,
        refund_id=refund if is_refund else "",
        number=refund if is_refund else cells["商户订单号"],
        at=_moment(cells["完成时间"]),
    )


def _wechat_row(cells: Mapping[str, str]) -> BillRow:
    state = cells["交易状态"]
    is_refund, is_payment = state == "REFUND", state == "SUCCESS"
    return BillRow(
        key=cells["微信退款单号"] if is_refund else cells["微信订单号"] + ("" if is_payment else f":{state}"),
        # A payment that was taken back at a till (REVOKED) and what may come yet is nothing of ours.
        kind="refund" if is_refund else "payment" if is_payment else "other",
        amount=_wechat_amount(cells, is_payment=is_payment),
        fee=_yuan(cells["手续费"]),
        currency=cells["货币种类"],
        transaction_id=cells["微信订单号"],
        refund_id=cells["微信退款单号"] if is_refund else "",
        number=cells["商户退款单号"] if is_refund else cells["商户订单号"],
        at=_moment(cells["交易时间"]),
    )


def _wechat_amount(cells: Mapping[str, str], *, is_payment: bool) -> Decimal:
    """What was ordered or given back, coupons included; the older layout tells these apart alone."""
    if is_payment:
        whole = cells.get("订单金额")
        return _yuan(whole) if whole else _yuan(cells["应结订单金额"]) + _yuan(cells["代金券金额"])
    whole = cells.get("申请退款金额")
    return -(_yuan(whole) if whole else _yuan(cells["退款金额"]) + _yuan(cells["充值券退款金额"]))


def _yuan(text: str) -> Decimal:
    """An amount of money; fees come with 5 places of which the last are zero, or are cut."""
    if not re.fullmatch(r"-?[0-9]{1,12}(\.[0-9]{1,8})?", text):
        raise BadStatement(f"{text[:20]!r} is not an amount")
    try:
        return cents(text)
    except InvalidAmount:
        return floor_cents(Decimal(text))


def _moment(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=SHANGHAI)
    except ValueError:
        raise BadStatement(f"{text[:20]!r} is not a time") from None


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Names are GBK where the flag for UTF-8 is not set; the library reads those as code page 437."""
    if info.flag_bits & 0x800:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("gb18030")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return info.filename

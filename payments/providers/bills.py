"""Daily statements: what each provider says happened on a day, read from its own file into one form.

Sources: Stripe balance transactions (stripe 16.1.0), Alipay's trade bill (zip of GB18030 CSV), WeChat Pay's trade bill
(gzip, yuan, a backtick before each cell).
"""

import csv
import gzip
import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import requests

from billing.money import InvalidAmount, cents, floor_cents, from_minor
from chuizi.outside import outside
from payments.providers.base import Bill, BillRow, ProviderError, ProviderUnavailable

SHANGHAI = ZoneInfo("Asia/Shanghai")
MOST_BYTES = 200_000_000
ALIPAY_FIRST, WECHAT_FIRST = "支付宝交易号", "交易时间"
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


class StatementNotReady(ProviderError):
    """There is no statement of that day yet; ask again later."""


class BadStatement(ProviderError):
    """A file that is not what it says."""


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
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return Bill(raw, [_alipay_row(cells) for cells in _table(lines, first=ALIPAY_FIRST, strip="\t ")])


def read_wechat(raw: bytes, *, sha1: str) -> Bill:
    """Gzipped text whose SHA-1 the answer named (the SDK checks neither); raises `BadStatement`."""
    try:
        text = gzip.GzipFile(fileobj=io.BytesIO(raw)).read(MOST_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise BadStatement(f"wechat: {type(error).__name__}") from None
    if hashlib.sha1(text, usedforsecurity=False).hexdigest() != sha1.lower():
        raise BadStatement("wechat: the file's hash is not the one named")
    try:
        lines = text.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise BadStatement("wechat: the file is not text") from None
    listed = []
    for line in lines:
        if line.startswith("总交易单数"):
            break
        listed.append(line)
    return Bill(raw, [_wechat_row(cells) for cells in _table(listed, first=WECHAT_FIRST, strip="`")])


def read_stripe(transactions: list[dict[str, Any]]) -> Bill:
    """Balance transactions with their sources expanded."""
    try:
        return Bill(orjson.dumps(transactions), [_stripe_row(row) for row in transactions])
    except (KeyError, TypeError, ValueError) as error:
        raise BadStatement(f"stripe: {type(error).__name__} {error}") from None


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


def _alipay_row(cells: Mapping[str, str]) -> BillRow:
    refund = cells["退款批次号/请求号"]
    is_refund = cells["业务类型"] == "退款"
    trade = cells[ALIPAY_FIRST]
    return BillRow(
        key=f"{trade}:{refund}" if is_refund else trade,
        kind="refund" if is_refund else "payment",
        amount=_yuan(cells["订单金额（元）"]),
        fee=-_yuan(cells["服务费（元）"]),
        currency="CNY",
        transaction_id=trade,
        refund_id=refund if is_refund else "",
        number=refund if is_refund else cells["商户订单号"],
        at=_moment(cells["完成时间"]),
    )


def _wechat_row(cells: Mapping[str, str]) -> BillRow:
    is_refund = cells["交易状态"] == "REFUND"
    amount = -_yuan(cells["申请退款金额"]) if is_refund else _yuan(cells["订单金额"])
    return BillRow(
        key=cells["微信退款单号"] if is_refund else cells["微信订单号"],
        kind="refund" if is_refund else "payment",
        amount=amount,
        fee=_yuan(cells["手续费"]),
        currency=cells["货币种类"],
        transaction_id=cells["微信订单号"],
        refund_id=cells["微信退款单号"] if is_refund else "",
        number=cells["商户退款单号"] if is_refund else cells["商户订单号"],
        at=_moment(cells[WECHAT_FIRST]),
    )


def _table(lines: list[str], *, first: str, strip: str) -> Iterator[Mapping[str, str]]:
    """The lines below the heading that begins with `first`, by its names."""
    rows = csv.reader(lines)
    names: list[str] = []
    for number, row in enumerate(rows, start=1):
        cells = [cell.strip(strip) for cell in row]
        if not names:
            if cells and cells[0] == first:
                names = cells
            continue
        if not any(cells):
            continue
        if len(cells) != len(names):
            raise BadStatement(f"line {number} has {len(cells)} cells, not {len(names)}")
        try:
            yield dict(zip(names, cells, strict=True))
        except KeyError as error:
            raise BadStatement(f"line {number} has no {error}") from None
    if not names:
        raise BadStatement(f"no heading with {first}")


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

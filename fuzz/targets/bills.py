"""Any bytes for a provider's bill are refused or read, and what is read is what moved on the account, line by line."""

import gzip
import hashlib
import io
import zipfile
from datetime import date

from payments.providers import flows
from payments.providers.alipay import statement as alipay_statement
from payments.providers.base import Bill
from payments.providers.reading import is_storable
from payments.providers.sheets import BadStatement
from payments.providers.wechat import statement as wechat_statement

EXAMPLES = 100
ALIPAY = (
    "支付宝交易号,商户订单号,业务类型,商品名称,完成时间,订单金额（元）,退款批次号/请求号,服务费（元）\r\n"
    "20261122\t,topup_1\t,交易,credit,2026-11-22 10:00:00,142.40,,-0.85\r\n"
    "20261122\t,topup_1\t,退款,credit,2026-11-22 11:00:00,-2.00,part_1,0.01\r\n"
)
ALIPAY_FLOW = (
    "#支付宝账务明细查询\r\n"
    "账务流水号,业务流水号,商户订单号,商品名称,发生时间,收入金额（+元）,支出金额（-元）,业务类型,备注\r\n"
    "1\t,20261122\t,topup_1\t,credit\t,2026-11-22 10:00:00\t,142.40,0.00,在线支付,\r\n"
    "2\t,20261122\t,topup_1\t,credit\t,2026-11-22 10:00:00\t,0.00,-0.85,收费,\r\n"
    "3\t,3\t,\t,\t,2026-11-22 12:00:00\t,0.00,-100.00,提现,\r\n"
)
WECHAT = (
    "交易时间,微信订单号,商户订单号,交易状态,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,"
    "充值券退款金额,手续费\r\n"
    "`2026-11-22 10:00:00,`42,`topup_1,`SUCCESS,`CNY,`142.40,`0.00,`0,`0,`0.00,`0.00,`0.85000\r\n"
    "`2026-11-22 11:00:00,`42,`topup_1,`REFUND,`CNY,`0.00,`0.00,`50,`part_1,`2.00,`0.00,`-0.01000\r\n"
    "总交易单数,应结订单总金额\r\n`2,`142.40\r\n"
)
WECHAT_FLOW = (
    "记账时间,微信支付业务单号,资金流水单号,业务类型,收支类型,收支金额(元),备注\r\n"
    "`2026-11-22 10:00:00,`42,`42,`交易,`收入,`142.40,`\r\n"
    "`2026-11-22 11:00:00,`50,`42,`退款,`支出,`1.99,`\r\n"
    "`2026-11-22 12:00:00,`7,`7,`提现,`支出,`100.00,`\r\n"
    "资金流水总笔数,收入笔数\r\n`3,`1\r\n"
)
SEEDS = [
    *(f"{trades}\f{flow}".encode("gb18030") for trades, flow in ((ALIPAY, ALIPAY_FLOW), ("", ALIPAY_FLOW))),
    *(f"\ufeff{trades}\f{flow}".encode() for trades, flow in ((WECHAT, WECHAT_FLOW), (WECHAT, ""))),
]


def check(data: bytes) -> None:
    """Both bills, apart by a form feed, as either provider's."""
    trades, _, flow = data.partition(b"\f")
    for read, read_flow in ((alipay_trades, alipay_flow), (wechat_trades, wechat_flow)):
        try:
            bill, moved = read(trades) if trades else Bill(b""), read_flow(flow) if flow else Bill(b"")
        except BadStatement:
            continue
        made = flows.union(day=date(2026, 11, 22), trades=bill, flow=moved)
        assert sum(row.amount - row.fee for row in made.rows) == sum(row.amount for row in moved.rows)
        assert len({row.key for row in made.rows}) == len(made.rows)
        assert len({row.key for row in made.unreadable}) == len(made.unreadable)
        texts = [text for row in made.rows for text in (row.key, row.number, row.transaction_id, row.detail)]
        assert all(is_storable(text) for text in (*texts, *(row.text for row in made.unreadable)))


def alipay_trades(text: bytes) -> Bill:
    return alipay_statement.read_trades(zipped(text))


def alipay_flow(text: bytes) -> Bill:
    return alipay_statement.read_flow(zipped(text))


def wechat_trades(text: bytes) -> Bill:
    return wechat_statement.read_trades(gzip.compress(text), sha1=hashlib.sha1(text, usedforsecurity=False).hexdigest())


def wechat_flow(text: bytes) -> Bill:
    return wechat_statement.read_flow(gzip.compress(text), sha1=hashlib.sha1(text, usedforsecurity=False).hexdigest())


def zipped(text: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packing:
        packing.writestr("bill.csv", text)
    return content.getvalue()

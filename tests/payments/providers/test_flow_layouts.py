"""Fund flows of Alipay and WeChat Pay as they are written: signs, numbers, brackets, rows that nobody knows."""

import gzip
import hashlib
import io
import zipfile
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from payments.providers import flows, sheets
from payments.providers.alipay import statement as alipay_statement
from payments.providers.base import Bill, BillRow
from payments.providers.wechat import statement as wechat_statement
from payments.statements import reconcile
from sandbox.alipay.bills import FLOW_COLUMNS as ALIPAY_COLUMNS
from sandbox.wechat.bills import FLOW_COLUMNS as WECHAT_COLUMNS

DAY = date(2026, 11, 22)


def alipay_line(kind: str, *, number: str = "29082318", order: str = "", ins: str = "0.00", outs: str = "0.00") -> str:
    named = f"{number}\t,2026112322001\t,{order}\t,credit\t,2026-11-22 10:00:00\t,\t"
    return f"{named},{ins},{outs},100.00,支付宝,{kind},a note"


def alipay(lines: list[str], heading: str = ALIPAY_COLUMNS) -> Bill:
    text = "\r\n".join(("#支付宝账务明细查询", heading, *lines, "#支出合计：1笔，共-1.00元,,,", ""))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as packing:
        packing.writestr("20881_20261122_账务明细.csv", text.encode("gb18030"))
        packing.writestr("20881_20261122_账务明细(汇总).csv", "类型,收入笔数".encode("gb18030"))
    return alipay_statement.read_flow(packed.getvalue())


def wechat_line(kind: str, way: str, amount: str, *, number: str = "4200001") -> str:
    cells = ["2026-11-22 10:00:00", "5030080", number, kind, kind, way, amount, "100.00", "system", "a note", "1"]
    return ",".join(f"`{cell}" for cell in cells)


def wechat(lines: list[str], heading: str = WECHAT_COLUMNS) -> Bill:
    text = "\ufeff" + "\r\n".join((heading, *lines, "资金流水总笔数,收入笔数", "`3.0,`1.0", ""))
    return wechat_statement.read_flow(gzip.compress(text.encode()), sha1=hashlib.sha1(text.encode()).hexdigest())


def told(bill: Bill) -> list[tuple[str, str, str]]:
    return [(row.key, row.kind, str(row.amount)) for row in bill.rows]


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("wide", [True, False])
def test_alipay_says_in_two_columns_what_came_and_what_left(sign, wide):
    heading = ALIPAY_COLUMNS if wide else ALIPAY_COLUMNS.replace("（", "(").replace("）", ")")
    lines = [
        alipay_line("在线支付", order="o1", ins="20.00"),
        alipay_line("收费", order="o1", outs=f"{sign}0.12"),
        alipay_line("收费", number="1", outs=f"{sign}0.50", ins=""),
        alipay_line("提现", number="2", outs=f"{sign}10.00"),
        alipay_line("提现", number="3", ins="10.00", outs=""),
        alipay_line("其它", number="4", outs=f"{sign}1.00"),
    ]
    made = alipay(lines, heading)
    assert made.unreadable == []
    assert told(made) == [
        ("", "told", "20.00"),
        ("", "told", "-0.12"),
        ("flow:1:收费", "fee", "-0.50"),
        ("flow:2:提现", "payout", "-10.00"),
        ("flow:3:提现", "payout", "10.00"),
        ("flow:4:其它", "other", "-1.00"),
    ]
    assert made.rows[-1].detail == "其它 a note"
    assert made.rows[-1].at == datetime(2026, 11, 22, 2, tzinfo=UTC)


@pytest.mark.parametrize("wide", [True, False])
def test_wechat_says_in_a_word_which_way_it_went_and_gives_what_moves_together_one_number(wide):
    heading = WECHAT_COLUMNS.replace("(", "（").replace(")", "）") if wide else WECHAT_COLUMNS
    lines = [
        wechat_line("交易", "收入", "20.00"),
        wechat_line("扣除交易手续费", "支出", "0.12"),
        wechat_line("退款", "支出", "1.99"),
        wechat_line("提现", "支出", "10.00", number="2"),
        wechat_line("提现手续费", "支出", "0.10", number="2"),
        wechat_line("违约金", "支出", "1.00", number="4"),
    ]
    made = wechat(lines, heading)
    assert made.unreadable == []
    assert told(made) == [
        ("", "told", "20.00"),
        ("", "told", "-0.12"),
        ("", "told", "-1.99"),
        ("flow:2:提现", "payout", "-10.00"),
        ("flow:2:提现手续费", "fee", "-0.10"),
        ("flow:4:违约金", "other", "-1.00"),
    ]


def test_a_row_that_cannot_be_read_or_stands_there_twice_is_told_with_its_text():
    payout = alipay_line("提现", outs="-1.00")
    made = alipay(
        [payout, payout, "1,2,3", alipay_line("提现", number="5", ins="", outs=""), alipay_line("提现", number="")]
    )
    assert [row.kind for row in made.rows] == ["payout"]
    assert [row.text.partition(":")[0] for row in made.unreadable] == [
        "flow",  # its key, twice
        "another number of cells than the heading",
        "no amount",
        "no number",
    ]
    made = wechat(
        [wechat_line("提现", "支出", "1.00"), wechat_line("提现", "不计", "1.00"), wechat_line("提现", "支出", "?")]
    )
    assert ([row.kind for row in made.rows], [row.line for row in made.unreadable]) == (["payout"], [3, 4])


@pytest.mark.parametrize(
    ("read", "heading", "column"),
    [(alipay, ALIPAY_COLUMNS, name) for name in alipay_statement.FLOW[1:]]
    + [(wechat, WECHAT_COLUMNS.replace("(", "（").replace(")", "）"), name) for name in wechat_statement.FLOW[1:]],
)
def test_a_heading_that_lacks_a_column_is_named(read, heading, column):
    with pytest.raises(sheets.BadStatement, match=column.partition("（")[0]):
        read([], heading.replace(f",{column}", ",other"))


def test_what_the_two_bills_say_differently_of_payments_is_a_line_of_its_own():
    at = datetime(2026, 11, 22, 2, tzinfo=UTC)
    payment = BillRow("1", "payment", Decimal("20.00"), Decimal("0.12"), "CNY", "1", "", "o1", at)
    flow = alipay(
        [alipay_line("在线支付", order="o1", ins="20.00"), alipay_line("收费", order="o1", outs="-0.13"), "1,2"]
    )
    made = flows.union(day=DAY, trades=Bill(b"a", [payment]), flow=flow)
    assert told(made) == [("1", "payment", "20.00"), ("flow:2026-11-22:trades", "other", "-0.01")]
    assert made.rows[-1].detail == "payments, refunds and their fees: 19.87 in the fund flow, 19.88 in the trade bill"
    assert reconcile.start_of("alipay", DAY) <= made.rows[-1].at < reconcile.start_of("alipay", DAY + timedelta(days=1))
    assert [row.key for row in made.unreadable] == ["fund flow line 4"]
    assert flows.union(day=DAY, trades=Bill(b""), flow=Bill(b"")) == Bill(b"")

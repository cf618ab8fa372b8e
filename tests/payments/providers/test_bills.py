"""Providers' files as they really are: other shops' goods, columns that come and go, rows that cannot be read."""

import gzip
import hashlib
import io
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from billing.models import Transfer
from payments.models import Discrepancy, Statement, StatementLine, TopUp
from payments.providers import registry, sheets
from payments.providers.alipay import statement as alipay_statement
from payments.providers.base import Bill
from payments.providers.stripe import statement as stripe_statement
from payments.providers.wechat import statement as wechat_statement
from payments.statements import fetching, reconcile
from sandbox.wechat.bills import COLUMNS
from tests.payments.statements.test_statements import at_once, paid, today

__all__ = ["at_once"]
ALIPAY_HEADING = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,"
    "订单金额（元）,商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,"
    "商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"
)
GOODS = [
    "credit",
    'say "hi"',
    "a,b,c",
    "a,`b",
    "two\u2028lines",
    "next\x85line",
    "form\x0cfeed",
    "=1+1",
    "",
    "锤子 🔨",
    "'",
    "\\",
    "a\rb",
    "a,\r\x0bb",
    "nul\0,nul",
    '"opened, and not closed',
    pytest.param("x," + "y" * 140_000, id="long"),
]


def alipay_line(goods: str, trade: str = "2026112322001", kind: str = "交易", amount: str = "142.40") -> str:
    times = "2026-11-22 10:00:00,2026-11-22 10:00:05"
    return (
        f"{trade}\t,order_1\t,{kind},{goods},{times},,,,,ada***@example.org,{amount},142.40,0.00,0.00,0.00,0.00,0.00,,"
        f"0.00,0.00,{'r1' if kind == '退款' else ''},-0.85,0.00,"
    )


def alipay(lines: Sequence[str], heading: str = ALIPAY_HEADING) -> Bill:
    text = "\r\n".join(("#支付宝业务明细查询", heading, *lines, "#业务明细列表结束", ""))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as packing:
        packing.writestr("20881_20261122_业务明细.csv", text.encode("gb18030"))
    return alipay_statement.read_trades(packed.getvalue())


def wechat_line(names: Sequence[str], goods: str = "credit", **cells: str) -> str:
    known = {
        "交易时间": "2026-11-22 10:00:00",
        "微信订单号": "4200001",
        "商户订单号": "order_1",
        "交易状态": "SUCCESS",
        "货币种类": "CNY",
        "应结订单金额": "140.40",
        "代金券金额": "2.00",
        "退款金额": "0.00",
        "充值券退款金额": "0.00",
        "手续费": "0.85000",
        "订单金额": "142.40",
        "申请退款金额": "0.00",
        "商品名称": goods,
        **cells,
    }
    return ",".join("`" + known.get(name, "0") for name in names)


def wechat(lines: Sequence[str], heading: str = COLUMNS) -> Bill:
    text = "\r\n".join(("\ufeff" + heading, *lines, "总交易单数,应结订单总金额", "`1,`142.40", ""))
    return wechat_statement.read_trades(gzip.compress(text.encode()), sha1=hashlib.sha1(text.encode()).hexdigest())


@pytest.mark.parametrize("goods", GOODS)
def test_another_shops_goods_may_be_called_anything(goods):
    for made in (alipay([alipay_line(goods), alipay_line("x", "2")]), wechat([wechat_line(COLUMNS.split(","), goods)])):
        assert made.unreadable == []
        assert (made.rows[0].amount, made.rows[0].number) == (Decimal("142.40"), "order_1")


def test_a_row_that_cannot_be_read_is_told_with_its_text_and_the_rest_is_read():
    bad = alipay_line("x", "7", amount="many")
    made = alipay([alipay_line("a", "1"), bad, "1,2,3", alipay_line("b", "2")])
    assert [row.key for row in made.rows] == ["1", "2"]
    assert [row.line for row in made.unreadable] == [3, 4]
    assert "many" in made.unreadable[0].text
    names = COLUMNS.split(",")
    made = wechat([wechat_line(names, 微信订单号="1", 交易时间="soon"), wechat_line(names, 微信订单号="2")])
    assert ([row.key for row in made.rows], [row.line for row in made.unreadable]) == (["2"], [2])


def test_a_number_that_stands_twice_takes_no_other_lines_place():
    made = alipay([alipay_line("a", "1"), alipay_line("a", "1", amount="1.00"), alipay_line("b", "2")])
    assert [(row.key, row.amount) for row in made.rows] == [("1", Decimal("142.40")), ("2", Decimal("142.40"))]
    assert [row.line for row in made.unreadable] == [3]
    # Begun in Alipay's console, without a number: told apart by their time.
    refund = alipay_line("a", "1", kind="退款", amount="-2.00").replace(",r1,", ",,")
    later = refund.replace("10:00:05", "10:07:00")
    made = alipay([refund, later])
    assert [(row.kind, row.amount, row.number) for row in made.rows] == [("refund", Decimal("-2.00"), "")] * 2
    assert made.unreadable == []


@pytest.mark.parametrize("currency", ["", "人民币", "CMB_CREDIT"])
def test_a_row_in_no_known_currency_is_told_and_the_rest_is_read(currency):
    names = COLUMNS.split(",")
    made = wechat([wechat_line(names, 货币种类=currency), wechat_line(names, 微信订单号="2")])
    assert ([row.key for row in made.rows], [row.line for row in made.unreadable]) == (["2"], [2])


def test_what_another_shop_keeps_at_stripe_can_be_kept_here():
    row = {"id": "txn_1", "type": "charge", "amount": 100, "fee": 1, "currency": "usd", "created": 1_790_000_000}
    made = stripe_statement.read_transactions(
        [row | {"source": {"id": "ch_1", "metadata": {"order": "a\0b\ud800"}}}, {"id": "\ud800"}]
    )
    assert ([r.number for r in made.rows], [r.line for r in made.unreadable]) == (["ab?"], [2])
    assert "\0" not in (made.raw.decode() + made.unreadable[0].text)


@pytest.mark.parametrize("column", alipay_statement.TRADES[1:])
def test_a_heading_that_lacks_a_column_is_named(column):
    with pytest.raises(sheets.BadStatement, match=column.split("（")[0]):
        alipay([], ALIPAY_HEADING.replace(f",{column}", ",other"))


@pytest.mark.parametrize("column", wechat_statement.TRADES[1:])
def test_a_wechat_heading_that_lacks_a_column_is_named(column):
    with pytest.raises(sheets.BadStatement, match=column):
        wechat([], ",".join("other" if name == column else name for name in COLUMNS.split(",")))


def test_columns_that_we_do_not_know_are_passed_by():
    heading = "交易时间,新列," + COLUMNS.partition(",")[2] + ",又一列"
    made = wechat([wechat_line(heading.split(","))], heading)
    assert (made.rows[0].amount, made.unreadable) == (Decimal("142.40"), [])


def test_both_layouts_of_wechat_tell_the_same():
    older = COLUMNS.partition(",订单金额,")[0].split(",")
    for names in (COLUMNS.split(","), older):
        refund = {"交易状态": "REFUND", "微信退款单号": "50", "商户退款单号": "part", "退款金额": "3.00"}
        refund |= {"充值券退款金额": "1.00", "申请退款金额": "4.00"}
        made = wechat([wechat_line(names), wechat_line(names, **refund)], ",".join(names))
        assert [(row.kind, row.amount) for row in made.rows] == [
            ("payment", Decimal("142.40")),
            ("refund", Decimal("-4.00")),
        ]


@pytest.mark.parametrize("state", ["REVOKED", "CLOSED"])
def test_a_state_that_is_nothing_of_ours_is_a_line_of_its_own(state):
    names = COLUMNS.split(",")
    made = wechat([wechat_line(names), wechat_line(names, 交易状态=state)])
    assert [(row.kind, row.key) for row in made.rows] == [("payment", "4200001"), ("other", f"4200001:{state}")]


pytestmark = pytest.mark.django_db(transaction=True)


def test_a_line_that_cannot_be_read_enters_the_queue_with_its_text(sandbox, customer, monkeypatch):
    paid(sandbox, customer, "alipay")
    now = timezone.now() + timedelta(days=3)
    read = alipay_statement.read_trades
    monkeypatch.setattr("payments.providers.alipay.adapter.read_trades", lambda raw: broken(read(raw)))
    result = reconcile.reconcile(provider="alipay", day=today("alipay"), now=now)
    [row] = result.open
    assert (row.kind, row.key, row.detail) == ("unexpected", "line 9", "many: a,b")
    monkeypatch.undo()
    assert reconcile.reconcile(provider="alipay", day=today("alipay"), now=now).open == []


def broken(bill: Bill) -> Bill:
    from payments.providers.base import Unreadable

    return Bill(bill.raw, bill.rows, [Unreadable(9, "many: a,b")])


def test_a_worker_that_dies_before_matching_leaves_the_day_due(sandbox, customer, monkeypatch):
    paid(sandbox, customer, "stripe")
    tomorrow = timezone.now() + timedelta(days=1)
    monkeypatch.setattr(reconcile, "match", lambda **_given: (_ for _ in ()).throw(KeyError("dead")))
    reconcile.reconcile_due(now=tomorrow)
    statement = Statement.objects.get(provider="stripe")
    assert statement.matched_at is None
    assert today("stripe") in reconcile.due_days(provider="stripe", now=tomorrow)
    monkeypatch.undo()
    reconcile.reconcile_due(now=tomorrow)
    statement.refresh_from_db()
    assert statement.matched_at is not None
    assert reconcile.due_days(provider="stripe", now=tomorrow) == []


@pytest.mark.parametrize("error", [KeyError("x"), ValueError("x"), RecursionError(), sheets.StatementNotReady("x")])
def test_one_providers_trouble_is_no_others(sandbox, customer, monkeypatch, error):
    for method in ("alipay", "stripe", "wechat"):
        paid(sandbox, customer, method)

    def fail(_day: object) -> Bill:
        raise error

    monkeypatch.setattr(registry.get("alipay"), "fetch_statement", fail)
    reconcile.reconcile_due(now=timezone.now() + timedelta(days=1))
    assert set(Statement.objects.exclude(matched_at=None).values_list("provider", flat=True)) == {"stripe", "wechat"}


def test_a_day_is_due_until_it_is_matched_however_old_since_the_first_top_up(sandbox, customer):
    assert reconcile.due_days(provider="stripe", now=timezone.now()) == []
    paid(sandbox, customer, "stripe")
    TopUp.objects.update(created_at=timezone.now() - timedelta(days=40))
    due = reconcile.due_days(provider="stripe", now=timezone.now())
    assert len(due) == 40
    assert reconcile.late_days(now=timezone.now()) in (37, 38, 39), "the hour of the day decides"
    Statement.objects.create(
        provider="stripe", day=due[0], raw=b"", sha256="0" * 64, lines=0, matched_at=timezone.now()
    )
    assert len(reconcile.due_days(provider="stripe", now=timezone.now())) == 39


def test_open_differences_are_matched_again_each_day(sandbox, customer, monkeypatch):
    monkeypatch.setattr(fetching, "settle_lines", lambda _lines, **kwargs: None)  # the provider gives no answer
    paid(sandbox, customer, "stripe")
    TopUp.objects.update(transaction_id="pi_lost")
    tomorrow = timezone.now() + timedelta(days=1)
    reconcile.reconcile_due(now=tomorrow)
    assert Discrepancy.objects.filter(state="open").exists()
    line = Statement.objects.get(provider="stripe").rows.get(kind="payment")
    TopUp.objects.update(transaction_id=line.transaction_id)
    reconcile.reconcile_due(now=tomorrow + timedelta(hours=1))
    assert Discrepancy.objects.filter(state="open", kind="missing_here").exists(), "not before a day is over"
    reconcile.reconcile_due(now=tomorrow + timedelta(hours=25))
    assert not Discrepancy.objects.filter(state="open", kind="missing_here").exists()


def test_a_line_is_booked_on_its_statements_day_whatever_time_it_bears(sandbox, customer, monkeypatch):
    paid(sandbox, customer, "alipay")
    read = alipay_statement.read_trades
    monkeypatch.setattr(
        "payments.providers.alipay.adapter.read_trades",
        lambda raw: replace(
            bill := read(raw), rows=[replace(row, at=datetime(1, 1, 2, tzinfo=UTC)) for row in bill.rows]
        ),
    )
    reconcile.reconcile(provider="alipay", day=today("alipay"), now=timezone.now())
    start = reconcile.start_of("alipay", today("alipay"))
    fee = Transfer.objects.get(kind="fee")
    assert (StatementLine.objects.get().at, fee.booked_on) == (start, start.astimezone(UTC).date())


def test_an_empty_day_at_alipay_is_not_late(sandbox, customer):
    """It is told like one that is not ready: nobody is to look at it before that can be known."""
    paid(sandbox, customer, "alipay")
    TopUp.objects.update(created_at=timezone.now() - timedelta(days=5))
    for hours in range(0, 24 * 5, 12):
        now = timezone.now() + timedelta(hours=hours)
        reconcile.reconcile_due(now=now)
        assert reconcile.late_days(now=now) == 0, hours

"""What moves at Alipay and WeChat Pay besides payments, from their fund flows: payouts, other fees, corrections."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from billing.audit.run import audit
from billing.models import Transfer
from payments.models import Discrepancy, Statement, StatementLine
from payments.providers import sheets
from payments.statements import clearing, reconcile
from tests.payments.conftest import balance
from tests.payments.statements.test_statements import at_once, paid, refunded, today

__all__ = ["at_once"]
BOTH = pytest.mark.parametrize("method", ["alipay", "wechat"])
pytestmark = pytest.mark.django_db(transaction=True)


def run(method: str, day: date | None = None) -> reconcile.Result:
    return reconcile.reconcile(provider=method, day=day or today(method), now=timezone.now() + timedelta(days=4))


@BOTH
def test_after_a_month_of_top_ups_fees_refunds_and_payouts_nothing_is_left_on_the_clearing_account(
    sandbox, customer, method
):
    """The provider's calendar begins 30 days behind ours."""
    fee, charged, days = "收费" if method == "alipay" else "提现手续费", Decimal(0), []

    def day_is(behind: int) -> None:
        days.append(today(method) - timedelta(days=behind))
        sandbox.control("POST", "/settings", clock_offset=-behind * 86400)

    day_is(30)
    charged += paid(sandbox, customer, method).charge_amount
    day_is(20)
    sandbox.control("POST", f"/payouts/{method}", amount=5000)
    sandbox.control("POST", f"/movements/{method}", kind=fee, amount=-50)
    day_is(10)
    charged += paid(sandbox, customer, method, amount="7.00").charge_amount
    charged -= refunded(customer, "5.00").charge_amount
    day_is(0)
    sandbox.control("POST", f"/payouts/{method}")
    for day in days:
        assert run(method, day).open == []
    fees = balance("expense:fees:CNY")
    assert fees == Decimal("0.50") + sum(line.fee for line in StatementLine.objects.all())
    assert fees > Decimal("1.00")
    assert balance("bank:CNY") == charged - fees
    assert balance(f"clearing:{method}:CNY") == 0
    assert [(row.name, row.rest) for row in clearing.accounts()] == [(f"clearing:{method}:CNY", 0)]
    assert sandbox.control("GET", "/balances")[method] == 0
    booked = Transfer.objects.count()
    for day in days[1::2]:  # those with payouts
        assert run(method, day).open == []
    assert Transfer.objects.count() == booked
    assert audit().drifts == []


@BOTH
def test_a_payout_that_comes_back_and_what_nobody_knows_are_not_lost(sandbox, customer, method):
    paid(sandbox, customer, method)
    out = sandbox.control("POST", f"/payouts/{method}", amount=1000)
    sandbox.control("POST", f"/movements/{method}", kind="提现", amount=1000, note="银行退票")
    sandbox.control("POST", f"/movements/{method}", kind="冻结", amount=-300, note="风险")
    [row] = run(method).open
    assert (row.kind, row.theirs, row.detail) == ("unexpected", Decimal("-3.00"), "冻结 风险")
    assert row.key.endswith(":冻结")
    assert balance("bank:CNY") == 0
    assert Transfer.objects.filter(kind="payout").count() == 2
    assert out["number"] != ""
    assert audit().drifts == []


@BOTH
def test_a_day_is_due_until_both_of_its_bills_have_come(sandbox, customer, method):
    paid(sandbox, customer, method)
    sandbox.control("POST", f"/payouts/{method}")
    tomorrow = timezone.now() + timedelta(days=1)
    for bill in ("trade", "flow"):
        sandbox.fault("statement_not_ready", provider=method, times=0, operation=bill)
        reconcile.reconcile_due(now=tomorrow)
        assert not Statement.objects.exists(), bill
        assert today(method) in reconcile.due_days(provider=method, now=tomorrow)
        sandbox.clear_faults()
    reconcile.reconcile_due(now=tomorrow)
    assert today(method) not in reconcile.due_days(provider=method, now=tomorrow)
    assert balance(f"clearing:{method}:CNY") == 0
    assert not Discrepancy.objects.exists()


@BOTH
def test_a_day_with_nothing_but_a_payout_is_booked(sandbox, customer, method):
    sandbox.control("POST", "/settings", clock_offset=-86400)
    paid(sandbox, customer, method)
    sandbox.control("POST", "/settings", clock_offset=0)
    assert run(method, today(method) - timedelta(days=1)).open == []
    sandbox.control("POST", f"/payouts/{method}", amount=1000)
    assert run(method).open == []
    assert balance("bank:CNY") == Decimal("10.00")


def test_a_bill_of_alipays_that_never_comes_is_empty_after_two_days_and_what_it_lacks_is_told(sandbox, customer):
    topup = paid(sandbox, customer, "alipay")
    sandbox.fault("statement_not_ready", provider="alipay", times=0, operation="flow")
    [row] = run("alipay").open
    line = StatementLine.objects.get(kind="payment")
    assert (row.kind, row.theirs) == ("unexpected", line.fee - topup.charge_amount)
    sandbox.clear_faults()
    assert run("alipay").cured == 1
    assert StatementLine.objects.count() == 1


def test_a_bill_that_wechat_is_still_making_is_never_taken_for_an_empty_one(sandbox, customer):
    paid(sandbox, customer, "wechat")
    sandbox.fault("statement_not_ready", provider="wechat", times=0, operation="flow")
    with pytest.raises(sheets.StatementNotReady):
        run("wechat")
    assert not Statement.objects.exists()

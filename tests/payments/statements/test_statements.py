"""Statements of the three providers against the books: what fits, what does not, and doing a day again."""

import gzip
import io
import zipfile
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from billing import refunds
from billing.audit.run import audit
from billing.models import LedgerAccount, Transfer
from payments import refunds as refunding
from payments.models import Discrepancy, RefundPart, Statement, StatementLine, TopUp
from payments.providers import sheets
from payments.providers.alipay import statement as alipay_statement
from payments.providers.stripe import statement as stripe_statement
from payments.providers.wechat import statement as wechat_statement
from payments.refunds.external import settle_refunds
from payments.statements import clearing, reconcile
from sandbox import crypto
from tests.billing.conftest import failures, in_threads
from tests.payments.conftest import METHODS, open_topup, pay, provider_number

pytestmark = pytest.mark.django_db(transaction=True)

CURRENCY = {"stripe": "USD", "alipay": "CNY", "wechat": "CNY"}


@pytest.fixture(autouse=True)
def at_once(sandbox):
    sandbox.control("POST", "/settings", bills_at_once=True)


def today(method: str) -> date:
    return timezone.now().astimezone(reconcile.ZONES[method]).date()


def run(method: str) -> reconcile.Result:
    # The books' day ends an hour early; what was booked just now is looked for a little later.
    return reconcile.reconcile(provider=method, day=today(method), now=timezone.now() + timedelta(days=3))


def paid(sandbox, customer, method: str, amount: str = "20.00") -> TopUp:
    topup = open_topup(customer, method=method, amount=amount)
    pay(sandbox, topup)
    topup.refresh_from_db()
    assert topup.state == "paid"
    return topup


def refunded(customer, amount: str) -> RefundPart:
    by = User.objects.create_superuser(f"by{customer.refunds.count()}@example.org", "a rather long one")
    refund = refunds.ask(customer=customer, amount=amount, reason="test", now=timezone.now())
    refunds.approve(refund_id=refund.pk, amount=amount, by=by, now=timezone.now())
    refunding.send(refund_id=refund.pk, now=timezone.now())
    for _attempt in range(300):
        part = refund.parts.get()
        if part.state == "done":
            break
        refunding.look(part_id=part.pk, now=timezone.now())
    return part


def balance(name: str) -> Decimal:
    account = LedgerAccount.objects.get(name=name)
    return sum((t.amount for t in account.credits.all()), Decimal(0)) - sum(
        (t.amount for t in account.debits.all()), Decimal(0)
    )


def kinds() -> list[tuple[str, str]]:
    return list(Discrepancy.objects.order_by("pk").values_list("kind", "state"))


@pytest.mark.parametrize("method", METHODS)
def test_a_day_that_fits_posts_its_fees_once_and_leaves_no_difference(sandbox, customer, method):
    topup = paid(sandbox, customer, method)
    part = refunded(customer, "5.00")
    result = run(method)
    assert (result.lines, result.open, kinds()) == (2, [], [])
    assert set(StatementLine.objects.values_list("kind", flat=True)) == {"payment", "refund"}
    fees = balance(f"expense:fees:{CURRENCY[method]}")
    lines = StatementLine.objects.all()
    assert fees == -sum((line.fee for line in lines), Decimal(0)) != 0
    [there] = clearing.accounts()
    theirs = there.settled
    assert (there.name, there.balance) == (f"clearing:{method}:{CURRENCY[method]}", theirs)
    assert theirs == topup.charge_amount - part.charge_amount + fees
    before = Transfer.objects.count()
    run(method)
    assert Transfer.objects.count() == before
    assert Statement.objects.count() == 1
    assert audit().drifts == []


@pytest.mark.parametrize("method", METHODS)
def test_a_dropped_row_is_missing_there_and_cured_when_it_comes(sandbox, customer, method):
    topup = paid(sandbox, customer, method)
    TopUp.objects.filter(pk=topup.pk).update(paid_at=reconcile.start_of(method, today(method)) + timedelta(minutes=1))
    paid(sandbox, customer, method, amount="7.00")
    sandbox.fault("statement_drop", provider=method, order=provider_number(topup), times=0)
    [row] = run(method).open
    assert (row.kind, row.key, row.ours) == ("missing_there", topup.number, topup.charge_amount)
    run(method)
    assert kinds() == [("missing_there", "open")]
    sandbox.clear_faults()
    assert run(method).cured == 1
    assert kinds() == [("missing_there", "cured")]


@pytest.mark.parametrize("method", METHODS)
def test_an_added_row_is_missing_here(sandbox, customer, method):
    paid(sandbox, customer, method)
    sandbox.fault("statement_add", provider=method, times=0)
    [row] = run(method).open
    assert row.kind in ("missing_here", "unexpected")
    assert (row.theirs, row.ours) == (Decimal(1), None)
    assert audit().drifts == []


@pytest.mark.parametrize("method", METHODS)
def test_an_altered_row_differs_in_its_amount_and_changes_no_book(sandbox, customer, wallet, method):
    topup = paid(sandbox, customer, method)
    sandbox.fault("statement_alter", provider=method, order=provider_number(topup), amount=100, times=0)
    [row] = run(method).open
    assert (row.kind, row.ours, row.theirs) == (
        "amount_differs",
        topup.charge_amount,
        topup.charge_amount + Decimal("1.00"),
    )
    wallet.refresh_from_db()
    assert wallet.paid == Decimal(20)


@pytest.mark.parametrize("method", ["alipay", "wechat"])
def test_a_refund_begun_at_the_provider_whose_notification_was_lost_is_found_by_its_statement(
    sandbox, customer, wallet, method
):
    topup = paid(sandbox, customer, method)
    sandbox.fault("drop_notification", provider=method, times=0)
    sandbox.control("POST", f"/orders/{method}/{provider_number(topup)}/refund", amount=500)
    for _attempt in range(100):
        result = run(method)
        if result.lines == 2 and not result.open:  # the two bills of WeChat may be fetched to both sides of the refund
            break
    assert result.open == []
    part = RefundPart.objects.get()
    assert (part.state, part.charge_amount) == ("done", Decimal("5.00"))
    assert audit().drifts == []


def test_a_refund_that_came_back_before_it_was_booked_leaves_no_difference(sandbox, customer, wallet):
    """Begun in Stripe's dashboard and failed there, both before anybody here heard of it."""
    topup = paid(sandbox, customer, "stripe")
    sandbox.fault("drop_notification", provider="stripe", times=0)
    sandbox.fault("refund_pending", provider="stripe")
    begun = sandbox.control("POST", f"/orders/stripe/{provider_number(topup)}/refund", amount=500)
    sandbox.control("POST", f"/refunds/stripe/{begun['id']}/failed")
    assert run("stripe").open == []
    kinds = sorted(StatementLine.objects.exclude(kind="payment").values_list("kind", flat=True))
    assert "refund" in kinds
    assert "refund_failure" in kinds
    wallet.refresh_from_db()
    assert wallet.paid == 20
    # Only one of the two is something that we miss.
    StatementLine.objects.filter(kind="refund_failure").delete()
    matched = reconcile.match(provider="stripe", day=today("stripe"), now=timezone.now() + timedelta(days=3))
    assert [row.kind for row in matched.open] == ["missing_here"]


@pytest.mark.parametrize("method", ["alipay", "wechat"])
def test_a_statement_that_is_not_ready_is_asked_for_again(sandbox, customer, method):
    paid(sandbox, customer, method)
    sandbox.fault("statement_not_ready", provider=method, times=0)
    tomorrow = timezone.now() + timedelta(days=1)
    reconcile.reconcile_due(now=tomorrow)
    assert not Statement.objects.filter(provider=method, day=today(method)).exists()
    assert today(method) in reconcile.due_days(provider=method, now=tomorrow)
    sandbox.clear_faults()
    reconcile.reconcile_due(now=tomorrow)
    assert Statement.objects.get(provider=method, day=today(method)).lines == 1


def test_two_who_reconcile_at_once_post_each_fee_once(sandbox, customer):
    for _number in range(3):
        paid(sandbox, customer, "alipay")
    assert failures(in_threads(*[lambda: run("alipay")] * 4)) == []
    assert Transfer.objects.filter(kind="fee").count() == 3
    assert StatementLine.objects.count() == 3


def test_the_command_does_one_day_and_says_what_does_not_fit(sandbox, customer, capsys):
    topup = paid(sandbox, customer, "wechat")
    call_command("reconcile", "--provider", "wechat", "--date", str(today("wechat")))
    assert "1 lines, 1 fees and payouts" in capsys.readouterr().out
    sandbox.fault("statement_alter", provider="wechat", order=topup.number, amount=100, times=0)
    with pytest.raises(CommandError, match="1 differences"):
        call_command("reconcile", "--provider", "wechat", "--date", str(today("wechat")))
    for wrong in ("2026-13-01", "tomorrow", "2099-01-01"):
        with pytest.raises(CommandError):
            call_command("reconcile", "--provider", "wechat", "--date", wrong)


def test_staff_explain_a_difference_and_it_stays_explained(sandbox, customer):
    paid(sandbox, customer, "alipay")
    sandbox.fault("statement_add", provider="alipay", times=0)
    [row] = run("alipay").open
    desk = Client()
    desk.force_login(User.objects.create_superuser("desk@example.org", "a rather long one"))
    page = desk.get(reverse("admin:payments_discrepancy_changelist")).content.decode()
    assert row.key in page
    assert desk.post(reverse("admin:payments_discrepancy_explain", args=[row.pk]), {"note": ""}).status_code == 200
    desk.post(reverse("admin:payments_discrepancy_explain", args=[row.pk]), {"note": "a test of theirs"})
    row.refresh_from_db()
    assert (row.state, row.note) == ("explained", "a test of theirs")


def test_a_file_that_is_not_what_it_says_is_refused():
    text = "\ufeff交易时间,x\r\n`1,`2,`3\r\n".encode()
    packed = gzip.compress(text)
    with pytest.raises(sheets.BadStatement, match="hash"):
        wechat_statement.read_trades(packed, sha1="0" * 40)
    for raw in (b"", b"not gzip", packed[:20]):
        with pytest.raises(sheets.BadStatement):
            wechat_statement.read_trades(raw, sha1="0" * 40)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w") as packing:
        packing.writestr("a.csv", "支付宝交易号,业务类型\n1\n")
        packing.writestr("b.csv", "x")
    for raw in (b"PK", bomb.getvalue()):
        with pytest.raises(sheets.BadStatement):
            alipay_statement.read_trades(raw)
    assert [row.line for row in stripe_statement.read_transactions([{"id": "txn_1"}]).unreadable] == [1]


def test_refunds_of_two_payments_that_bear_one_number_are_two(sandbox, customer, wallet, monkeypatch):
    """Alipay's numbers are unique within a payment alone: the second is not taken for the first."""
    digits = crypto.digits
    monkeypatch.setattr(crypto, "digits", lambda count: "7" * 12 if count == 12 else digits(count))
    topups = [paid(sandbox, customer, "alipay") for _number in range(2)]
    sandbox.fault("drop_notification", provider="alipay", times=0)
    numbers = {sandbox.control("POST", f"/orders/alipay/{t.number}/refund", amount=3560)["number"] for t in topups}
    assert numbers == {"desk777777777777"}
    settle_refunds(topup_id=topups[0].pk, key="desk777777777777", now=timezone.now())
    wallet.refresh_from_db()
    assert wallet.paid == 35
    assert run("alipay").open == []
    wallet.refresh_from_db()
    assert wallet.paid == 30
    assert run("alipay").open == []
    assert audit().drifts == []

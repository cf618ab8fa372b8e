"""Another shop on the same account: its fees and payouts are not ours until finance says that the account is shared."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from billing.audit.run import audit
from billing.models import RefundRequest, Transfer
from core import panels as desk
from payments.models import Discrepancy, Statement, StatementLine, TopUp
from payments.providers import registry
from payments.statements import fetching, reconcile
from tests.payments.conftest import balance, open_topup, pay, provider_number
from tests.payments.refund_steps import pay_by
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db(transaction=True)
MIXED = "Days with another shop's payments"


@pytest.fixture(autouse=True)
def at_once(sandbox):
    sandbox.control("POST", "/settings", bills_at_once=True)


def strangers_charge(sandbox, amount: int = 100_000) -> None:
    """A charge of a shop that knows nothing of us, in cents."""
    price = {"currency": "usd", "unit_amount": amount, "product_data": {"name": "Shoes"}}
    session = registry.get("stripe")._client.v1.checkout.sessions.create(
        {
            "mode": "payment",
            "line_items": [{"quantity": 1, "price_data": price}],
            "success_url": "https://shoes.example",
        }
    )
    sandbox.fault("drop_notification", provider="stripe", times=0)
    sandbox.pay("stripe", session["id"])
    sandbox.clear_faults()


def day():
    return timezone.now().date()


def run() -> reconcile.Result:
    return reconcile.reconcile(provider="stripe", day=day(), now=timezone.now() + timedelta(days=3))


def shown(label: str) -> str:
    panels = desk._panels["payments"][1]()
    return next(figure.value for panel in panels for figure in panel.figures if figure.label == label)


def test_a_strangers_charge_of_1000_posts_neither_its_fee_nor_the_payout_and_turns_a_panel_red(sandbox, customer):
    pay_by(sandbox, customer, "stripe")
    strangers_charge(sandbox)
    sandbox.control("POST", "/payouts/stripe")
    result = run()
    assert [(row.kind, row.theirs) for row in result.open] == [("missing_here", Decimal(1000))]
    assert balance("expense:fees:USD") == Decimal("0.88")  # ours of 20.00 alone
    assert balance("bank:USD") == 0
    assert not Transfer.objects.filter(kind__in=("payout", "others")).exists()
    assert shown(MIXED) == "1"
    assert Statement.objects.get().held_back == 2
    assert audit().drifts == []


def test_when_finance_says_shared_what_is_the_strangers_stands_apart_and_the_payout_is_posted(sandbox, customer):
    pay_by(sandbox, customer, "stripe")
    strangers_charge(sandbox)
    sandbox.control("POST", "/payouts/stripe")
    run()
    page = reverse("admin:payments_statement_share", args=[Statement.objects.get().pk])
    assert at_desk(in_role("support")).post(page, {"note": "x"}).status_code == 403
    for _twice in range(2):
        assert (
            at_desk(in_role("finance", f"f{_twice}@staff.example.org")).post(page, {"note": "shoes"}).status_code == 302
        )
    assert shown(MIXED) == "0"
    assert set(Discrepancy.objects.values_list("state", flat=True)) == {"cured"}
    theirs = Decimal(1000) - Decimal("29.30")
    assert balance("others:stripe:USD") == -theirs
    assert balance("bank:USD") == Decimal(20) - Decimal("0.88") + theirs
    assert balance("clearing:stripe:USD") == 0
    assert audit().drifts == []
    strangers_charge(sandbox, 5_000)  # the account is shared from that day on
    assert run().open == []
    assert shown(MIXED) == "0"


def test_what_was_set_apart_and_turns_out_to_be_ours_is_taken_back(sandbox, customer, monkeypatch):
    monkeypatch.setattr(fetching, "settle_lines", lambda _lines, **kwargs: None)  # the provider gives no answer
    strangers_charge(sandbox)
    topup = pay_by(sandbox, customer, "stripe")
    sandbox.control("POST", "/payouts/stripe")
    by = in_role("finance")
    TopUp.objects.filter(pk=topup.pk).update(transaction_id="pi_lost")
    StatementLine.objects.all().delete()
    run()
    StatementLine.objects.filter(number=topup.number).update(number="")  # as if nothing told whose it is
    reconcile.share(provider="stripe", day=day(), by_id=by.pk, now=timezone.now())
    mine = StatementLine.objects.get(amount=20)
    assert balance("others:stripe:USD") == -(mine.amount - mine.fee) - (Decimal(1000) - Decimal("29.30"))
    TopUp.objects.filter(pk=topup.pk).update(transaction_id=mine.transaction_id)
    for _twice in range(2):
        reconcile.match(provider="stripe", day=day(), now=timezone.now())
    assert balance("others:stripe:USD") == -(Decimal(1000) - Decimal("29.30"))
    assert balance("expense:fees:USD") == Decimal("0.88")
    assert balance("clearing:stripe:USD") == 0


@pytest.mark.parametrize("method", ["alipay", "wechat"])
def test_the_fee_of_a_strangers_trade_is_not_ours_at_the_other_two_and_payouts_wait(sandbox, customer, method):
    topup = pay_by(sandbox, customer, method)
    sandbox.fault("statement_add", provider=method, times=0, amount=100_000)
    sandbox.control("POST", f"/payouts/{method}", amount=5000)
    today = timezone.now().astimezone(reconcile.ZONES[method]).date()
    reconcile.reconcile(provider=method, day=today, now=timezone.now() + timedelta(days=3))
    line = StatementLine.objects.get(transaction_id=topup.transaction_id)
    assert abs(balance("expense:fees:CNY")) == abs(line.fee) > 0
    assert (shown(MIXED), balance("bank:CNY")) == ("1", 0)
    reconcile.share(provider=method, day=today, by_id=in_role("finance").pk, now=timezone.now())
    assert (shown(MIXED), balance("bank:CNY")) == ("0", 50)
    assert audit().drifts == []


def test_what_is_ours_is_settled_however_many_strangers_come_before_it(sandbox, customer, wallet, monkeypatch):
    monkeypatch.setattr(reconcile, "MOST_NAMED", 1)
    strangers_charge(sandbox)
    topup = open_topup(customer, method="stripe")
    sandbox.fault("drop_notification", provider="stripe", times=0)
    sandbox.pay("stripe", provider_number(topup))
    run()
    wallet.refresh_from_db()
    assert wallet.paid == 20


def test_a_payment_of_ours_that_is_not_booked_yet_is_no_strangers_and_its_fee_waits_for_it(sandbox, customer):
    topup = open_topup(customer, method="stripe")
    sandbox.fault("drop_notification", provider="stripe", times=0)
    sandbox.pay("stripe", provider_number(topup))
    sandbox.fault("provider_down", provider="stripe", operation="query", times=0)
    run()
    assert (shown(MIXED), balance("expense:fees:USD")) == ("0", 0)
    sandbox.clear_faults()
    reconcile.match_again(provider="stripe", day=day(), now=timezone.now())
    assert balance("expense:fees:USD") == Decimal("0.88")
    assert TopUp.objects.get().state == "paid"
    assert set(Discrepancy.objects.values_list("state", flat=True)) == {"cured"}


def test_a_day_fetched_before_it_was_over_is_fetched_again(sandbox, customer):
    topup = open_topup(customer, method="stripe")
    pay(sandbox, topup)
    now = timezone.now()
    reconcile.reconcile(provider="stripe", day=day(), now=now)
    assert Statement.objects.get().matched_at is not None
    tomorrow = now + timedelta(days=1)
    assert day() in reconcile.due_days(provider="stripe", now=tomorrow)
    reconcile.reconcile_due(now=tomorrow)
    assert day() not in reconcile.due_days(provider="stripe", now=tomorrow)


def test_days_that_no_provider_gives_any_more_keep_no_newer_ones_waiting(sandbox, customer):
    topup = open_topup(customer, method="stripe")
    TopUp.objects.filter(pk=topup.pk).update(created_at=timezone.now() - timedelta(days=100))
    first = reconcile.due_days(provider="stripe", now=timezone.now())[: reconcile.MOST_DAYS]
    assert first[0] == day() - timedelta(days=1)
    assert first == sorted(first, reverse=True)


def test_a_refund_line_fits_a_part_that_failed_only_if_its_own_failure_line_answers_it(sandbox, customer):
    topup = pay_by(sandbox, customer, "stripe")
    sandbox.fault("refund_bounces", provider="stripe", seconds=0.05)
    made = sandbox.control("POST", f"/orders/stripe/{provider_number(topup)}/refund", amount=500)
    sandbox.wait_until_delivered(order=made["id"], event="refund.failed")
    run()
    lines = {line.kind: line for line in StatementLine.objects.all()}
    assert {"payment", "refund", "refund_failure"} <= set(lines)
    part = topup.refund_parts.first()
    if part is None:
        part = topup.refund_parts.model.objects.create(
            refund=_request(customer), number=1, topup=topup, state="failed", amount=5, charge_amount=5, key="part_x"
        )
    topup.refund_parts.filter(pk=part.pk).update(state="failed", provider_id=lines["refund"].refund_id)
    assert reconcile.match(provider="stripe", day=day(), now=timezone.now()).open == []
    lines["refund_failure"].delete()
    [row] = reconcile.match(provider="stripe", day=day(), now=timezone.now()).open
    assert (row.kind, row.key) == ("missing_here", lines["refund"].key)


def _request(customer):
    return RefundRequest.objects.create(
        customer=customer, number="refund_x", state="denied", amount=5, due_at=timezone.now()
    )

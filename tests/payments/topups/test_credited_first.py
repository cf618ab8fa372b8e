"""A payment that was received is credited first; what follows fails alone, is tried again, and reaches the desk."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.people import customers
from billing.audit.run import audit
from billing.models import RefundRequest
from billing.refunds import deciding
from core import panels as desk
from payments import refunds
from payments.inbox import notifications
from payments.models import ExchangeRate, Notification, TopUp
from payments.providers.base import Outcome, PaymentFact
from payments.topups import late, orders, polling
from tests.gateways import url_of_the_test_database
from tests.payments.conftest import open_topup, provider_number
from tests.payments.dispute_steps import spend
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db(transaction=True)
QR = ("alipay", "wechat")


def expired_and_paid(sandbox, customer, *, method: str, rate: str = "7.60") -> TopUp:
    """A CNY order that was given up and is then paid, after the rate has moved."""
    topup = open_topup(customer, method=method)
    TopUp.objects.filter(pk=topup.pk).update(state="expired", expires_at=timezone.now() - timedelta(minutes=1))
    ExchangeRate.objects.create(rate=Decimal(rate), source="test", created_at=timezone.now())
    sandbox.fault("drop_notification", provider=method, times=0)
    sandbox.pay(method, provider_number(topup), late=True)
    return topup


def fact_of(topup: TopUp, **changes: object) -> PaymentFact:
    values = {"transaction_id": f"tx-{topup.pk}", "amount": topup.charge_amount, "currency": topup.charge_currency}
    return PaymentFact(Outcome.OK, order_number=topup.number, is_ours=True, **{**values, **changes})


def shown(label: str) -> str:
    panels = desk._panels["payments"][1]()
    return next(figure.value for panel in panels for figure in panel.figures if figure.label == label)


def break_down(*_args: object, **_kwargs: object) -> None:
    raise RuntimeError("it broke")


@pytest.mark.parametrize("method", QR)
def test_a_late_payment_at_a_moved_rate_is_credited_though_the_wallet_is_in_debt(sandbox, customer, wallet, method):
    spend(customer, "20")
    topup = expired_and_paid(sandbox, customer, method=method)
    assert orders.settle_topup(topup_id=topup.pk, now=timezone.now()) == "credited"
    topup.refresh_from_db()
    wallet.refresh_from_db()
    assert (topup.state, wallet.paid, wallet.held) == ("paid", 0, 0)
    assert not RefundRequest.objects.exists()
    assert topup.problem == "paid late: 0.00 of 20.00 USD go back, the wallet does not have the rest"
    assert shown("Payments that do not fit") == "1"
    assert audit().drifts == []


def test_of_a_late_payment_what_fits_goes_back_and_the_rest_stays_against_the_debt(sandbox, customer, wallet):
    spend(customer, "5")
    topup = expired_and_paid(sandbox, customer, method="alipay")
    assert orders.settle_topup(topup_id=topup.pk, now=timezone.now()) == "credited"
    [claimed] = refunds.claim_requests(now=timezone.now())
    refunds.send(refund_id=claimed, now=timezone.now())
    for part in RefundRequest.objects.get().parts.all():
        refunds.look(part_id=part.pk, now=timezone.now())
    topup.refresh_from_db()
    wallet.refresh_from_db()
    assert (topup.refunded, topup.refunded_charge, wallet.paid) == (15, Decimal("106.80"), 0)
    assert "15.00 of 20.00 USD go back" in topup.problem
    assert audit().drifts == []


def test_a_problem_goes_away_when_staff_put_it_aside(sandbox, customer, wallet):
    spend(customer, "20")
    topup = expired_and_paid(sandbox, customer, method="alipay")
    orders.settle_topup(topup_id=topup.pk, now=timezone.now())
    page = reverse("admin:payments_topup_put_aside", args=[topup.pk])
    assert at_desk(in_role("support")).post(page, {"note": "x"}).status_code == 403
    assert at_desk(in_role("finance")).post(page, {"note": "written to the customer"}).status_code == 302
    topup.refresh_from_db()
    assert (topup.state, topup.problem, shown("Payments that do not fit")) == ("paid", "", "0")


@pytest.mark.parametrize(("broken", "name"), [(late.fx, "has_moved"), (deciding, "tell"), (late.refunds, "send_back")])
def test_what_follows_a_credit_fails_alone_and_is_tried_again(sandbox, customer, wallet, monkeypatch, broken, name):
    topup = expired_and_paid(sandbox, customer, method="wechat")
    now = timezone.now()
    with monkeypatch.context() as patch:
        patch.setattr(broken, name, break_down)
        assert orders.settle_topup(topup_id=topup.pk, now=now) == "credited"
        wallet.refresh_from_db()
        assert (wallet.paid, wallet.held) == (20, 0)
        for tries in range(2, 4):
            assert shown("Payments that cannot be settled") == "0"
            now += timedelta(hours=1)
            assert polling.claim_due(now=now) == [topup.pk]
            assert polling.poll(topup_id=topup.pk, now=now) == "repeated"
            assert TopUp.objects.get(pk=topup.pk).failures == tries
    assert shown("Payments that cannot be settled") == "1"
    now += timedelta(hours=1)
    assert polling.claim_due(now=now) == [topup.pk]
    polling.poll(topup_id=topup.pk, now=now)
    topup.refresh_from_db()
    wallet.refresh_from_db()
    assert (topup.is_late, topup.next_poll_at, topup.failures, wallet.held) == (False, None, 0, 20)
    assert shown("Payments that cannot be settled") == "0"
    assert RefundRequest.objects.count() == 1
    assert polling.claim_due(now=now + timedelta(days=1)) == []


def test_a_paid_order_that_cannot_be_settled_reaches_the_desk_after_three_tries(sandbox, customer, wallet, monkeypatch):
    topup = expired_and_paid(sandbox, customer, method="alipay", rate="7.12")
    now = timezone.now()
    with monkeypatch.context() as patch:
        patch.setattr(orders, "_post", break_down)
        for tries in range(1, 4):
            assert shown("Payments that cannot be settled") == "0"
            with pytest.raises(RuntimeError):
                polling.poll(topup_id=topup.pk, now=now)
            now += timedelta(hours=1)
            assert polling.claim_due(now=now) == [topup.pk]
            assert TopUp.objects.get(pk=topup.pk).failures == tries
    assert shown("Payments that cannot be settled") == "1"
    assert "it broke" in TopUp.objects.get(pk=topup.pk).failure
    assert polling.poll(topup_id=topup.pk, now=now) == "credited"
    wallet.refresh_from_db()
    assert (wallet.paid, shown("Payments that cannot be settled")) == (20, "0")


@pytest.mark.parametrize("state", ["open", "expired", "failed"])
@pytest.mark.parametrize("method", ["stripe", "alipay"])
def test_a_suspended_customer_s_payment_is_credited_whatever_became_of_the_order(
    sandbox, customer, wallet, method, state
):
    topup = open_topup(customer, method=method)
    TopUp.objects.filter(pk=topup.pk).update(state=state)
    customers.suspend(customer=customer, reason="fraud", now=timezone.now())
    assert orders.credit(topup_id=topup.pk, fact=fact_of(topup), now=timezone.now()) == "credited"
    wallet.refresh_from_db()
    assert wallet.paid == 20


def test_a_second_payment_of_one_order_is_credited_and_flagged(sandbox, customer, wallet):
    topup = open_topup(customer, method="alipay")
    assert orders.credit(topup_id=topup.pk, fact=fact_of(topup), now=timezone.now()) == "credited"
    assert orders.credit(topup_id=topup.pk, fact=fact_of(topup), now=timezone.now()) == "repeated"
    second = fact_of(topup, transaction_id="tx-second")
    assert orders.credit(topup_id=topup.pk, fact=second, now=timezone.now()) == "credited"
    assert shown("Payments that do not fit") == "1"
    wallet.refresh_from_db()
    assert wallet.paid == 40


def test_a_payment_that_does_not_fit_counts_at_the_desk_though_its_order_is_polled_no_more(sandbox, customer):
    topup = open_topup(customer, method="alipay")
    TopUp.objects.filter(pk=topup.pk).update(state="expired", next_poll_at=None)
    sandbox.control("POST", f"/orders/alipay/{topup.number}/report", amount=1)
    sandbox.pay("alipay", topup.number)
    sandbox.wait_until_delivered(order=topup.number, event="TRADE_SUCCESS")
    about = Notification.objects.get(order_number=topup.number)
    assert notifications.process(notification_id=about.pk, now=timezone.now()).outcome == "mismatch"
    assert shown("Payments that do not fit") == "1"


KILLED = """
import django; django.setup()
from datetime import UTC, datetime
from payments.topups import late, orders
def wait(**_kwargs):
    print("credited", flush=True)
    time.sleep(60)
late.decide = wait
from payments.models import TopUp
topup = TopUp.objects.get()
from payments.providers.base import Outcome, PaymentFact
fact = PaymentFact(Outcome.OK, topup.number, "tx-1", topup.charge_amount, topup.charge_currency, True)
orders.credit(topup_id=topup.pk, fact=fact, now=datetime.now(UTC))
"""


@pytest.mark.faults
def test_a_worker_killed_between_credit_and_sending_back_leaves_it_to_the_poller(sandbox, customer, wallet):
    topup = expired_and_paid(sandbox, customer, method="wechat")
    environment = {
        **os.environ,
        "DATABASE_URL": url_of_the_test_database(),
        "DJANGO_SETTINGS_MODULE": "chuizi.settings",
    }
    worker = subprocess.Popen([sys.executable, "-c", KILLED], env=environment, stdout=subprocess.PIPE)
    assert worker.stdout is not None
    assert worker.stdout.readline() == b"credited\n"
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    worker.stdout.close()
    wallet.refresh_from_db()
    assert (wallet.paid, wallet.held) == (20, 0)
    later = timezone.now() + timedelta(minutes=1)
    assert polling.claim_due(now=later) == [topup.pk]
    polling.poll(topup_id=topup.pk, now=later)
    wallet.refresh_from_db()
    assert (wallet.paid, wallet.held, RefundRequest.objects.count()) == (20, 20, 1)
    assert audit().drifts == []

"""Paid after its time: credited at the stored quote while the rate stands, else sent back whole, and told which."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from billing.audit.run import audit
from billing.models import RefundRequest
from payments import refunds
from payments.models import ExchangeRate, TopUp
from payments.topups.orders import Result, settle_topup
from tests.outbox import mails
from tests.payments.conftest import open_topup, provider_number

pytestmark = pytest.mark.django_db(transaction=True)


def paid_late(sandbox, customer, *, method: str, rate: str) -> TopUp:
    topup = open_topup(customer, method=method, amount="20.00")
    TopUp.objects.filter(pk=topup.pk).update(state="expired", expires_at=timezone.now() - timedelta(minutes=1))
    ExchangeRate.objects.create(rate=Decimal(rate), source="test", created_at=timezone.now())
    sandbox.pay(method, provider_number(topup), late=True)
    assert settle_topup(topup_id=topup.pk, now=timezone.now()) is Result.CREDITED
    topup.refresh_from_db()
    return topup


@pytest.mark.parametrize("method", ["alipay", "wechat"])
def test_a_late_payment_is_credited_at_the_stored_quote_while_the_rate_stands(sandbox, customer, wallet, method):
    topup = paid_late(sandbox, customer, method=method, rate="7.2623")  # 2 % less a little
    wallet.refresh_from_db()
    assert (topup.state, wallet.paid, wallet.held) == ("paid", Decimal(20), 0)
    assert not RefundRequest.objects.exists()
    assert audit().drifts == []


@pytest.mark.parametrize("method", ["alipay", "wechat"])
def test_a_late_payment_goes_back_whole_when_the_rate_has_moved_and_cannot_be_spent(sandbox, customer, wallet, method):
    topup = paid_late(sandbox, customer, method=method, rate="7.2624")
    wallet.refresh_from_db()
    assert (wallet.paid, wallet.held, wallet.available) == (Decimal(20), Decimal(20), 0)
    refund = RefundRequest.objects.get()
    assert refund.state == "approved"
    assert "late payment" in mails().exclude(about=topup.number).get().subject
    [claimed] = refunds.claim_requests(now=timezone.now())
    refunds.send(refund_id=claimed, now=timezone.now())
    for _attempt in range(100):
        part = refund.parts.get()
        if part.state == "done":
            break
        refunds.look(part_id=part.pk, now=timezone.now())
    topup.refresh_from_db()
    assert (topup.shown_state, topup.refunded_charge) == ("refunded", topup.charge_amount)
    assert part.topup_id == topup.pk
    assert audit().drifts == []
    browser = Client()
    browser.force_login(User.objects.get())
    assert "goes back to you whole" in browser.get(f"/console/topup/{topup.number}").content.decode()


def test_a_card_paid_late_is_credited_as_no_rate_is_in_it(sandbox, customer, wallet):
    topup = paid_late(sandbox, customer, method="stripe", rate="9.00")
    assert topup.state == "paid"
    assert not RefundRequest.objects.exists()

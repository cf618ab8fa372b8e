"""The inbox: forgeries, probes, strangers and repeats each end in a recorded outcome, never in a credit or a 500."""

import pytest
from django.utils import timezone

from payments.inbox import notifications
from payments.models import Notification
from payments.topups import polling
from tests.payments.conftest import METHODS, open_topup, pay_at, process_inbox

NOTIFIED = {
    "stripe": "/payments/stripe/webhook",
    "alipay": "/payments/alipay/notify",
    "wechat": "/payments/wechat/notify",
}


@pytest.mark.parametrize(("method", "status"), [("stripe", 400), ("alipay", 400), ("wechat", 401)])
@pytest.mark.parametrize("body", [b"", b"{}", b"out_trade_no=1&sign=x&sign_type=RSA2", b"\xff\xfe", b"[" * 1000])
def test_an_unsigned_notification_is_refused_and_not_stored(client, sandbox, method, status, body):
    answer = client.post(NOTIFIED[method], body, content_type="application/json")
    assert answer.status_code == status
    assert Notification.objects.count() == 0


# Alipay signs no timestamp that is to be compared.
@pytest.mark.parametrize(
    ("method", "fault"),
    [*((method, "bad_signature") for method in METHODS), ("stripe", "stale_timestamp"), ("wechat", "stale_timestamp")],
)
def test_a_forged_or_stale_notification_credits_nothing(sandbox, customer, wallet, method, fault):
    sandbox.fault(fault, provider=method, times=0)
    topup = open_topup(customer, method=method)
    with pytest.raises(TimeoutError):
        pay_at(sandbox, topup, seconds=1)
    sandbox.clear_faults()
    assert not Notification.objects.filter(order_number=topup.number).exists()
    wallet.refresh_from_db()
    assert wallet.paid == 0


def test_wechats_signature_probe_is_refused(sandbox, customer, wallet):
    sandbox.fault("signature_probe", provider="wechat", times=1)
    topup = open_topup(customer, method="wechat")
    pay_at(sandbox, topup)  # the true one comes after the probe
    assert [n.outcome for n in process_inbox()] == ["credited"]
    wallet.refresh_from_db()
    assert wallet.paid == 20


@pytest.mark.parametrize("method", METHODS)
def test_an_order_that_is_not_ours_is_recorded_as_unknown(sandbox, customer, method):
    topup = open_topup(customer, method=method)
    type(topup).objects.filter(pk=topup.pk).update(number="topup_elsewhere")
    pay_at(sandbox, topup)
    assert {n.outcome for n in process_inbox()} - {"ignored"} == {"unknown_order"}


def test_a_signed_event_of_one_provider_does_not_credit_an_order_of_another(sandbox, customer, wallet):
    topup = open_topup(customer, method="alipay")
    stored = Notification.objects.create(
        provider="stripe", key="evt_1", kind="checkout.session.completed", order_number=topup.number, body="{}"
    )
    done = notifications.process(notification_id=stored.pk, now=timezone.now())
    wallet.refresh_from_db()
    assert (done.outcome, wallet.paid) == ("mismatch", 0)


def test_a_body_over_256_kb_is_413(client, sandbox):
    answer = client.post(NOTIFIED["stripe"], b"x" * 256_001, content_type="application/json")
    assert answer.status_code == 413


@pytest.mark.parametrize("method", METHODS)
def test_what_is_stored_holds_no_secret_of_ours(sandbox, customer, settings, method):
    topup = open_topup(customer, method=method)
    pay_at(sandbox, topup)
    stored = Notification.objects.get(order_number=topup.number)
    text = f"{stored.headers}{stored.body}"
    assert settings.PAYMENT_VARIABLES["STRIPE_SECRET_KEY"] not in text
    assert settings.PAYMENT_VARIABLES["WECHATPAY_APIV3_KEY"] not in text


def test_a_lost_task_is_made_up_for_by_the_sweep(sandbox, customer, wallet):
    topup = open_topup(customer, method="alipay")
    pay_at(sandbox, topup)
    assert notifications.claim_unprocessed(now=timezone.now()) == []
    later = timezone.now() + notifications.FIRST_RETRY
    [waiting] = notifications.claim_unprocessed(now=later)
    assert notifications.claim_unprocessed(now=later) == []  # another sweep leaves it to the first
    notifications.process(notification_id=waiting, now=timezone.now())
    wallet.refresh_from_db()
    assert wallet.paid == 20


def test_a_notification_before_the_payment_is_visible_stays_pending_and_the_poller_credits(sandbox, customer, wallet):
    topup = open_topup(customer, method="stripe")
    stored = Notification.objects.create(
        provider="stripe", key="evt_2", kind="checkout.session.completed", order_number=topup.number, body="{}"
    )
    assert notifications.process(notification_id=stored.pk, now=timezone.now()).outcome == "pending"
    sandbox.fault("drop_notification", provider="stripe", times=0)
    sandbox.pay("stripe", topup.reference)
    assert polling.poll(topup_id=topup.pk, now=timezone.now()) == "credited"
    sandbox.clear_faults()

"""What goes wrong with top-ups in other gateways, sentence by sentence, and what happens here instead."""

import hashlib
import hmac
import json
import threading
import time
from datetime import timedelta
from decimal import Decimal
from urllib.parse import urlsplit

import pytest
from celery import current_app
from django.db import DatabaseError, connection
from django.urls import resolve
from django.utils import timezone

from billing.models import Transfer
from payments import tasks
from payments.inbox import notifications
from payments.models import Notification, TopUp
from payments.topups import orders, polling
from tests.payments.conftest import METHODS, open_topup, pay, pay_at, process_inbox, provider_number


def stripe_event(number: str, *, secret: str) -> tuple[bytes, dict[str, str]]:
    """`checkout.session.completed` for an order, signed as Stripe signs."""
    session = {"id": "cs_forged", "object": "checkout.session", "client_reference_id": number, "payment_status": "paid"}
    event = {"id": "evt_forged", "object": "event", "type": "checkout.session.completed", "data": {"object": session}}
    body = json.dumps(event).encode()
    stamp = int(time.time())
    signature = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return body, {"Stripe-Signature": f"t={stamp},v1={signature}"}


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_guessed"])
def test_a_stripe_event_forged_with_an_empty_secret_is_refused(client, sandbox, customer, wallet, secret):
    topup = open_topup(customer, method="alipay")
    body, headers = stripe_event(topup.number, secret=secret)
    answer = client.post("/payments/stripe/webhook", body, content_type="application/json", headers=headers)
    assert (answer.status_code, Notification.objects.count()) == (400, 0)
    wallet.refresh_from_db()
    assert wallet.paid == 0


@pytest.mark.parametrize("method", METHODS)
def test_a_signed_stripe_event_credits_neither_an_unpaid_order_nor_one_of_another_provider(
    client, sandbox, customer, wallet, settings, method
):
    topup = open_topup(customer, method=method)
    body, headers = stripe_event(topup.number, secret=settings.PAYMENT_VARIABLES["STRIPE_WEBHOOK_SECRET"])
    answer = client.post("/payments/stripe/webhook", body, content_type="application/json", headers=headers)
    assert answer.status_code == 200
    assert [n.outcome for n in process_inbox()] == ["pending" if method == "stripe" else "mismatch"]
    wallet.refresh_from_db()
    assert (wallet.paid, Transfer.objects.filter(kind__startswith="topup").exists()) == (0, False)


@pytest.mark.parametrize("method", METHODS)
def test_the_address_a_provider_calls_is_a_door_without_a_redirect(client, sandbox, customer, method):
    order = orders.order_of(open_topup(customer, method=method))
    path = urlsplit(order.notify_url).path
    assert resolve(path).func
    assert client.post(path, b"x", content_type="application/json").status_code in (400, 401)


@pytest.mark.parametrize("method", METHODS)
def test_paid_page_closed_notification_lost_is_credited_within_seconds_not_at_order_timeout(
    sandbox, customer, wallet, method
):
    sandbox.fault("drop_notification", provider=method, times=0)
    topup = open_topup(customer, method=method)
    sandbox.pay(method, provider_number(topup))
    asked = polling.claim_due(now=topup.created_at + timedelta(seconds=4))
    assert [polling.poll(topup_id=pk, now=timezone.now()) for pk in asked] == ["credited"]
    wallet.refresh_from_db()
    assert wallet.paid == 20


NOTIFIED = {
    "stripe": "/payments/stripe/webhook",
    "alipay": "/payments/alipay/notify",
    "wechat": "/payments/wechat/notify",
}


@pytest.mark.parametrize("method", METHODS)
def test_success_is_not_answered_before_the_notification_is_stored(sandbox, customer, wallet, method, monkeypatch):
    create, failures = Notification.objects.create, []

    def fail_once(**fields):
        if fields["order_number"] and not failures:
            failures.append(1)
            raise DatabaseError("the database is away")
        return create(**fields)

    monkeypatch.setattr(Notification.objects, "create", fail_once)
    topup = open_topup(customer, method=method)
    pay(sandbox, topup)
    tries = [len(sent["tries"]) for sent in sandbox.notifications(order=provider_number(topup))]
    assert failures
    assert max(tries) == 2  # refused with a 500, so sent again
    wallet.refresh_from_db()
    assert wallet.paid == 20


@pytest.mark.parametrize("method", METHODS)
def test_state_and_credit_are_one_transaction_and_a_failed_credit_is_tried_again(
    sandbox, customer, wallet, method, monkeypatch
):
    topup = open_topup(customer, method=method)
    pay_at(sandbox, topup)
    about = Notification.objects.filter(order_number=topup.number, processed_at=None).latest("pk")
    with monkeypatch.context() as patch:
        patch.setattr(orders, "post", lambda *_a, **_k: (_ for _ in ()).throw(DatabaseError("no space")))
        with pytest.raises(DatabaseError):
            notifications.process(notification_id=about.pk, now=timezone.now())
    topup.refresh_from_db()
    about.refresh_from_db()
    assert (topup.state, topup.transaction_id, about.processed_at) == ("open", "", None)
    later = timezone.now() + timedelta(minutes=1)
    assert about.pk in notifications.claim_unprocessed(now=later)
    assert notifications.process(notification_id=about.pk, now=later).outcome == "credited"
    wallet.refresh_from_db()
    assert (wallet.paid, wallet.topped_up) == (20, True)


@pytest.mark.parametrize("method", METHODS)
def test_notifications_pollers_and_success_pages_at_once_credit_once(sandbox, customer, wallet, method):
    sandbox.fault("repeat_notification", provider=method, times=1, count=2)
    topup = open_topup(customer, method=method)
    pay_at(sandbox, topup)
    about = Notification.objects.filter(order_number=topup.number).latest("pk")
    now, results, gate = timezone.now(), [], threading.Barrier(9)

    def run(act) -> None:
        gate.wait(10)
        try:
            results.append(act())
        finally:
            connection.close()

    acts = [
        *[lambda: notifications.process(notification_id=about.pk, now=now).outcome] * 3,
        *[lambda: polling.poll(topup_id=topup.pk, now=now)] * 3,
        *[lambda: orders.settle_topup(topup_id=topup.pk, now=now)] * 3,
    ]
    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 9
    assert set(results) <= {"credited", "repeated"}
    wallet.refresh_from_db()
    assert wallet.paid == 20
    assert Transfer.objects.filter(kind="topup").count() == 1


def test_a_completed_session_whose_payment_status_is_unpaid_credits_nothing(sandbox, customer, wallet, monkeypatch):
    topup = open_topup(customer, method="stripe")
    provider = orders.registry.get("stripe")
    call = provider._call

    def unpaid(act):
        session = call(act)
        session["payment_status"], session["status"] = "unpaid", "complete"
        return session

    monkeypatch.setattr(provider, "_call", unpaid)
    sandbox.pay("stripe", topup.reference)
    assert orders.settle_topup(topup_id=topup.pk, now=timezone.now()) == "pending"
    wallet.refresh_from_db()
    assert wallet.paid == 0


@pytest.mark.parametrize("method", METHODS)
def test_a_session_of_another_order_or_merchant_credits_nothing(sandbox, customer, wallet, method, monkeypatch):
    paid, unpaid = (open_topup(customer, method=method) for _ in range(2))
    pay(sandbox, paid)
    provider, fetch = orders.registry.get(method), orders.registry.get(method).fetch_payment
    paid.refresh_from_db()
    monkeypatch.setattr(provider, "fetch_payment", lambda **_: fetch(number=paid.number, reference=paid.reference))
    assert orders.settle_topup(topup_id=unpaid.pk, now=timezone.now()) == "mismatch"
    wallet.refresh_from_db()
    assert wallet.paid == 20


@pytest.fixture
def broker_down(monkeypatch, tmp_path):
    """Celery with an address at which nothing listens."""
    with monkeypatch.context() as patch:
        patch.setenv("CELERY_BROKER_URL", f"redis+socket://{tmp_path}/nothing.sock?virtual_host=0")
        current_app.amqp._producer_pool = None
        yield
    current_app.amqp._producer_pool = None


@pytest.mark.parametrize("method", METHODS)
def test_a_broker_that_is_down_neither_refuses_nor_loses_a_notification(broker_down, sandbox, customer, wallet, method):
    with pytest.raises(tasks.OperationalError):
        tasks.poll_topup.delay(1)  # so that this test does test something
    topup = open_topup(customer, method=method)
    pay_at(sandbox, topup)
    found = notifications.claim_unprocessed(now=timezone.now() + notifications.FIRST_RETRY)
    assert "credited" in {notifications.process(notification_id=pk, now=timezone.now()).outcome for pk in found}
    wallet.refresh_from_db()
    assert wallet.paid == Decimal(20)
    assert TopUp.objects.get().state == "paid"

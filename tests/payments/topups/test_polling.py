"""Asking the provider: nobody waits for a notification that was lost, and no answer is never taken for a no."""

from datetime import timedelta

import pytest
from django.utils import timezone

from chuizi.celery import app
from payments.inbox import notifications
from payments.models import Notification, TopUp
from payments.providers import registry
from payments.tasks import poll_topups
from payments.topups import polling
from tests.payments.conftest import METHODS, open_topup, pay_at, provider_number


@pytest.mark.parametrize("method", METHODS)
def test_paid_page_closed_and_notification_lost_the_poller_credits(sandbox, customer, wallet, method):
    sandbox.fault("drop_notification", provider=method, times=0)
    topup = open_topup(customer, method=method)
    sandbox.pay(method, provider_number(topup))
    assert polling.claim_due(now=timezone.now()) == []  # not yet its turn
    assert polling.claim_due(now=timezone.now() + timedelta(seconds=4)) == [topup.pk]
    assert polling.poll(topup_id=topup.pk, now=timezone.now()) == "credited"
    sandbox.clear_faults()
    wallet.refresh_from_db()
    assert wallet.paid == 20


@pytest.mark.parametrize("method", METHODS)
def test_an_order_nobody_pays_expires_and_is_closed_at_the_provider(sandbox, customer, method):
    topup = open_topup(customer, method=method)
    later = topup.expires_at + polling.GRACE
    assert polling.poll(topup_id=topup.pk, now=later) == "closed"
    topup.refresh_from_db()
    assert topup.state == "expired"


def test_two_pollers_take_different_orders(sandbox, customer):
    for _ in range(4):
        open_topup(customer, method="alipay")
    soon = timezone.now() + timedelta(seconds=5)
    first, second = polling.claim_due(now=soon, most=3), polling.claim_due(now=soon, most=3)
    assert (len(first), len(second)) == (3, 1)
    assert not set(first) & set(second)
    poll_topups()  # hands over to the broker without a word


def test_a_watched_order_is_asked_about_before_thousands_that_nobody_watches(sandbox, customer):
    topup = open_topup(customer, method="alipay")
    now = timezone.now()
    values = {
        name: getattr(topup, name) for name in ("customer", "method", "amount", "charge_amount", "charge_currency")
    }
    values |= {"fx_rate": topup.fx_rate, "request": {}, "created_at": now, "changed_at": now, "next_poll_at": now}
    values |= {"expires_at": now + timedelta(minutes=15)}
    TopUp.objects.bulk_create(TopUp(number=f"many{number}", **values) for number in range(2_000))
    polling.watch(topup=topup, now=now)
    later = now + polling.WHILE_WATCHED
    first = polling.claim_due(now=later, most=200)
    assert (len(first), first[0]) == (200, topup.pk)
    rest = [pk for _ in range(9) for pk in polling.claim_due(now=later, most=200)]
    assert len(set(first) | set(rest)) == 2_000
    assert polling.claim_due(now=later, most=200) == [TopUp.objects.order_by("pk").last().pk]


def test_polls_have_a_queue_of_their_own_so_that_no_other_task_waits_behind_them():
    router = app.amqp.router
    queues = {name: router.route({}, f"payments.tasks.{name}")["queue"].name for name in ("poll_topup", "send_refund")}
    queues |= {"process": router.route({}, "payments.tasks.process_notification")["queue"].name}
    assert queues == {"poll_topup": "polling", "send_refund": "payments", "process": "payments"}


def test_polling_grows_slower_and_a_watching_page_quickens_it(sandbox, customer):
    topup = open_topup(customer, method="wechat")
    now = topup.created_at
    assert polling.next_turn(topup, now=now) == now + timedelta(seconds=20)
    later = now + timedelta(minutes=11)
    assert polling.next_turn(topup, now=later) == later + timedelta(minutes=2)
    polling.watch(topup=topup, now=now)
    topup.refresh_from_db()
    assert polling.next_turn(topup, now=now) == now + timedelta(seconds=3)


@pytest.mark.parametrize("method", METHODS)
def test_a_provider_that_is_down_leaves_an_order_that_the_poller_brings_up(sandbox, customer, method):
    sandbox.fault("provider_down", provider=method, times=0)
    topup = open_topup(customer, method=method)
    assert (topup.state, topup.checkout_url, topup.qr_code) == ("open", "", "")
    sandbox.clear_faults()
    assert polling.poll(topup_id=topup.pk, now=timezone.now()) == "pending"
    topup.refresh_from_db()
    assert topup.checkout_url or topup.qr_code


@pytest.mark.parametrize("method", METHODS)
def test_an_order_is_not_given_up_while_its_provider_does_not_answer(sandbox, customer, wallet, method):
    topup = open_topup(customer, method=method)
    sandbox.fault("drop_notification", provider=method, times=0)
    sandbox.pay(method, provider_number(topup))
    sandbox.fault("provider_down", provider=method, times=0)
    late = topup.expires_at + polling.GRACE
    assert polling.poll(topup_id=topup.pk, now=late) == "unknown"
    topup.refresh_from_db()
    assert topup.state == "open"
    sandbox.clear_faults()
    assert polling.poll(topup_id=topup.pk, now=late) == "credited"
    wallet.refresh_from_db()
    assert wallet.paid == 20


@pytest.mark.parametrize("method", METHODS)
def test_paid_between_the_last_question_and_the_close_is_credited(sandbox, customer, wallet, method, monkeypatch):
    topup = open_topup(customer, method=method)
    sandbox.fault("drop_notification", provider=method, times=0)
    close = registry.get(method).close

    def pay_and_close(**names):
        sandbox.pay(method, provider_number(topup))
        close(**names)

    monkeypatch.setattr(registry.get(method), "close", pay_and_close)
    assert polling.poll(topup_id=topup.pk, now=topup.expires_at + polling.GRACE) == "credited"
    wallet.refresh_from_db()
    assert wallet.paid == 20


@pytest.mark.parametrize("method", METHODS)
def test_a_late_payment_whose_notification_is_lost_is_found_by_looking_again(sandbox, customer, wallet, method):
    topup = open_topup(customer, method=method)
    TopUp.objects.filter(pk=topup.pk).update(state="expired")
    sandbox.fault("drop_notification", provider=method, times=0)
    sandbox.pay(method, provider_number(topup))
    assert polling.poll(topup_id=topup.pk, now=topup.expires_at + timedelta(minutes=5)) == "credited"
    topup.refresh_from_db()
    wallet.refresh_from_db()
    assert (topup.state, topup.next_poll_at, wallet.paid) == ("paid", None, 20)


def test_an_order_that_was_given_up_is_looked_at_four_times_more(sandbox, customer):
    topup = open_topup(customer, method="alipay")
    topup.state, looks, at = "expired", [], topup.expires_at
    while (at := polling.next_turn(topup, now=at)) is not None:
        looks.append(at - topup.expires_at)
    assert tuple(looks) == polling.AFTERWARDS


@pytest.mark.parametrize("method", METHODS)
def test_a_late_notification_is_tried_again_until_the_provider_answers(sandbox, customer, wallet, method):
    topup = open_topup(customer, method=method)
    TopUp.objects.filter(pk=topup.pk).update(state="expired")
    pay_at(sandbox, topup)
    sandbox.fault("provider_down", provider=method, times=0)
    about = Notification.objects.filter(order_number=topup.number).latest("pk")
    now, waits = timezone.now(), []
    for _ in range(3):
        tried = notifications.process(notification_id=about.pk, now=now)
        assert (tried.processed_at, tried.outcome) == (None, "")
        assert about.pk not in notifications.claim_unprocessed(now=tried.retry_at - timedelta(seconds=1))
        waits.append((tried.retry_at - now).total_seconds())
        now = tried.retry_at
    assert waits == [10, 20, 40]
    sandbox.clear_faults()
    assert about.pk in notifications.claim_unprocessed(now=now)
    assert notifications.process(notification_id=about.pk, now=now).outcome == "credited"
    wallet.refresh_from_db()
    assert wallet.paid == 20


@pytest.mark.parametrize("method", METHODS)
def test_a_checkout_that_took_effect_without_an_answer_is_the_same_one_next_time(impatient, sandbox, customer, method):
    sandbox.fault("time_out_after_success", provider=method, operation="create", seconds=2)
    topup = open_topup(customer, method=method)
    assert (topup.state, bool(topup.qr_code)) == ("open", False)  # Stripe's SDK has tried again by itself
    assert polling.poll(topup_id=topup.pk, now=timezone.now()) == "pending"
    topup.refresh_from_db()
    assert topup.checkout_url or topup.qr_code
    assert len([o for o in sandbox.control("GET", "/orders")["orders"] if o["provider"] == method]) == 1


def test_a_provider_that_was_switched_off_leaves_its_orders_as_they_are(sandbox, customer, settings):
    topup = open_topup(customer, method="alipay")
    settings.PAYMENT_VARIABLES = {
        name: "" if name.startswith("ALIPAY_") else value for name, value in settings.PAYMENT_VARIABLES.items()
    }
    assert polling.poll(topup_id=topup.pk, now=topup.expires_at + polling.GRACE) == "unknown"
    topup.refresh_from_db()
    assert topup.state == "open"

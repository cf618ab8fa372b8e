"""Top-ups by each method against the sandbox, through the real SDKs."""

import threading
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from billing.audit.run import audit
from billing.models import Transfer, Wallet
from payments.models import ExchangeRate, Notification, TopUp
from payments.providers import registry
from payments.providers.base import Outcome, PaymentFact
from payments.topups import orders, quotes
from tests.payments.conftest import METHODS, open_topup, pay, process_inbox, provider_number


@pytest.mark.parametrize("method", METHODS)
def test_a_paid_order_is_credited_once_and_the_books_say_how(sandbox, customer, wallet, method):
    topup = open_topup(customer, method=method)
    assert (topup.state, bool(topup.checkout_url or topup.qr_code)) == ("open", True)
    pay(sandbox, topup)
    topup.refresh_from_db()
    wallet.refresh_from_db()
    assert (topup.state, topup.shown_state, topup.problem) == ("paid", "paid", "")
    assert topup.transaction_id
    assert (wallet.paid, wallet.bonus, wallet.topped_up) == (20, 0, True)
    keys = list(Transfer.objects.order_by("id").values_list("key", "debit__name", "credit__name", "amount", "currency"))
    paid = f"customer:{customer.pk}:paid"
    if method == "stripe":
        assert keys == [(f"topup:{topup.pk}", "clearing:stripe:USD", paid, Decimal(20), "USD")]
    else:
        assert topup.charge_amount == Decimal("142.40")
        assert keys == [
            (f"topup:{topup.pk}:CNY", f"clearing:{method}:CNY", "fx:CNY", Decimal("142.40"), "CNY"),
            (f"topup:{topup.pk}:USD", "fx:USD", paid, Decimal(20), "USD"),
        ]
    assert audit().drifts == []


def test_an_order_is_in_the_customers_language_unless_a_page_says_otherwise(sandbox, customer):
    customer.members.update(language="zh-hans")
    assert open_topup(customer, method="stripe").request["locale"] == "zh-hans"


@pytest.mark.parametrize("method", METHODS)
def test_notification_poller_and_success_page_at_once_credit_once(sandbox, customer, wallet, method):
    sandbox.fault("drop_notification", provider=method, times=0)
    topup = open_topup(customer, method=method)
    sandbox.pay(method, provider_number(topup))
    results = []

    def settle() -> None:
        results.append(orders.settle_topup(topup_id=topup.pk, now=timezone.now()))
        connection.close()

    threads = [threading.Thread(target=settle) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sandbox.clear_faults()
    assert sorted(results) == ["credited"] + ["repeated"] * 7
    wallet.refresh_from_db()
    assert wallet.paid == 20


@pytest.mark.parametrize("method", METHODS)
def test_a_repeated_notification_credits_the_wallet_once(sandbox, customer, wallet, method):
    sandbox.fault("repeat_notification", provider=method, times=3)
    topup = open_topup(customer, method=method)
    pay(sandbox, topup)
    process_inbox()
    for notification in Notification.objects.all():
        Notification.objects.filter(pk=notification.pk).update(processed_at=None)
    assert {n.outcome for n in process_inbox()} <= {"repeated", "ignored"}
    wallet.refresh_from_db()
    assert wallet.paid == 20


@pytest.mark.parametrize("method", METHODS)
def test_a_payment_after_the_order_expired_is_not_dropped(sandbox, customer, wallet, method):
    topup = open_topup(customer, method=method)
    TopUp.objects.filter(pk=topup.pk).update(state="expired")
    pay(sandbox, topup)
    topup.refresh_from_db()
    wallet.refresh_from_db()
    assert (topup.state, wallet.paid) == ("paid", 20)


def fact(topup: TopUp, **changes) -> PaymentFact:
    right = {
        "outcome": Outcome.OK,
        "order_number": topup.number,
        "transaction_id": "tx-1",
        "amount": topup.charge_amount,
        "currency": topup.charge_currency,
        "is_ours": True,
    }
    return PaymentFact(**{**right, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": Decimal("0.01")},
        {"currency": "JPY"},
        {"is_ours": False},
        {"order_number": "topup_other"},
        {"transaction_id": ""},
    ],
)
def test_amount_currency_merchant_and_order_are_compared(sandbox, customer, wallet, changes):
    topup = open_topup(customer, method="alipay")
    assert orders.credit(topup_id=topup.pk, fact=fact(topup, **changes), now=timezone.now()) == "mismatch"
    topup.refresh_from_db()
    wallet.refresh_from_db()
    assert (topup.state, bool(topup.problem), wallet.paid) == ("open", True, 0)


def test_one_payment_does_not_pay_two_orders(sandbox, customer, wallet):
    first, second = (open_topup(customer, method="alipay") for _ in range(2))
    assert orders.credit(topup_id=first.pk, fact=fact(first), now=timezone.now()) == "credited"
    assert orders.credit(topup_id=second.pk, fact=fact(second), now=timezone.now()) == "mismatch"
    wallet.refresh_from_db()
    assert wallet.paid == 20


@pytest.mark.parametrize("method", METHODS)
def test_the_amount_the_provider_reports_is_what_counts(sandbox, customer, wallet, method):
    topup = open_topup(customer, method=method)
    sandbox.control("POST", f"/orders/{method}/{provider_number(topup)}/report", amount=1)
    sandbox.pay(method, provider_number(topup))
    assert orders.settle_topup(topup_id=topup.pk, now=timezone.now()) == "mismatch"
    wallet.refresh_from_db()
    assert wallet.paid == 0


def test_the_rate_is_locked_in_the_order(sandbox, customer, wallet):
    topup = open_topup(customer, method="alipay", amount="1.00")
    ExchangeRate.objects.create(rate="9.9", source="staff")
    assert (topup.charge_amount, topup.fx_rate) == (Decimal("7.12"), Decimal("7.12"))
    pay(sandbox, topup)
    wallet.refresh_from_db()
    assert wallet.paid == 1
    assert open_topup(customer, method="alipay", amount="1.00").charge_amount == Decimal("9.90")


def test_only_the_first_payment_marks_the_wallet_as_topped_up(sandbox, customer):
    assert not Wallet.objects.get(customer=customer).topped_up
    pay(sandbox, open_topup(customer, method="stripe"))
    assert Wallet.objects.get(customer=customer).topped_up


def test_a_method_that_is_off_is_not_offered(sandbox, customer, settings):
    settings.PAYMENT_VARIABLES = {n: v for n, v in settings.PAYMENT_VARIABLES.items() if not n.startswith("STRIPE")} | {
        "STRIPE_SECRET_KEY": "",
        "STRIPE_WEBHOOK_SECRET": "",
        "STRIPE_API_BASE": "",
    }
    assert quotes.methods() == ["alipay", "wechat"]
    assert set(registry.providers()) == {"alipay", "wechat"}

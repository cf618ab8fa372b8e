"""Refunds that the operator began in a provider's dashboard, and early fraud warnings, through the sandbox."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import Customer, User
from billing import refunds
from billing.audit.run import audit
from billing.books.ledger import Posting, house_account, post
from billing.models import LedgerAccount, RefundRequest, Transfer, Wallet
from payments import refunds as refunding
from payments.disputes import cases, fraud_warnings
from payments.inbox import catch_up, notifications
from payments.models import FraudWarning, Notification, RefundPart, TopUp
from payments.refunds import external
from tests.outbox import mails
from tests.payments.conftest import METHODS, open_topup, pay, process_inbox, provider_number
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.django_db(transaction=True)

TOLD = {"stripe": "refund.created", "alipay": "refund.", "wechat": "REFUND."}


def paid_by(sandbox: SandboxServer, customer: Customer, method: str) -> TopUp:
    topup = open_topup(customer, method=method, amount="20.00")
    pay(sandbox, topup)
    topup.refresh_from_db()
    assert topup.state == TopUp.State.PAID
    return topup


def refund_there(sandbox: SandboxServer, topup: TopUp, charge: Decimal) -> dict[str, Any]:
    """The operator presses the provider's own button; its notification is in our inbox afterwards."""
    order = f"/orders/{topup.method}/{provider_number(topup)}"
    refund = sandbox.control("POST", f"{order}/refund", amount=int(charge * 100))
    sandbox.wait_until_delivered(order=provider_number(topup), event=TOLD[topup.method])
    return refund


def settle(topup: TopUp, refund: dict[str, Any]) -> list[RefundRequest]:
    return external.settle_refunds(topup_id=topup.pk, key=refund.get("number", ""), now=timezone.now())


def balance(name: str) -> Decimal:
    account = LedgerAccount.objects.get(name=name)
    return sum((t.amount for t in account.credits.all()), Decimal(0)) - sum(
        (t.amount for t in account.debits.all()), Decimal(0)
    )


def drifts() -> list[str]:
    return audit().drifts


@pytest.mark.parametrize("method", METHODS)
def test_a_refund_started_at_the_provider_is_unknown_here(sandbox, customer, method):
    """It is found, and booked once: by its notification, by every repeat of it, and by asking."""
    topup = paid_by(sandbox, customer, method)
    quarter = (topup.charge_amount / 4).quantize(Decimal("0.01"))
    refund = refund_there(sandbox, topup, quarter)
    process_inbox()
    found = RefundRequest.objects.get()
    assert (found.state, found.origin) == (RefundRequest.State.EXTERNAL, RefundRequest.Origin.PROVIDER)
    assert (found.amount, found.returned) == (Decimal("5.00"), Decimal("5.00"))
    [part] = found.parts.all()
    assert (part.state, part.charge_amount, part.charge_currency) == ("done", quarter, topup.charge_currency)
    topup.refresh_from_db()
    assert (topup.refunded, topup.refunded_charge) == (Decimal("5.00"), quarter)
    assert Wallet.objects.get(customer=customer).paid == 15
    assert balance("refunds:in_transit") == 0
    assert balance(f"clearing:{method}:{topup.charge_currency}") == -(topup.charge_amount - quarter)
    told = Notification.objects.filter(outcome=Notification.Outcome.BOOKED)
    assert [n.topup for n in told] == [topup]
    for notification in Notification.objects.all():
        notifications.process(notification_id=notification.pk, now=timezone.now())
    assert settle(topup, refund) == []
    assert RefundRequest.objects.count() == 1
    assert drifts() == []


@pytest.mark.parametrize("method", METHODS)
def test_a_refund_started_at_the_provider_may_take_a_spent_wallet_below_zero(sandbox, customer, method):
    topup = paid_by(sandbox, customer, method)
    wallet = Wallet.objects.get(customer=customer)
    spent = Posting("gen-x:paid", "others", wallet.paid_account, house_account("revenue:usage"), Decimal("12.00000000"))
    post([spent], now=timezone.now())
    refund_there(sandbox, topup, topup.charge_amount)
    process_inbox()
    wallet.refresh_from_db()
    topup.refresh_from_db()
    assert (wallet.paid, topup.shown_state) == (-12, "refunded")
    assert drifts() == []


@pytest.mark.parametrize("method", METHODS)
def test_refunds_started_at_the_provider_in_many_parts_end_at_the_whole(sandbox, customer, method):
    topup = paid_by(sandbox, customer, method)
    for charge in (Decimal("0.01"), Decimal("0.02"), Decimal("1.37"), None):
        topup.refresh_from_db()
        left = topup.charge_amount - topup.refunded_charge
        refund = refund_there(sandbox, topup, left if charge is None else charge)
        settle_all(sandbox, topup, refund)
        assert drifts() == []
    topup.refresh_from_db()
    assert (topup.refunded, topup.refunded_charge) == (topup.amount, topup.charge_amount)
    assert Wallet.objects.get(customer=customer).paid == 0


def settle_all(sandbox: SandboxServer, topup: TopUp, refund: dict[str, Any]) -> None:
    if topup.method != "stripe":
        sandbox.control("POST", f"/refunds/{topup.method}/{refund['number']}/done")
    settle(topup, {"number": refund.get("number", "")})


def test_our_refund_after_one_started_at_the_provider_pays_back_the_rest(sandbox, customer):
    topup = paid_by(sandbox, customer, "alipay")
    settle(topup, refund_there(sandbox, topup, Decimal("50.01")))
    rest = refunds.refundable(customer_id=customer.pk).amount
    request = refunds.ask(customer=customer, amount=rest, reason="rest", now=timezone.now())
    clerk = User.objects.create_user("clerk@example.org", "a rather long one", is_staff=True)
    refunds.approve(refund_id=request.pk, amount=rest, by=clerk, now=timezone.now())
    refunding.send(refund_id=request.pk, now=timezone.now())
    topup.refresh_from_db()
    assert (topup.refunded, topup.refunded_charge) == (topup.amount, topup.charge_amount)
    assert drifts() == []


def test_a_refund_of_ours_is_not_taken_for_one_of_the_providers(impatient, sandbox, customer):
    topup = paid_by(sandbox, customer, "stripe")
    request = refunds.ask(customer=customer, amount="8.00", reason="not needed", now=timezone.now())
    clerk = User.objects.create_user("clerk@example.org", "a rather long one", is_staff=True)
    refunds.approve(refund_id=request.pk, amount="8.00", by=clerk, now=timezone.now())
    sandbox.fault("time_out_after_success", provider="stripe", times=2)
    refunding.send(refund_id=request.pk, now=timezone.now())
    sandbox.clear_faults()
    sandbox.wait_until_delivered(order=provider_number(topup), event="refund.created")
    process_inbox()
    catch_up.look_for_events(now=timezone.now())
    assert RefundRequest.objects.get().parts.get().state == "done"
    topup.refresh_from_db()
    assert topup.refunded == Decimal("8.00")
    assert drifts() == []


@pytest.mark.parametrize("method", ["stripe", "wechat"])
def test_a_refund_started_at_the_provider_that_fails_later_is_reversed(sandbox, customer, method):
    topup = paid_by(sandbox, customer, method)
    sandbox.fault("refund_pending", provider=method)
    made = refund_at_once(sandbox, topup)
    settle(topup, made)
    assert Wallet.objects.get(customer=customer).paid == 15
    sandbox.control("POST", f"/refunds/{method}/{made['number']}/closed")
    settle(topup, made)
    settle(topup, made)
    found = RefundRequest.objects.get()
    assert (found.state, found.sent, found.returned) == (RefundRequest.State.EXTERNAL, 0, 0)
    topup.refresh_from_db()
    assert (topup.refunded, topup.refunded_charge) == (0, 0)
    assert Wallet.objects.get(customer=customer).paid == 20
    assert balance("refunds:in_transit") == 0
    assert drifts() == []


def refund_at_once(sandbox: SandboxServer, topup: TopUp) -> dict[str, Any]:
    amount = int(topup.charge_amount * 25)
    made = sandbox.control("POST", f"/orders/{topup.method}/{provider_number(topup)}/refund", amount=amount)
    return {"number": made.get("number") or made["id"]}


def test_a_round_of_looking_notices_that_a_refund_started_at_the_provider_came_back(sandbox, customer):
    topup = paid_by(sandbox, customer, "stripe")
    made = refund_at_once(sandbox, topup)
    settle(topup, made)
    sandbox.control("POST", f"/refunds/stripe/{made['number']}/failed")
    later = timezone.now() + timedelta(days=2)
    for part_id in refunding.claim_parts(now=later):
        refunding.look(part_id=part_id, now=later)
    assert RefundPart.objects.get().state == "failed"
    assert Wallet.objects.get(customer=customer).paid == 20
    assert drifts() == []


def test_a_refund_whose_notification_was_lost_is_found_in_the_providers_list(sandbox, customer):
    topup = paid_by(sandbox, customer, "stripe")
    sandbox.fault("drop_notification", provider="stripe", times=0)
    refund_at_once(sandbox, topup)
    catch_up.look_for_events(now=timezone.now())
    catch_up.look_for_events(now=timezone.now())
    assert RefundRequest.objects.get().amount == 5
    assert drifts() == []


def test_two_workers_book_a_refund_started_at_the_provider_once(sandbox, customer):
    topup = paid_by(sandbox, customer, "stripe")
    made = refund_at_once(sandbox, topup)

    def work(_worker: int) -> int:
        try:
            return len(settle(topup, made))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(8))) == 1
    assert Transfer.objects.filter(kind="refund").count() == 1
    assert drifts() == []


def test_a_refund_of_a_payment_that_is_none_of_ours_ends_in_a_recorded_outcome(sandbox, customer):
    topup = paid_by(sandbox, customer, "stripe")
    TopUp.objects.filter(pk=topup.pk).update(transaction_id="pi_of_another", number="topup_ofAnother")
    refund_at_once(sandbox, topup)
    sandbox.wait_until_delivered(order=provider_number(topup), event="refund.created")
    process_inbox()
    assert Notification.objects.get(kind="refund.created").outcome == Notification.Outcome.UNKNOWN_ORDER
    assert not RefundRequest.objects.exists()


def test_a_refund_told_of_before_the_payment_credits_it_first(sandbox, customer):
    topup = open_topup(customer, method="wechat", amount="20.00")
    sandbox.pay("wechat", topup.number)
    refund = refund_there(sandbox, topup, topup.charge_amount)
    Notification.objects.exclude(kind__startswith="REFUND.").delete()  # the payment's own was lost
    process_inbox()
    topup.refresh_from_db()
    assert (topup.state, topup.refunded) == (TopUp.State.PAID, topup.amount), refund
    assert Wallet.objects.get(customer=customer).paid == 0
    assert drifts() == []


# --- early fraud warnings


def warn(sandbox: SandboxServer, topup: TopUp) -> dict[str, Any]:
    sandbox.control("POST", f"/orders/stripe/{provider_number(topup)}/warn")
    sandbox.wait_until_delivered(order=provider_number(topup), event="radar.")
    return {}


def test_a_fraud_warning_stops_spending_and_proposes_a_refund_in_full_once(sandbox, customer):
    topup = paid_by(sandbox, customer, "stripe")
    warn(sandbox, topup)
    process_inbox()
    customer.refresh_from_db()
    assert customer.is_suspended
    assert topup.number in customer.suspended_reason
    request = RefundRequest.objects.get()
    assert (request.origin, request.state) == (RefundRequest.Origin.FRAUD_WARNING, RefundRequest.State.REQUESTED)
    assert request.amount == Decimal("20.00")
    assert Wallet.objects.get(customer=customer).available == 0
    told = mails().exclude(about=topup.number).get()  # nothing of a refund: the customer did not ask
    assert told.about == f"account:{customer.pk}"
    for notification in Notification.objects.filter(kind__startswith="radar."):
        notifications.process(notification_id=notification.pk, now=timezone.now())
    catch_up.look_for_events(now=timezone.now())
    assert (RefundRequest.objects.count(), FraudWarning.objects.count()) == (1, 1)
    assert drifts() == []


def test_the_customer_cannot_cancel_what_a_fraud_warning_proposed(sandbox, customer):
    topup = paid_by(sandbox, customer, "stripe")
    warn(sandbox, topup)
    process_inbox()
    with pytest.raises(refunds.NotMovable):
        refunds.cancel(refund_id=RefundRequest.objects.get().pk, now=timezone.now())


def test_the_refund_of_a_fraud_warning_goes_back_to_the_card_that_was_warned_of(sandbox, customer):
    warned, newer = paid_by(sandbox, customer, "stripe"), paid_by(sandbox, customer, "stripe")
    warn(sandbox, warned)
    process_inbox()
    request = RefundRequest.objects.get()
    clerk = User.objects.create_user("clerk@example.org", "a rather long one", is_staff=True)
    refunds.approve(refund_id=request.pk, amount="20.00", by=clerk, now=timezone.now())
    refunding.send(refund_id=request.pk, now=timezone.now())
    warned.refresh_from_db()
    newer.refresh_from_db()
    assert (warned.refunded, newer.refunded) == (20, 0)
    assert drifts() == []


def test_a_fraud_warning_for_money_that_is_spent_says_what_is_left(sandbox, customer):
    topup = paid_by(sandbox, customer, "stripe")
    wallet = Wallet.objects.get(customer=customer)
    spent = Posting("gen-x:paid", "others", wallet.paid_account, house_account("revenue:usage"), Decimal("15.00000000"))
    post([spent], now=timezone.now())
    warn(sandbox, topup)
    process_inbox()
    assert RefundRequest.objects.get().amount == Decimal("5.00")
    assert FraudWarning.objects.get().problem == "only 5.00 of 20.00 USD are left in the wallet"


def test_a_fraud_warning_before_the_payments_own_notification_credits_it_first(sandbox, customer):
    topup = open_topup(customer, method="stripe", amount="20.00")
    sandbox.pay("stripe", provider_number(topup))
    warn(sandbox, topup)
    Notification.objects.exclude(kind__startswith="radar.").delete()
    process_inbox()
    assert FraudWarning.objects.get().topup == topup
    assert Wallet.objects.get(customer=customer).paid == 20


def test_two_workers_act_on_a_fraud_warning_once(sandbox, customer):
    topup = paid_by(sandbox, customer, "stripe")
    warn(sandbox, topup)
    number = Notification.objects.get(kind__startswith="radar.").reference

    def work(_worker: int) -> FraudWarning | None:
        try:
            return fraud_warnings.settle_warning(provider="stripe", warning_id=number, now=timezone.now())
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(work, range(8)))) == 1
    assert RefundRequest.objects.count() == 1
    assert drifts() == []


def test_a_won_dispute_does_not_lift_what_a_fraud_warning_suspended(sandbox, customer):
    topup = paid_by(sandbox, customer, "stripe")
    order = f"/orders/stripe/{provider_number(topup)}/dispute"
    dispute = sandbox.control("POST", order, step="open")
    cases.settle_dispute(provider="stripe", dispute_id=dispute["id"], now=timezone.now())
    warn(sandbox, topup)
    process_inbox()
    assert FraudWarning.objects.get().problem == "the payment is disputed already"
    sandbox.control("POST", order, step="win")
    cases.settle_dispute(provider="stripe", dispute_id=dispute["id"], now=timezone.now())
    customer.refresh_from_db()
    assert customer.is_suspended
    assert drifts() == []


def test_the_dollars_of_a_refund_in_yuan_keep_step_with_the_formula_of_refunds(customer):
    """Whatever is refunded there, what ours would pay back afterwards is never less than nothing."""
    from payments.topups.shares import back_begun_there, back_of

    topup = TopUp(amount=Decimal("20.00"), charge_amount=Decimal("142.47"), charge_currency="CNY")
    for fen in (1, 2, 7, 8, 100, 3333, 7777, 14240, 14245, 14246, 14247):
        charge = Decimal(fen).scaleb(-2)
        credit = back_begun_there(topup, charge).amount
        after = TopUp(
            amount=topup.amount,
            charge_amount=topup.charge_amount,
            charge_currency="CNY",
            refunded=credit,
            refunded_charge=charge,
        )
        assert Decimal(0) < credit <= topup.amount
        assert (credit == topup.amount) is (charge == topup.charge_amount)
        for cents in range(1, int((topup.amount - credit) * 100) + 1):
            assert back_of(after, Decimal(cents).scaleb(-2)).charge >= 0

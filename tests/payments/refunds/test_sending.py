"""Refunds go back the way the money came: sent once, in parts, through every way a provider misbehaves."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import Customer, User
from billing import invoices, refunds
from billing.audit.run import audit
from billing.books.ledger import Posting, house_account, post
from billing.models import InvoiceSeries, LedgerAccount, RefundRequest, Transfer, Wallet
from payments import refunds as refunding
from payments.models import Notification, TopUp
from payments.providers.base import RefundFact, RefundOutcome
from payments.refunds import sending
from payments.refunds.plan import frozen_by_topup
from tests.payments.conftest import METHODS, open_topup, pay, process_inbox
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def clerk(transactional_db: None, settings: Any) -> User:
    settings.REFUND_SUPPORT_LIMIT = Decimal(1000)
    return User.objects.create_user("clerk@example.org", "a rather long one", is_staff=True)


@pytest.fixture
def paid(sandbox: SandboxServer, customer: Customer) -> Callable[..., TopUp]:
    def make(method: str, amount: str = "20.00") -> TopUp:
        topup = open_topup(customer, method=method, amount=amount)
        pay(sandbox, topup)
        topup.refresh_from_db()
        assert topup.state == TopUp.State.PAID
        return topup

    return make


def spend(customer: Customer, amount: str) -> None:
    wallet = Wallet.objects.get(customer=customer)
    key = f"gen-spent-{Transfer.objects.count()}"
    spent = Posting(f"{key}:paid", "others", wallet.paid_account, house_account("revenue:usage"), Decimal(amount))
    post([spent], now=timezone.now())


def approved(customer: Customer, clerk: User, amount: str) -> RefundRequest:
    refund = refunds.ask(customer=customer, amount=amount, reason="not needed", now=timezone.now())
    return refunds.approve(refund_id=refund.pk, amount=amount, by=clerk, now=timezone.now())


def send(refund: RefundRequest) -> RefundRequest:
    refunding.send(refund_id=refund.pk, now=timezone.now())
    refund.refresh_from_db()
    return refund


def look(refund: RefundRequest, *, attempts: int = 100) -> RefundRequest:
    """Ask about every part until none is on its way; WeChat takes its time."""
    for _attempt in range(attempts):
        for part in refund.parts.all():
            refunding.look(part_id=part.pk, now=timezone.now())
        if not refund.parts.filter(state="sending").exists():
            break
        time.sleep(0.05)
    refund.refresh_from_db()
    return refund


def balance(name: str) -> Decimal:
    account = LedgerAccount.objects.get(name=name)
    return sum((t.amount for t in account.credits.all()), Decimal(0)) - sum(
        (t.amount for t in account.debits.all()), Decimal(0)
    )


def drifts() -> list[str]:
    return audit().drifts


def test_a_refund_goes_back_to_each_source_in_parts_the_newest_first(sandbox, customer, clerk, paid):
    card, alipay, wechat = paid("stripe"), paid("alipay"), paid("wechat")
    spend(customer, "15.00000000")
    refund = look(send(approved(customer, clerk, "45.00")))
    assert [(p.topup_id, p.amount, p.state) for p in refund.parts.order_by("number")] == [
        (wechat.pk, Decimal("20.00"), "done"),
        (alipay.pk, Decimal("20.00"), "done"),
        (card.pk, Decimal("5.00"), "done"),
    ]
    assert refund.state == RefundRequest.State.DONE
    for topup in (card, alipay, wechat):
        topup.refresh_from_db()
    assert (alipay.refunded_charge, alipay.shown_state) == (alipay.charge_amount, "refunded")
    assert (card.refunded, card.shown_state) == (Decimal("5.00"), "partly_refunded")
    wallet = Wallet.objects.get(customer=customer)
    assert (wallet.paid, wallet.held) == (0, 0)
    assert balance("refunds:in_transit") == 0
    assert balance("clearing:alipay:CNY") == 0
    assert balance("clearing:stripe:USD") == Decimal(-15)
    assert drifts() == []


@pytest.mark.parametrize("method", METHODS)
def test_a_timeout_after_success_is_asked_about_and_never_sent_twice(impatient, sandbox, customer, clerk, paid, method):
    topup = paid(method)
    sandbox.fault("time_out_after_success", provider=method, times=2 if method == "stripe" else 1)  # the SDK repeats
    refund = send(approved(customer, clerk, "8.00"))
    assert refund.state == RefundRequest.State.SENDING
    sandbox.clear_faults()
    assert look(look(refund)).state == RefundRequest.State.DONE
    assert len(sandbox.control("GET", "/refunds")["refunds"]) == 1
    topup.refresh_from_db()
    assert topup.refunded == Decimal("8.00")
    assert drifts() == []


@pytest.mark.parametrize("method", METHODS)
def test_a_provider_that_is_down_is_asked_again_until_it_answers(impatient, sandbox, customer, clerk, paid, method):
    paid(method)
    sandbox.fault("provider_down", provider=method, times=0)
    refund = look(send(approved(customer, clerk, "20.00")), attempts=5)
    assert refund.state == RefundRequest.State.SENDING
    sandbox.clear_faults()
    assert look(look(refund)).state == RefundRequest.State.DONE
    assert drifts() == []


@pytest.mark.parametrize("method", ["stripe", "wechat"])
def test_a_refund_that_is_pending_and_then_fails_is_frozen_again_and_back_at_the_desk(
    sandbox, customer, clerk, paid, method
):
    topup = paid(method)
    sandbox.fault("refund_pending", provider=method)
    refund = send(approved(customer, clerk, "12.00"))
    part = refund.parts.get()
    assert (refund.state, part.state) == ("sending", "sending")
    number = part.provider_id if method == "stripe" else part.key
    sandbox.clear_faults()
    sandbox.control("POST", f"/refunds/{method}/{number}/{'failed' if method == 'stripe' else 'closed'}")
    refund = look(refund)
    assert refund.state == RefundRequest.State.RETURNED
    assert refund.problem.startswith("part 1 failed: ")
    topup.refresh_from_db()
    assert (topup.refunded, topup.refunded_charge) == (0, 0)
    wallet = Wallet.objects.get(customer=customer)
    assert (wallet.paid, wallet.held) == (Decimal(20), Decimal(12))
    assert drifts() == []
    again = refunds.approve(refund_id=refund.pk, amount="12.00", by=clerk, now=timezone.now())
    assert look(send(again)).state == RefundRequest.State.DONE
    assert list(refund.parts.order_by("number").values_list("state", flat=True)) == ["failed", "done"]
    assert drifts() == []


def test_a_refund_that_bounces_after_it_was_done_is_the_customers_money_again(sandbox, customer, clerk, paid):
    topup = paid("stripe")
    refund = look(send(approved(customer, clerk, "20.00")))
    assert refund.state == RefundRequest.State.DONE
    part = refund.parts.get()
    sandbox.control("POST", f"/refunds/stripe/{part.provider_id}/failed")
    refund = look(refund)
    assert (refund.state, refund.sent, refund.returned) == ("returned", 0, 0)
    wallet = Wallet.objects.get(customer=customer)
    assert (wallet.paid, wallet.held) == (Decimal(20), Decimal(20))
    topup.refresh_from_db()
    assert topup.refunded == 0
    assert drifts() == []


def test_an_abnormal_refund_is_parked_until_two_of_finance_record_the_transfer(sandbox, customer, clerk, paid):
    paid("wechat")
    sandbox.fault("refund_abnormal", provider="wechat")
    refund = look(send(approved(customer, clerk, "20.00")))
    part = refund.parts.get()
    assert (refund.state, part.state) == ("returned", "parked")
    with pytest.raises(refunds.RefundError):
        refunds.deny(refund_id=refund.pk, words="no", by=clerk, now=timezone.now())
    other = User.objects.create_user("other@example.org", "a rather long one", is_staff=True)
    refunding.record_transfer(part_id=part.pk, reference="BANK-1", by=clerk, now=timezone.now())
    with pytest.raises(refunding.PartError):
        refunding.record_transfer(part_id=part.pk, reference="BANK-1", by=clerk, now=timezone.now())
    refunding.record_transfer(part_id=part.pk, reference="BANK-1", by=other, now=timezone.now())
    refund.refresh_from_db()
    assert refund.state == RefundRequest.State.DONE
    assert balance("bank:CNY") == refund.parts.get().charge_amount
    assert drifts() == []


def colleague() -> User:
    return User.objects.create_user("other@example.org", "a rather long one", is_staff=True)


def paid_by_bank(refund, first: User, second: User):
    part = refund.parts.get()
    for by in (first, second):
        refunding.record_transfer(part_id=part.pk, reference="BANK-1", by=by, now=timezone.now())
    part.refresh_from_db()
    return part


@pytest.mark.parametrize("end", ["failed", "done"])
def test_what_was_paid_by_bank_is_not_paid_again_whatever_the_provider_says_later(sandbox, customer, clerk, paid, end):
    paid("wechat")
    sandbox.fault("refund_abnormal", provider="wechat")
    refund = look(send(approved(customer, clerk, "20.00")))
    part = paid_by_bank(refund, clerk, colleague())
    assert part.look_at is None
    sandbox.control("POST", f"/refunds/wechat/{part.key}/{end}")
    for fact in (RefundFact(RefundOutcome.FAILED), RefundFact(RefundOutcome.DONE, amount=part.charge_amount)):
        refunding.look(part_id=part.pk, now=timezone.now())
        refunding.book(part_id=part.pk, fact=fact, now=timezone.now())
    refund.refresh_from_db()
    part.refresh_from_db()
    assert (refund.state, part.state) == ("done", "done")
    assert Wallet.objects.get(customer=customer).paid == 0
    assert balance("bank:CNY") == part.charge_amount
    assert drifts() == []


def test_a_transfer_that_one_recorded_is_confirmed_or_taken_back_before_the_money_is_the_customers(
    sandbox, customer, clerk, paid
):
    paid("wechat")
    sandbox.fault("refund_abnormal", provider="wechat")
    refund = look(send(approved(customer, clerk, "20.00")))
    part, other = refund.parts.get(), colleague()
    refunding.record_transfer(part_id=part.pk, reference="BANK-1", by=clerk, now=timezone.now())
    with pytest.raises(refunding.PartError, match="recorded"):
        refunding.give_back(part_id=part.pk, by=other, now=timezone.now())
    refunding.book(part_id=part.pk, fact=RefundFact(RefundOutcome.FAILED), now=timezone.now())
    part.refresh_from_db()
    assert (part.state, Wallet.objects.get(customer=customer).paid) == ("parked", 0)
    refunding.withdraw_transfer(part_id=part.pk, by=other, now=timezone.now())
    with pytest.raises(refunding.PartError):
        refunding.withdraw_transfer(part_id=part.pk, by=other, now=timezone.now())
    refunding.give_back(part_id=part.pk, by=other, now=timezone.now())
    assert Wallet.objects.get(customer=customer).paid == 20
    with pytest.raises(refunding.PartError, match="does not wait"):
        refunding.give_back(part_id=part.pk, by=other, now=timezone.now())
    assert drifts() == []


def test_a_long_bank_reference_can_be_confirmed(sandbox, customer, clerk, paid):
    paid("wechat")
    sandbox.fault("refund_abnormal", provider="wechat")
    part = look(send(approved(customer, clerk, "20.00"))).parts.get()
    for by in (clerk, colleague()):
        refunding.record_transfer(part_id=part.pk, reference="B" * 200, by=by, now=timezone.now())
    part.refresh_from_db()
    assert part.state == "done"


def test_what_goes_back_by_bank_waits_for_its_credit_note_and_is_not_invoiced_again(sandbox, customer, clerk, paid):
    old = paid("stripe")
    TopUp.objects.filter(pk=old.pk).update(paid_at=timezone.now() - timedelta(days=400))
    InvoiceSeries.objects.create(prefix="CZ-", seller_name_en="Chuizi Ltd", seller_address_en="1 Main St")
    invoice = invoices.ask(
        customer=customer,
        amount="20.00",
        company_name="Ada",
        buyer_kind="individual",
        email="a@b.co",
        now=timezone.now(),
    )
    invoices.issue(request_id=invoice.pk, by=clerk, now=timezone.now())
    refund = send(approved(customer, clerk, "20.00"))
    assert refund.problem.startswith("waits for a credit note: 20.00 USD")
    invoices.credit(request_id=invoice.pk, amount="20.00", reason="Refund", by=clerk, now=timezone.now())
    refund = send(refund)
    assert refund.parts.get().state == "parked"
    assert invoices.invoiceable(customer_id=customer.pk, currency="USD", now=timezone.now()).amount == 0
    paid_by_bank(refund, clerk, colleague())
    assert invoices.invoiceable(customer_id=customer.pk, currency="USD", now=timezone.now()).amount == 0
    old.refresh_from_db()
    assert (old.refunded, balance("bank:USD"), drifts()) == (20, Decimal(20), [])


@pytest.mark.parametrize("method", METHODS)
def test_a_provider_account_without_funds_parks_the_part(sandbox, customer, clerk, paid, method):
    paid(method)
    sandbox.fault("refund_no_funds", provider=method)
    refund = look(send(approved(customer, clerk, "20.00")))
    assert refund.parts.get().state in ("parked", "sending")
    sandbox.clear_faults()
    assert drifts() == []


def test_what_no_provider_can_refund_is_left_to_a_bank_transfer(sandbox, customer, clerk, paid, settings):
    old = paid("alipay")
    TopUp.objects.filter(pk=old.pk).update(paid_at=timezone.now() - timedelta(days=400))
    refund = send(approved(customer, clerk, "20.00"))
    part = refund.parts.get()
    assert (part.topup, part.by_bank, part.state, refund.state) == (old, True, "parked", "returned")
    assert (part.charge_amount, part.charge_currency) == (Decimal("142.40"), "CNY")
    assert drifts() == []
    refunding.give_back(part_id=part.pk, by=clerk, now=timezone.now())
    refund.refresh_from_db()
    assert (refund.state, refund.sent) == ("returned", 0)
    assert drifts() == []


def test_a_refund_dies_between_wallet_and_provider_and_is_sent_by_the_next_look(sandbox, customer, clerk, paid):
    paid("alipay")
    refund = approved(customer, clerk, "5.00")
    now = timezone.now()
    refunds.begin_sending(refund_id=refund.pk, now=now, begun=lambda begun: sending._plan(begun, now=now))
    part = refund.parts.get()
    assert sending._leave(part.pk, now=timezone.now())
    assert sandbox.control("GET", "/refunds")["refunds"] == []
    [claimed] = refunding.claim_parts(now=timezone.now() + timedelta(seconds=6))
    assert refunding.look(part_id=claimed, now=timezone.now()) is RefundOutcome.DONE
    refund.refresh_from_db()
    assert refund.state == RefundRequest.State.DONE
    assert drifts() == []


def test_many_workers_send_one_request_and_each_part_leaves_once(sandbox, customer, clerk, paid):
    paid("stripe"), paid("alipay")
    refund = approved(customer, clerk, "30.00")

    def work(_number: int) -> None:
        try:
            refunding.send(refund_id=refund.pk, now=timezone.now())
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert look(refund).state == RefundRequest.State.DONE
    assert len(sandbox.control("GET", "/refunds")["refunds"]) == 2
    assert sum(p.amount for p in refund.parts.all()) == Decimal("30.00")
    assert drifts() == []


def test_yuan_parts_add_up_to_what_was_charged_whatever_their_sizes(sandbox, customer, clerk, paid):
    topup = paid("alipay", amount="10.01")
    for amount in ("3.33", "0.01", "3.34", "0.02", "3.31"):
        assert look(send(approved(customer, clerk, amount))).state == RefundRequest.State.DONE
    topup.refresh_from_db()
    assert (topup.refunded, topup.refunded_charge) == (topup.amount, topup.charge_amount)
    assert balance("clearing:alipay:CNY") == 0
    assert drifts() == []


def test_request_a_refund_spend_the_balance_get_approved_receive_cash_for_spent_money(sandbox, customer, clerk, paid):
    """The amount is frozen when it is asked, and what ate into it nevertheless sends the request back to the desk."""
    paid("stripe")
    refund = refunds.ask(customer=customer, amount="20.00", reason="not needed", now=timezone.now())
    assert Wallet.objects.get(customer=customer).available == 0
    spend(customer, "6.00000000")  # past every check, as an overrun or a dispute would
    with pytest.raises(refunds.RefundError):
        refunds.approve(refund_id=refund.pk, amount="20.00", by=clerk, now=timezone.now())
    refunds.approve(refund_id=refund.pk, amount="14.00", by=clerk, now=timezone.now())
    spend(customer, "1.00000000")
    refund = send(refund)
    assert refund.state == RefundRequest.State.RETURNED
    assert not refund.parts.exists()
    assert Wallet.objects.get(customer=customer).paid == Decimal(13)
    assert drifts() == []


def test_a_notification_about_a_refund_is_booked_after_the_provider_was_asked(sandbox, customer, clerk, paid):
    paid("wechat")
    sandbox.fault("refund_pending", provider="wechat")
    refund = send(approved(customer, clerk, "20.00"))
    sandbox.clear_faults()
    part = refund.parts.get()
    sandbox.control("POST", f"/refunds/wechat/{part.key}/done")
    deadline = timezone.now() + timedelta(seconds=10)
    while not Notification.objects.filter(order_number=part.key).exists() and timezone.now() < deadline:
        pass
    process_inbox()
    assert Notification.objects.get(order_number=part.key).outcome == Notification.Outcome.BOOKED
    refund.refresh_from_db()
    assert refund.state == RefundRequest.State.DONE


def test_open_requests_are_frozen_on_the_top_ups_they_will_take_from(sandbox, customer, clerk, paid):
    card, alipay = paid("stripe"), paid("alipay")
    refunds.ask(customer=customer, amount="25.00", reason="not needed", now=timezone.now())
    frozen = frozen_by_topup(customer_id=customer.pk, now=timezone.now())
    assert frozen == {alipay.pk: alipay.charge_amount, card.pk: Decimal("5.00")}

"""Invoices and what goes back: refunds wait for credit notes, disputes and dashboards do not, nothing counts twice."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import Customer, User
from billing import invoices, refunds
from billing.models import CreditTask, Document, InvoiceRequest, RefundRequest, Wallet
from payments import refunds as refunding
from payments.invoices import sources
from payments.models import TopUp
from tests.billing.invoices.invoice_steps import CREDIT_CODE, make_series
from tests.billing.invoices.test_details import NUMBER, XML
from tests.payments import dispute_steps
from tests.payments.conftest import open_topup, pay
from tests.payments.refunds.test_external import refund_there, settle
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.django_db(transaction=True)
WAITS = "waits for a credit note"


@pytest.fixture
def clerk(transactional_db: None, settings: Any) -> User:
    settings.REFUND_SUPPORT_LIMIT = Decimal(1000)
    make_series()
    return User.objects.create_user("clerk@example.org", "a rather long one", is_staff=True)


@pytest.fixture
def pay_in(sandbox: SandboxServer, customer: Customer) -> Callable[..., TopUp]:
    def make(method: str = "stripe", amount: str = "20.00") -> TopUp:
        topup = open_topup(customer, method=method, amount=amount)
        pay(sandbox, topup)
        topup.refresh_from_db()
        return topup

    return make


def ask(customer: Customer, amount: object, **values: Any) -> InvoiceRequest:
    details = {"company_name": "Ada GmbH", "tax_id": CREDIT_CODE, "email": "books@ada.example", **values}
    return invoices.ask(customer=customer, amount=amount, now=timezone.now(), **details)


def invoiced(customer: Customer, clerk: User, amount: object, **values: Any) -> InvoiceRequest:
    request = ask(customer, amount, **values)
    invoices.issue(request_id=request.pk, by=clerk, now=timezone.now())
    return request


def most(customer: Customer, currency: str = "USD") -> invoices.Sum:
    return invoices.invoiceable(customer_id=customer.pk, currency=currency, now=timezone.now())


def approved(customer: Customer, clerk: User, amount: str) -> RefundRequest:
    refund = refunds.ask(customer=customer, amount=amount, reason="not needed", now=timezone.now())
    return refunds.approve(refund_id=refund.pk, amount=amount, by=clerk, now=timezone.now())


def send(refund: RefundRequest) -> RefundRequest:
    refunding.send(refund_id=refund.pk, now=timezone.now())
    refund.refresh_from_db()
    return refund


def states(refund: RefundRequest) -> list[str]:
    return list(refund.parts.order_by("number").values_list("state", flat=True))


def credit(request: InvoiceRequest, clerk: User, amount: object = None, **values: Any) -> Document:
    return invoices.credit(
        request_id=request.pk, amount=amount, reason="Refunded", by=clerk, now=timezone.now(), **values
    )


def test_payments_are_told_of_in_the_currency_that_was_charged(sandbox, customer, clerk, pay_in):
    card, alipay = pay_in("stripe"), pay_in("alipay")
    open_topup(customer, method="wechat")  # not paid: not told of
    assert send(approved(customer, clerk, "5.00")).state == RefundRequest.State.DONE  # the newest: Alipay
    refunds.ask(customer=customer, amount="25.00", reason="more", now=timezone.now())
    TopUp.objects.filter(pk=card.pk).update(disputed=Decimal("2.00"))
    alipay.refresh_from_db()
    by_id = {s.source_id: s for s in sources.topups_of(customer.pk, timezone.now(), frozenset())}
    assert set(by_id) == {card.pk, alipay.pk}
    told = by_id[alipay.pk]
    assert (told.currency, told.charged, told.label) == ("CNY", alipay.charge_amount, alipay.number)
    assert told.refunded == alipay.refunded_charge > 0
    assert told.frozen == alipay.charge_amount - alipay.refunded_charge  # 15 USD, all that is left of it
    assert told.left == 0
    assert by_id[card.pk].disputed == Decimal("2.00")


def test_money_that_is_frozen_for_a_refund_is_not_invoiced(customer, pay_in):
    pay_in()
    refunds.ask(customer=customer, amount="5.00", reason="not needed", now=timezone.now())
    assert most(customer).amount == Decimal("15.00")
    with pytest.raises(invoices.InvoiceError, match=r"At most 15\.00 USD"):
        ask(customer, "15.01")


def test_a_refund_takes_what_is_not_invoiced_first_and_does_not_wait(customer, clerk, pay_in):
    older, newer = pay_in(), pay_in()
    invoiced(customer, clerk, "20.00")  # of the older
    first = invoiced(customer, clerk, "5.00")  # of the newer, which is now invoiced in part
    credit(first, clerk)
    refund = send(approved(customer, clerk, "20.00"))
    assert refund.state == RefundRequest.State.DONE
    assert list(refund.parts.values_list("topup_id", flat=True)) == [newer.pk]
    assert not CreditTask.objects.exists()
    assert most(customer).amount == 0
    assert older.pk != newer.pk


@pytest.mark.parametrize("way", ["credit", "override"])
def test_a_refund_of_invoiced_money_waits_until_finance_says_so(customer, clerk, pay_in, way):
    topup = pay_in()
    request = invoiced(customer, clerk, "18.00")
    refund = send(approved(customer, clerk, "6.00"))
    assert (refund.state, states(refund)) == (RefundRequest.State.SENDING, ["planned"])
    assert refund.problem.startswith(WAITS)
    assert refund.attempt_at > timezone.now()
    [task] = invoices.open_tasks_for(refund_id=refund.pk)
    assert (task.amount, task.request) == (Decimal("4.00"), request)
    send(refund)  # the worker again: still one task
    assert CreditTask.objects.count() == 1
    if way == "credit":
        credit(request, clerk, "4.00", task_id=task.pk)
    else:
        invoices.override(task_id=task.pk, words="Corrected on paper.", by=clerk, now=timezone.now())
    refund.refresh_from_db()
    assert refund.attempt_at <= timezone.now()  # it is its turn at once
    assert refunding.claim_requests(now=timezone.now()) == [refund.pk]
    refund = send(refund)
    assert (refund.state, states(refund), refund.problem) == (RefundRequest.State.DONE, ["done"], "")
    topup.refresh_from_db()
    assert topup.refunded == Decimal("6.00")
    assert most(customer).amount == 0
    assert dispute_steps.drifts() == []


def test_parts_that_bite_into_nothing_leave_while_the_others_wait(customer, clerk, pay_in):
    pay_in()
    request = invoiced(customer, clerk, "20.00")
    pay_in()
    refund = send(approved(customer, clerk, "30.00"))
    assert (refund.state, states(refund)) == (RefundRequest.State.SENDING, ["done", "planned"])
    assert refund.problem.startswith(WAITS)
    credit(request, clerk)
    assert send(refund).state == RefundRequest.State.DONE


def test_a_partial_credit_is_not_enough(customer, clerk, pay_in):
    pay_in()
    request = invoiced(customer, clerk, "20.00")
    refund = send(approved(customer, clerk, "6.00"))
    credit(request, clerk, "5.99")
    assert states(send(refund)) == ["planned"]
    credit(request, clerk, "0.01")
    assert states(send(refund)) == ["done"]


def test_two_refunds_that_wait_ask_for_both_amounts_at_once(customer, clerk, pay_in):
    pay_in()
    request = invoiced(customer, clerk, "20.00")
    first, second = send(approved(customer, clerk, "6.00")), send(approved(customer, clerk, "3.00"))
    assert [task.amount for task in invoices.open_tasks(customer_id=customer.pk)] == [6, 3]
    credit(request, clerk, "9.00")
    assert [send(first).state, send(second).state] == [RefundRequest.State.DONE] * 2


def test_yuan_wait_for_the_red_letter_of_their_fapiao(customer, clerk, pay_in):
    topup = pay_in("alipay")
    request = ask(customer, topup.charge_amount, invoice_type="fapiao_special")
    invoices.record_fapiao(request_id=request.pk, fapiao_number=NUMBER, content=XML, by=clerk, now=timezone.now())
    refund = send(approved(customer, clerk, "10.00"))
    [task] = invoices.open_tasks_for(refund_id=refund.pk)
    assert task.amount == sources.in_charge(topup, Decimal("10.00"))
    credit(request, clerk, task.amount, fapiao_number="24312000000099999999")
    assert send(refund).state == RefundRequest.State.DONE
    topup.refresh_from_db()
    assert topup.refunded_charge == task.amount
    assert most(customer, "CNY").amount == 0


def test_a_part_that_is_dropped_while_it_waits_wants_no_credit_note_any_more(sandbox, customer, clerk, pay_in):
    topup = pay_in()
    invoiced(customer, clerk, "20.00")
    refund = send(approved(customer, clerk, "6.00"))
    dispute_steps.spend(customer, "16.00")  # what a model used beyond its estimate: the balance no longer covers it
    task = CreditTask.objects.get()
    invoices.override(task_id=task.pk, words="Later.", by=clerk, now=timezone.now())
    assert states(send(refund)) == ["failed"]
    dispute_steps.settle(dispute_steps.act(sandbox, topup, "open"))
    assert not invoices.open_tasks(customer_id=customer.pk)


def test_a_dispute_calls_the_waiting_part_off_and_wants_a_credit_note_once_it_is_lost(sandbox, customer, clerk, pay_in):
    topup = pay_in()
    request = invoiced(customer, clerk, "20.00")
    refund = send(approved(customer, clerk, "6.00"))
    assert [task.amount for task in invoices.open_tasks()] == [6]
    dispute_steps.settle(dispute_steps.act(sandbox, topup, "open"))
    assert states(refund) == ["failed"]
    assert most(customer).payments[0].source.disputed == Decimal("20.00")
    dispute_steps.settle(dispute_steps.act(sandbox, topup, "withdraw"))
    assert invoices.open_tasks() == []
    dispute_steps.settle(dispute_steps.act(sandbox, topup, "lose"))
    assert sum(task.left for task in invoices.open_tasks()) == 20
    assert {task.reason for task in invoices.open_tasks()} == {"dispute"}
    assert dispute_steps.drifts() == []
    credit(request, clerk)
    assert invoices.open_tasks() == []
    assert most(customer).amount == 0
    assert dispute_steps.drifts() == []


def test_what_a_lost_dispute_leaves_goes_back_by_bank_and_is_invoiced_no_more(sandbox, customer, clerk, pay_in):
    topup = pay_in()
    invoiced(customer, clerk, "4.00")
    opened = dispute_steps.act(sandbox, topup, "open", amount=500)
    for step in ("withdraw", "lose"):
        dispute_steps.act(sandbox, topup, step)
    dispute_steps.settle(opened)
    refund = send(approved(customer, clerk, "15.00"))
    assert (states(refund), most(customer).amount) == (["planned"], 0)
    assert sum(task.left for task in invoices.open_tasks(customer_id=customer.pk)) == 4
    credit(InvoiceRequest.objects.get(), clerk)
    refund = send(refund)
    part = refund.parts.get()
    assert (part.state, part.by_bank, part.topup, part.charge_amount) == ("parked", True, topup, 15)
    for by in (clerk, dispute_steps.clerk()):
        refunding.record_transfer(part_id=part.pk, reference="bank 1", by=by, now=timezone.now())
    refund.refresh_from_db()
    assert (refund.state, most(customer).amount) == (RefundRequest.State.DONE, 0)
    assert Wallet.objects.get(customer=customer).paid == 0
    assert dispute_steps.drifts() == []


def test_a_won_dispute_wants_nothing(sandbox, customer, clerk, pay_in):
    topup = pay_in()
    invoiced(customer, clerk, "20.00")
    dispute_steps.settle(dispute_steps.act(sandbox, topup, "open"))
    with pytest.raises(invoices.InvoiceError):
        ask(customer, "0.01")
    dispute_steps.settle(dispute_steps.act(sandbox, topup, "withdraw"))
    dispute_steps.settle(dispute_steps.act(sandbox, topup, "win"))
    assert invoices.open_tasks() == []


def test_a_refund_begun_at_the_provider_wants_a_credit_note_afterwards(sandbox, customer, clerk, pay_in):
    topup = pay_in()
    invoiced(customer, clerk, "20.00")
    settle(topup, refund_there(sandbox, topup, Decimal("7.00")))
    assert [(task.amount, task.reason) for task in invoices.open_tasks()] == [(7, "refund")]
    assert dispute_steps.drifts() == []
    CreditTask.objects.all().delete()
    assert dispute_steps.drifts() == [
        f"customer {customer.pk}: 20.00 USD of {topup.number} is invoiced and not wanted back, 13.00 of it is left"
    ]


def test_an_invoice_that_was_asked_before_a_refund_is_issued_over_what_is_left_or_not_at_all(customer, clerk, pay_in):
    pay_in()
    request = ask(customer, "20.00")
    assert send(approved(customer, clerk, "5.00")).state == RefundRequest.State.DONE
    with pytest.raises(invoices.InvoiceError, match=r"at most 15\.00 USD"):
        invoices.issue(request_id=request.pk, by=clerk, now=timezone.now())
    invoices.deny(request_id=request.pk, words="Ask for what is left, please.", by=clerk, now=timezone.now())
    invoiced(customer, clerk, "15.00")
    assert not CreditTask.objects.exists()


@pytest.mark.parametrize("attempt", range(3))
def test_an_issue_and_a_refund_at_once_never_leave_money_both_invoiced_and_gone(customer, clerk, pay_in, attempt):
    topup = pay_in()
    request = ask(customer, "15.00")
    refund = approved(customer, clerk, "5.00")

    def run(act: Callable[[], Any]) -> Any:
        try:
            return act()
        except invoices.InvoiceError as error:
            return error
        finally:
            connection.close()

    def more() -> Any:
        return refunds.ask(customer=customer, amount="6.00", reason="more", now=timezone.now())

    with ThreadPoolExecutor(3) as pool:
        acts = (
            lambda: invoices.issue(request_id=request.pk, by=clerk, now=timezone.now()),
            lambda: refunding.send(refund_id=refund.pk, now=timezone.now()),
            more,
        )
        list(pool.map(run, acts))
    topup.refresh_from_db()
    refund.refresh_from_db()
    request.refresh_from_db()
    assert refund.state == RefundRequest.State.DONE  # 5 of 20: never into the 15
    standing = request.amount if request.state == InvoiceRequest.State.ISSUED else Decimal(0)
    assert standing <= topup.charge_amount - topup.refunded_charge
    assert Document.objects.count() == (1 if standing else 0)

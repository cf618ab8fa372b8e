"""Two who act at once on invoices, and many who want a number: one outcome each, no gaps, no customer held up."""

import threading
import time

import pytest
from django.db import connection, transaction

from billing import invoices
from billing.models import Document, InvoiceAllocation, InvoiceRequest, InvoiceSeries, Wallet
from tests.billing.conftest import failures, in_threads
from tests.billing.invoices.invoice_steps import ask, clerk, issue, payments, series
from tests.conftest import NOW

__all__ = ["clerk", "payments", "series"]

pytestmark = pytest.mark.django_db
State = InvoiceRequest.State


@pytest.mark.django_db(transaction=True)
def test_two_requests_at_once_never_get_the_same_money(customer, payments):
    payments.add(customer, "20.00")
    payments.add(customer, "10.00")
    results = in_threads(*[lambda: ask(customer, "18.00")] * 5)
    assert len(failures(results)) == 4
    assert all(isinstance(error, invoices.InvoiceError) for error in failures(results))
    assert sum(a.amount for a in InvoiceAllocation.objects.all()) == 18


@pytest.mark.django_db(transaction=True)
def test_numbers_have_no_gaps_however_many_issue_and_fail_at_once(make_customer, payments, clerk, series):
    asked = []
    for number in range(10):
        customer = make_customer(name=f"customer {number}")
        payments.add(customer)
        asked.append(ask(customer))
    for request in asked[::3]:  # refunded meanwhile: issuing fails after others took their numbers
        payments.change(request.customer, request.allocations.get().source_id, refunded="19.00")
    results = in_threads(*[lambda r=r: issue(r, clerk) for r in asked])
    failed = failures(results)
    assert len(failed) == 4
    assert all(isinstance(error, invoices.InvoiceError) and error.field == "amount" for error in failed)
    assert sorted(Document.objects.values_list("number", flat=True)) == [f"CZ2026-{n:06d}" for n in range(1, 7)]
    series.refresh_from_db()
    assert series.next_number == 7


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("is_credit", "bound"), [(False, "lock_timeout"), (True, "lock_timeout"), (False, "statement_timeout")]
)
def test_who_waits_for_a_number_holds_up_no_customer_and_is_asked_to_try_again(
    customer, payments, clerk, series, is_credit, bound
):
    payments.add(customer)
    request = ask(customer)
    if is_credit:
        issue(request, clerk)
    is_waiting = threading.Event()

    def act():
        with connection.cursor() as cursor:
            cursor.execute(f"SET {bound} = 300")
            is_waiting.set()
            try:
                if is_credit:
                    invoices.credit(request_id=request.pk, reason="wrong", by=clerk, now=NOW)
                else:
                    issue(request, clerk)
            finally:
                cursor.execute(f"RESET {bound}")  # the connection goes back to the pool

    def use_the_wallet():
        assert is_waiting.wait(10)
        for _try in range(10):
            with transaction.atomic():
                Wallet.objects.select_for_update(nowait=True).get(customer=customer)
            time.sleep(0.03)

    with transaction.atomic():
        InvoiceSeries.objects.select_for_update(no_key=True).get(pk=series.pk)
        waited, used = in_threads(act, use_the_wallet)
    assert isinstance(waited, invoices.InvoiceError)
    assert waited.field == "series"
    assert used is None
    assert Document.objects.count() == is_credit


@pytest.mark.django_db(transaction=True)
def test_two_who_issue_one_request_at_once_make_one_document(customer, payments, clerk, series):
    payments.add(customer)
    request = ask(customer)
    results = in_threads(*[lambda: issue(request, clerk)] * 3)
    assert [type(error) for error in failures(results)] == [invoices.NotMovable] * 2
    assert Document.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_request_that_is_cancelled_while_it_is_issued_ends_one_way(customer, payments, clerk, series):
    payments.add(customer)
    request = ask(customer)
    results = in_threads(lambda: issue(request, clerk), lambda: invoices.cancel(request_id=request.pk, now=NOW))
    assert len(failures(results)) == 1
    request.refresh_from_db()
    assert Document.objects.count() == (1 if request.state == State.ISSUED else 0)

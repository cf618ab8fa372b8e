"""Invoices are taken back by new, negated documents; money that goes back of them wants one."""

from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing import invoices, refunds
from billing.invoices.audit import check_invoices
from billing.invoices.crediting import need_credit
from billing.models import (
    CreditTask,
    Document,
    InvoiceAllocation,
    InvoiceRequest,
    InvoiceSeries,
    RefundRequest,
)
from tests.billing.conftest import failures, in_threads, topup
from tests.billing.invoices.invoice_steps import CREDIT_CODE, ask, clerk, issue, payments, series
from tests.billing.invoices.test_details import NUMBER, PDF, XML
from tests.conftest import NOW
from tests.examples import examples
from tests.outbox import mails

__all__ = ["clerk", "payments", "series"]

pytestmark = pytest.mark.django_db
State = InvoiceRequest.State


@pytest.fixture
def issued(customer, payments, clerk, series):
    """An invoice over 30 USD of two payments of 20, and its document."""
    payments.add(customer, "20.00", days_ago=9)
    payments.add(customer, "20.00")
    request = ask(customer, "30.00")
    return request, issue(request, clerk)


def credit(request, clerk, amount=None, **values):
    return invoices.credit(request_id=request.pk, amount=amount, reason="Refunded", by=clerk, now=NOW, **values)


def need(customer, source_id, left, **values):
    with transaction.atomic():
        return need_credit(
            customer_id=customer.pk, source_id=source_id, left=Decimal(left), reason="refund", now=NOW, **values
        )


def refund_of(customer):
    refund = refunds.ask(customer=customer, amount="5.00", reason="not needed", now=NOW)
    RefundRequest.objects.filter(pk=refund.pk).update(state=RefundRequest.State.SENDING)
    return refund


def test_a_credit_note_is_a_negated_document_that_refers_to_the_first(customer, issued, clerk, user):
    request, first = issued
    note = credit(request, clerk)
    assert (note.kind, note.refers_to, note.number) == ("credit_note", first, "CZ2026-000002")
    assert (note.gross, note.net, note.tax) == (-first.gross, -first.net, -first.tax)
    assert (note.seller, note.buyer, note.reason) == (first.seller, first.buyer, "Refunded")
    assert [line["gross"] for line in note.lines] == ["-20.00", "-10.00"]
    assert bytes(note.content).startswith(b"%PDF-")
    request.refresh_from_db()
    assert (request.state, request.credited) == (State.CREDITED, Decimal("30.00"))
    assert invoices.invoiceable(customer_id=customer.pk, currency="USD", now=NOW).amount == 40
    assert mails().filter(document=note, to="books@ada.example").count() == 1
    with pytest.raises(invoices.NotMovable):
        credit(request, clerk)


def test_partial_credits_take_the_newest_payments_and_add_up_to_the_cent(customer, issued, clerk):
    request, first = issued
    notes = [credit(request, clerk, amount) for amount in ("10.01", "9.99", "9.95")]
    request.refresh_from_db()
    assert (request.state, request.credited) == (State.PARTLY_CREDITED, Decimal("29.95"))
    assert [[line["gross"] for line in note.lines] for note in notes] == [["-0.01", "-10.00"], ["-9.99"], ["-9.95"]]
    with pytest.raises(invoices.InvoiceError, match=r"At most 0\.05 USD"):
        credit(request, clerk, "0.06")
    notes.append(credit(request, clerk))
    assert sum(note.net for note in notes) == -first.net
    assert sum(note.tax for note in notes) == -first.tax
    request.refresh_from_db()
    assert request.state == State.CREDITED


@pytest.mark.parametrize("amount", ["0", "-1", "1.001", "30.01", "1e2", "NaN", "9" * 30])
def test_a_credit_of_no_amount_is_refused(issued, clerk, amount):
    request, _first = issued
    with pytest.raises(invoices.InvoiceError):
        credit(request, clerk, amount)
    assert Document.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_credits_at_once_never_take_back_more_than_was_invoiced(issued, clerk):
    request, _first = issued
    results = in_threads(*[lambda: credit(request, clerk, "20.00")] * 4)
    assert len(failures(results)) == 3
    assert all(isinstance(error, invoices.InvoiceError) for error in failures(results))
    assert sorted(Document.objects.values_list("sequence", flat=True)) == [1, 2]


def test_wrong_details_are_credited_whole_and_asked_for_anew(customer, issued, clerk, user):
    request, first = issued
    details = invoices.checked(company_name="Ada AG", tax_id=CREDIT_CODE, email="new@ada.example")
    again = invoices.reissue(request_id=request.pk, details=details, reason="Wrong name", by=clerk, now=NOW)
    request.refresh_from_db()
    assert (request.state, again.state, again.replaces) == (State.CREDITED, State.REQUESTED, request)
    assert (again.company_name, again.amount) == ("Ada AG", Decimal("30.00"))
    second = issue(again, clerk)
    assert [d.number for d in Document.objects.order_by("pk")] == [f"CZ2026-{n:06d}" for n in (1, 2, 3)]
    assert (second.buyer["name"], second.lines) == ("Ada AG", first.lines)


def test_a_fapiao_is_taken_back_by_the_number_of_its_red_letter(customer, payments, clerk):
    payments.add(customer, "113.00", currency="CNY")
    request = ask(customer, "113.00", invoice_type="fapiao_special")
    first = invoices.record_fapiao(request_id=request.pk, fapiao_number=NUMBER, content=PDF, by=clerk, now=NOW)
    for wrong in ("", NUMBER, "12"):
        with pytest.raises(invoices.InvoiceError) as error:
            credit(request, clerk, fapiao_number=wrong)
        assert error.value.field == "fapiao_number"
    with pytest.raises(invoices.InvoiceError) as error:
        credit(request, clerk, fapiao_number="24312000000099999999", content=b"MZ")
    assert error.value.field == "file"
    red = credit(request, clerk, "13.00", fapiao_number="24312000000099999999")
    assert (red.kind, red.refers_to, red.gross, bytes(red.content)) == ("red_letter", first, -13, b"")
    rest = credit(request, clerk, fapiao_number="24312000000099999998", content=XML)
    assert (rest.gross, rest.content_type) == (-100, "application/xml")


def test_a_number_is_not_recorded_for_our_own_credit_note(issued, clerk):
    request, _first = issued
    with pytest.raises(invoices.InvoiceError) as error:
        credit(request, clerk, fapiao_number=NUMBER)
    assert error.value.field == "fapiao_number"


def test_nothing_is_wanted_while_what_is_left_covers_what_is_invoiced(customer, issued):
    assert need(customer, 1, "20.00") == 0
    assert need(customer, 2, "10.00") == 0
    assert need(customer, 77, "0.00") == 0
    assert not CreditTask.objects.exists()


def test_a_bite_into_invoiced_money_is_wanted_back_once_and_credited_where_it_bit(customer, issued, clerk):
    request, _first = issued
    assert need(customer, 1, "15.00") == 5
    assert need(customer, 1, "15.00") == 5  # asked again: the same task
    assert need(customer, 1, "12.00") == 8  # more goes: the difference is wanted too
    assert [task.amount for task in invoices.open_tasks(customer_id=customer.pk)] == [5, 3]
    note = credit(request, clerk, "6.00")
    assert [(line["source_id"], line["gross"]) for line in note.lines] == [(1, "-6.00")]
    assert [(t.state, t.left, t.document) for t in CreditTask.objects.order_by("pk")] == [
        ("done", 0, note),
        ("open", 2, note),
    ]
    assert need(customer, 1, "12.00") == 2
    credit(request, clerk)
    assert need(customer, 1, "12.00") == 0
    assert not invoices.open_tasks()


def test_a_task_is_credited_before_all_others_when_it_is_named(customer, issued, clerk):
    request, _first = issued
    need(customer, 1, "15.00")
    need(customer, 2, "6.00")
    first, second = invoices.open_tasks()
    credit(request, clerk, "4.00", task_id=second.pk)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, second.state) == ("open", "done")
    with pytest.raises(invoices.NotMovable):
        credit(request, clerk, "4.00", task_id=second.pk)


def test_what_is_no_longer_to_go_back_is_no_longer_wanted(customer, issued):
    need(customer, 1, "15.00")
    need(customer, 1, "10.00")
    assert need(customer, 1, "18.00") == 2
    assert [(t.state, t.amount) for t in CreditTask.objects.order_by("pk")] == [("open", 2), ("dropped", 5)]
    assert need(customer, 1, "20.00") == 0
    assert not invoices.open_tasks()


def test_an_override_needs_a_reason_and_covers_that_much_alone(customer, issued, clerk):
    need(customer, 1, "15.00")
    [task] = invoices.open_tasks()
    with pytest.raises(invoices.InvoiceError) as error:
        invoices.override(task_id=task.pk, words=" ", by=clerk, now=NOW)
    assert error.value.field == "words"
    done = invoices.override(task_id=task.pk, words="Credited on paper.", by=clerk, now=NOW)
    assert (done.state, done.words, done.resolved_by) == ("overridden", "Credited on paper.", clerk)
    assert need(customer, 1, "15.00") == 0
    assert need(customer, 1, "13.00") == 2
    with pytest.raises(invoices.NotMovable):
        invoices.override(task_id=task.pk, words="again", by=clerk, now=NOW)


def test_an_override_counts_no_longer_than_its_money_is_gone(customer, issued, clerk):
    need(customer, 1, "15.00")
    invoices.override(task_id=invoices.open_tasks()[0].pk, words="Later.", by=clerk, now=NOW)
    assert need(customer, 1, "17.00") == 0  # a part of it came back
    assert need(customer, 1, "15.00") == 2
    assert need(customer, 1, "20.00") == 0  # all of it
    assert need(customer, 1, "15.00") == 5


def test_a_credit_note_after_an_override_counts_once(customer, issued, clerk):
    request, _first = issued
    need(customer, 1, "15.00")
    invoices.override(task_id=invoices.open_tasks()[0].pk, words="Later.", by=clerk, now=NOW)
    credit(request, clerk)
    assert set(InvoiceAllocation.objects.values_list("waived", flat=True)) == {0}
    assert need(customer, 1, "0.00") == 0


def test_the_newest_invoice_of_a_payment_is_credited_first(customer, payments, clerk, series):
    payments.add(customer, "20.00")
    older, newer = ask(customer, "12.00"), ask(customer, "8.00")
    issue(older, clerk)
    issue(newer, clerk)
    assert need(customer, 1, "10.00") == 10
    assert [(t.request, t.amount) for t in invoices.open_tasks()] == [(newer, 8), (older, 2)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("way", ["credit", "override"])
def test_a_refund_that_waits_goes_on_when_its_task_is_resolved(customer, wallet, issued, clerk, way):
    request, _first = issued
    topup(wallet, "40.00")
    refund = refund_of(customer)
    need(customer, 1, "15.00", refund_id=refund.pk)
    refunds.wait(refund_id=refund.pk, problem="waits for a credit note", until=NOW + invoices.LOOK_AGAIN, now=NOW)
    [task] = invoices.open_tasks_for(refund_id=refund.pk)
    if way == "credit":
        credit(request, clerk, "5.00", task_id=task.pk)
    else:
        invoices.override(task_id=task.pk, words="No need.", by=clerk, now=NOW)
    refund.refresh_from_db()
    assert (refund.attempt_at, refund.problem) == (NOW, "")
    assert invoices.open_tasks_for(refund_id=refund.pk) == []


@pytest.mark.django_db(transaction=True)
def test_a_credit_and_a_refund_at_once_do_not_lock_each_other_out(customer, wallet, issued, clerk):
    request, _first = issued
    topup(wallet, "40.00")
    refund = refund_of(customer)

    def go_on():
        with refunds.core.locked(refund.pk), transaction.atomic():
            refunds.core.lock_wallets([customer.pk])
            need(customer, 1, "15.00", refund_id=refund.pk)

    need(customer, 1, "15.00", refund_id=refund.pk)
    results = in_threads(*[go_on] * 3, lambda: credit(request, clerk, "5.00"))
    assert failures(results) == []


@settings(max_examples=examples(12), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.sampled_from(["need", "credit", "override"]), st.integers(1, 3000)), max_size=8))
def test_whatever_happens_the_tasks_want_exactly_what_is_uncovered(customer, issued, clerk, steps):
    request, _first = issued
    spot = transaction.savepoint()
    for act, number in steps:
        amount = Decimal(number) / 100
        request.refresh_from_db()
        tasks = invoices.open_tasks(customer_id=customer.pk)
        if act == "need":
            wanted = need(customer, 1, str(max(Decimal("20.00") - amount, Decimal("0.00"))))
            assert wanted == sum(t.left for t in invoices.open_tasks() if t.source_id == 1)
        elif act == "credit" and amount <= request.amount - request.credited:
            credit(request, clerk, str(amount))
        elif act == "override" and tasks:
            invoices.override(task_id=tasks[0].pk, words="ok", by=clerk, now=NOW)
        documents = Document.objects.filter(request=request)
        request.refresh_from_db()
        assert sum(d.gross for d in documents) == request.amount - request.credited
        assert sum(a.credited for a in request.allocations.all()) == request.credited
        assert all(t.left <= t.allocation.standing - t.allocation.waived for t in invoices.open_tasks())
    transaction.savepoint_rollback(spot)


def test_a_row_cannot_say_it_is_credited_when_it_is_not(issued):
    request, _first = issued
    for values in ({"state": State.CREDITED}, {"credited": 5}, {"credited": 31, "state": State.PARTLY_CREDITED}):
        with pytest.raises(DatabaseError), transaction.atomic():
            InvoiceRequest.objects.filter(pk=request.pk).update(**values)


def test_the_audit_finds_numbers_sums_and_files_that_do_not_fit(customer, issued, clerk, series):
    request, first = issued
    credit(request, clerk, "10.00")
    assert list(check_invoices(None)) == []
    InvoiceAllocation.objects.filter(request=request, source_id=1).update(amount="21.00")
    InvoiceSeries.objects.filter(pk=series.pk).update(next_number=9)
    with connection.cursor() as cursor:  # what no application does: a hand in the database
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE billing_document SET content = 'x' WHERE id = %s", [first.pk])
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")
    sums, numbers, files = check_invoices(None)
    assert request.number in sums
    assert "the next is 9" in numbers
    assert first.number in files
    assert list(check_invoices(customer.pk)) == [sums]

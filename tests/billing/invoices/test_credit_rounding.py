"""However an invoice is split into credit notes, they take back exactly what it said, and none turns a sign."""

from decimal import Decimal

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.invoices.audit import check_invoices
from billing.invoices.papers import documents
from billing.models import Document
from tests.billing.invoices.invoice_steps import ask, clerk, issue, make_series, payments
from tests.billing.invoices.test_credits import credit
from tests.examples import examples

__all__ = ["clerk", "payments"]

pytestmark = pytest.mark.django_db
RATES = ("0", "0.01", "0.03", "0.06", "0.13", "0.19", "0.2", "0.25", "0.27", "0.9999")


@pytest.fixture(autouse=True)
def _pages_cost_nothing(monkeypatch):
    monkeypatch.setattr(documents, "render", lambda document: b"%PDF-")
    monkeypatch.setattr("billing.invoices.crediting.render", lambda document: b"%PDF-")


def taken_back(first: Document, notes: list[Document]) -> None:
    """All that must be true of an invoice that is credited whole."""
    for note in notes:
        assert note.gross < 0
        assert note.net <= 0
        assert note.tax <= 0
        assert note.net + note.tax == note.gross
        assert all(Decimal(line["gross"]) < 0 for line in note.lines)
    for name in ("gross", "net", "tax"):
        assert sum(getattr(note, name) for note in notes) == -getattr(first, name), name
    assert list(check_invoices(None)) == []


@pytest.mark.parametrize(
    ("amount", "rate", "step"),
    [("1.00", "0.2", "0.01"), ("1.00", "0.06", "0.01"), ("2.00", "0.13", "0.03"), ("100.00", "0.19", "33.33")],
)
def test_a_hundred_credit_notes_of_a_cent_are_the_invoice_and_none_is_above_zero(
    customer, payments, clerk, amount, rate, step
):
    payments.add(customer, amount)
    make_series(tax_rate=Decimal(rate))
    request = ask(customer, amount)
    first = issue(request, clerk)
    left, notes = Decimal(amount), []
    while left > 0:
        notes.append(credit(request, clerk, str(min(left, Decimal(step)))))
        left -= min(left, Decimal(step))
    taken_back(first, notes)


@settings(max_examples=examples(5), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    amount=st.integers(1, 200_000),
    rate=st.sampled_from(RATES),
    shares=st.lists(st.one_of(st.integers(1, 5), st.integers(1, 100_000)), max_size=8),
)
def test_any_split_of_an_invoice_into_credit_notes_sums_exactly(make_customer, payments, clerk, amount, rate, shares):
    customer, total = make_customer(), Decimal(amount) / 100
    half = (total / 2).quantize(Decimal("0.01"))
    for paid in (half, total - half):  # over two payments, so that a note may have two lines
        if paid:
            payments.add(customer, str(paid))
    made = Document.objects.count()
    make_series(f"S{made}-", tax_rate=Decimal(rate))
    request = ask(customer, str(total))
    first = issue(request, clerk)
    left, notes = total, []
    for share in shares:
        if share * Decimal("0.01") < left:
            notes.append(credit(request, clerk, str(Decimal(share) / 100)))
            left -= Decimal(share) / 100
    notes.append(credit(request, clerk))
    taken_back(first, notes)


def test_the_audit_finds_credit_notes_that_leave_net(customer, payments, clerk):
    payments.add(customer, "1.00")
    make_series(tax_rate=Decimal("0.2"))
    request = ask(customer, "1.00")
    issue(request, clerk)
    note = credit(request, clerk)
    with connection.cursor() as cursor:  # what no application does: a hand in the database
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE billing_document SET net = net - 0.01, tax = tax + 0.01 WHERE id = %s", [note.pk])
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")
    [drift] = check_invoices(None)
    assert "-0.01 of net remain" in drift

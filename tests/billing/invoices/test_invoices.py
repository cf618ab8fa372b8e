"""Invoices in the books: what fits, numbers without gaps and documents that stay."""

import hashlib
from decimal import Decimal

import pytest
from django.core import mail as outbox
from django.db import DatabaseError, IntegrityError, transaction

from accounts.models import Membership, User
from billing import invoices
from billing.books.money import net_of
from billing.invoices.papers import documents
from billing.models import Document, InvoiceRequest, InvoiceSeries, Wallet
from billing.outbox import mail
from tests.billing.invoices.invoice_steps import CREDIT_CODE, ask, clerk, issue, make_series, payments, series
from tests.conftest import NOW
from tests.outbox import mails

__all__ = ["clerk", "payments", "series"]

pytestmark = pytest.mark.django_db
State = InvoiceRequest.State


def most(customer, currency="USD"):
    return invoices.invoiceable(customer_id=customer.pk, currency=currency, now=NOW)


def test_each_payment_allows_what_was_charged_less_all_that_goes_back_or_is_invoiced(customer, payments, clerk, series):
    first, second = payments.add(customer, "20.00", days_ago=9), payments.add(customer, "30.00")
    payments.change(customer, first, refunded="2.00", frozen="3.00", disputed="1.00")
    issue(ask(customer, "10.00"), clerk)
    ask(customer, "6.00")
    found = most(customer)
    assert [(p.source.source_id, p.invoiced, p.requested, p.amount) for p in found.payments] == [
        (first, Decimal("10.00"), Decimal("4.00"), 0),
        (second, 0, Decimal("2.00"), Decimal("28.00")),
    ]
    assert (found.amount, found.charged, found.refunded, found.frozen, found.disputed) == (28, 50, 2, 3, 1)
    assert (found.invoiced, found.requested) == (10, 6)


def test_bonus_is_never_invoiced(customer, payments):
    assert Wallet.objects.get(customer=customer).bonus == 10
    with pytest.raises(invoices.InvoiceError, match="no payment"):
        ask(customer, "1.00")


def test_the_same_money_is_not_invoiced_twice(customer, payments, clerk, series):
    payments.add(customer)
    issue(ask(customer, "15.00"), clerk)
    with pytest.raises(invoices.InvoiceError, match=r"At most 5\.00 USD") as error:
        ask(customer, "5.01")
    assert error.value.field == "amount"
    ask(customer, "5.00")
    with pytest.raises(invoices.InvoiceError, match=r"At most 0\.00 USD"):
        ask(customer, "0.01")


@pytest.mark.parametrize("kind", ["invoice", "credit_note"])
def test_a_document_is_never_changed_nor_deleted(customer, payments, clerk, series, kind):
    payments.add(customer)
    request = ask(customer)
    document = issue(request, clerk)
    if kind == "credit_note":
        document = invoices.credit(request_id=request.pk, reason="wrong", by=clerk, now=NOW)
    for act in (
        lambda: Document.objects.filter(pk=document.pk).update(gross=1),
        lambda: document.save(),
        lambda: Document.objects.filter(pk=document.pk).delete(),
        lambda: series.delete(),
        lambda: InvoiceSeries.objects.filter(pk=series.pk).update(next_number=1),
        lambda: InvoiceSeries.objects.filter(pk=series.pk).update(prefix="OTHER-"),
    ):
        with pytest.raises(DatabaseError, match=r"Cannot update|Cannot delete|referenced"), transaction.atomic():
            act()


def test_a_document_keeps_seller_and_buyer_as_they_were(customer, payments, clerk, series):
    payments.add(customer)
    document = issue(ask(customer, billing_address="Street 1\n10115 Berlin", remark="PO 7"), clerk)
    InvoiceSeries.objects.filter(pk=series.pk).update(seller_name_en="Another", tax_rate="0.1300")
    InvoiceRequest.objects.update(company_name="Another")
    document.refresh_from_db()
    assert document.seller["name"] == "Chuizi Cloud Ltd"
    assert document.buyer["name"] == "Ada GmbH"
    assert (document.buyer["billing_address"], document.buyer["remark"]) == ("Street 1\n10115 Berlin", "PO 7")
    assert (document.gross, document.net, document.tax) == (Decimal("20.00"), Decimal("18.87"), Decimal("1.13"))
    assert (document.tax_rate, document.issued_by) == (Decimal("0.0600"), clerk)
    assert document.lines[0]["label"] == "topup_0001"
    assert bytes(document.content).startswith(b"%PDF-")
    assert document.sha256 == hashlib.sha256(bytes(document.content)).hexdigest()


@pytest.mark.parametrize(
    ("gross", "rate", "net"),
    [("10.60", "0.06", "10.00"), ("0.01", "0.06", "0.01"), ("100.00", "0", "100.00"), ("1.05", "0.4", "0.75")],
)
def test_the_net_is_the_gross_without_its_tax_to_the_cent(gross, rate, net):
    assert net_of(Decimal(gross), rate=Decimal(rate)) == Decimal(net)
    assert net_of(-Decimal(gross), rate=Decimal(rate)) == -Decimal(net)


def test_half_a_cent_of_net_goes_to_the_even_one():
    assert net_of(Decimal("0.03"), rate=Decimal("0.2")) == Decimal("0.02")  # 0.025
    assert net_of(Decimal("0.09"), rate=Decimal("0.2")) == Decimal("0.08")  # 0.075


@pytest.mark.parametrize(
    "amount", ["0", "0.00", "-1", "-0.01", "1.001", "1e3", "NaN", "Infinity", "", "one", "1,5", None, 1.5, True, "１"]
)
def test_an_amount_that_is_none_is_refused(customer, payments, amount):
    payments.add(customer)
    with pytest.raises(invoices.InvoiceError) as error:
        ask(customer, amount)
    assert error.value.field == "amount"
    assert not InvoiceRequest.objects.exists()


@pytest.mark.parametrize("amount", ["20.01", "99999999999.99", "9" * 40, 10**30])
def test_an_absurd_amount_is_refused_with_words(customer, payments, amount):
    payments.add(customer)
    with pytest.raises(invoices.InvoiceError):
        ask(customer, amount)
    assert not InvoiceRequest.objects.exists()


def test_an_invoice_has_one_currency_which_is_asked_for_when_there_are_two(customer, payments):
    payments.add(customer, "20.00")
    payments.add(customer, "140.00", currency="CNY")
    with pytest.raises(invoices.InvoiceError, match="CNY, USD") as error:
        ask(customer, "20.00")
    assert error.value.field == "currency"
    with pytest.raises(invoices.InvoiceError, match="paid in") as error:
        ask(customer, "20.00", currency="EUR")
    assert error.value.field == "currency"
    request = ask(customer, "140.00", currency="cny")
    assert (request.currency, request.allocations.get().amount) == ("CNY", Decimal("140.00"))


def test_the_only_currency_is_taken_and_the_oldest_payments_first(customer, payments):
    newer = payments.add(customer, "10.00", currency="CNY", days_ago=1)
    older = payments.add(customer, "10.00", currency="CNY", days_ago=5)
    request = ask(customer, "15.00")
    assert request.currency == "CNY"
    assert list(request.allocations.order_by("paid_at").values_list("source_id", "amount")) == [
        (older, Decimal("10.00")),
        (newer, Decimal("5.00")),
    ]


def test_a_refund_between_asking_and_issuing_moves_the_invoice_to_other_payments(customer, payments, clerk, series):
    first, second = payments.add(customer, "20.00", days_ago=9), payments.add(customer, "20.00")
    request = ask(customer, "20.00")
    payments.change(customer, first, frozen="15.00")
    document = issue(request, clerk)
    assert [(line["source_id"], line["gross"]) for line in document.lines] == [(first, "5.00"), (second, "15.00")]


def test_a_refund_that_leaves_too_little_stops_the_issue_and_takes_no_number(customer, payments, clerk, series):
    first = payments.add(customer, "20.00")
    request = ask(customer, "20.00")
    payments.change(customer, first, refunded="5.00")
    with pytest.raises(invoices.InvoiceError, match=r"at most 15\.00 USD"):
        issue(request, clerk)
    series.refresh_from_db()
    request.refresh_from_db()
    assert (series.next_number, request.state, Document.objects.count()) == (1, State.REQUESTED, 0)


def test_denied_and_cancelled_requests_free_their_money(customer, payments, clerk):
    payments.add(customer)
    invoices.deny(request_id=ask(customer).pk, words="Not now.", by=clerk, now=NOW)
    invoices.cancel(request_id=ask(customer).pk, now=NOW)
    request = ask(customer)
    with pytest.raises(invoices.InvoiceError) as error:
        invoices.deny(request_id=request.pk, words="  ", by=clerk, now=NOW)
    assert error.value.field == "words"
    invoices.cancel(request_id=request.pk, now=NOW)
    with pytest.raises(invoices.NotMovable):
        invoices.deny(request_id=request.pk, words="Late.", by=clerk, now=NOW)


def test_staff_decide_nothing_for_a_customer_they_belong_to(customer, payments, clerk, series):
    payments.add(customer)
    request = ask(customer, delivery="post", mailing_address="Street 1")
    Membership.objects.create(user=clerk, customer=customer)
    for act in (
        lambda: issue(request, clerk),
        lambda: invoices.deny(request_id=request.pk, words="no", by=clerk, now=NOW),
        lambda: invoices.mark_posted(request_id=request.pk, carrier="SF", tracking="1", by=clerk, now=NOW),
        lambda: invoices.credit(request_id=request.pk, reason="no", by=clerk, now=NOW),
        lambda: ask(customer, entered_by=clerk),
    ):
        with pytest.raises(invoices.NotAllowed):
            act()


def test_the_series_of_the_currency_comes_before_one_for_any(customer, payments, clerk, series):
    own = make_series("CNY-", currency="CNY")
    assert documents.series_for(currency="CNY") == own
    assert documents.series_for(currency="USD") == series
    InvoiceSeries.objects.update(is_active=False)
    payments.add(customer)
    with pytest.raises(invoices.InvoiceError, match="seller") as error:
        issue(ask(customer), clerk)
    assert error.value.field == "series"
    series.refresh_from_db()
    with pytest.raises(invoices.InvoiceError, match="not in use"):
        invoices.issue(request_id=InvoiceRequest.objects.get().pk, series=series, by=clerk, now=NOW)


def test_an_issued_invoice_is_mailed_as_a_file_to_members_and_the_named_address(
    customer, user, payments, clerk, series
):
    payments.add(customer)
    document = issue(ask(customer, locale="zh-hans"), clerk)
    assert set(mails().filter(document=document).values_list("to", flat=True)) == {user.email, "books@ada.example"}
    mail.send_due(now=NOW)
    sent = [message for message in outbox.outbox if message.attachments]
    assert len(sent) == 2
    name, content, kind = sent[0].attachments[0]
    assert (name, kind) == (f"{document.number}.pdf", "application/pdf")
    assert content == bytes(document.content)
    assert f"/console/invoices/{document.request.number}" in sent[0].body


def test_a_posted_invoice_names_carrier_and_tracking(customer, user, payments, clerk, series):
    payments.add(customer)
    request = ask(customer, delivery="post", mailing_address="Street 1\nBerlin", email="")
    with pytest.raises(invoices.NotMovable):
        invoices.mark_posted(request_id=request.pk, carrier="SF", tracking="SF1", by=clerk, now=NOW)
    issue(request, clerk)
    for wrong in (
        {"carrier": "", "tracking": "1"},
        {"carrier": "SF", "tracking": " "},
        {"carrier": "x" * 61, "tracking": "1"},
    ):
        with pytest.raises(invoices.InvoiceError):
            invoices.mark_posted(request_id=request.pk, by=clerk, now=NOW, **wrong)
    done = invoices.mark_posted(request_id=request.pk, carrier="SF Express", tracking="SF 123", by=clerk, now=NOW)
    assert (done.carrier, done.tracking, done.posted_at) == ("SF Express", "SF123", NOW)
    assert "SF123" in mails().order_by("-pk")[0].body


def test_the_request_and_what_is_written_with_it_are_there_together_or_not_at_all(customer, payments):
    payments.add(customer)

    def fail(_request):
        raise IntegrityError("no answer could be kept")

    with pytest.raises(IntegrityError), transaction.atomic():
        ask(customer, in_transaction=fail)
    assert not InvoiceRequest.objects.exists()


def test_staff_enter_a_request_that_came_by_mail(customer, payments, clerk):
    payments.add(customer)
    request = ask(customer, entered_by=clerk, reference="<mail-7@ada.example>")
    assert (request.entered_by, request.reference) == (clerk, "<mail-7@ada.example>")
    assert request.tax_id == CREDIT_CODE
    assert User.objects.filter(pk=clerk.pk).exists()


@pytest.mark.parametrize(
    ("locale", "subjects"),
    [
        (
            "en",
            [
                "We received your invoice request",
                "Your invoice CZ2026-000001",
                "Your invoice is in the post",
                "Credit note CZ2026-000002",
                "We received your invoice request",
                "Your invoice request was declined",
            ],
        ),
        (
            "zh-CN",
            [
                "我们已收到您的账单申请",
                "您的账单 CZ2026-000001",
                "您的账单已寄出",
                "贷项通知单 CZ2026-000002",
                "我们已收到您的账单申请",
                "您的账单申请未获通过",
            ],
        ),
    ],
)
def test_each_step_is_told_in_the_language_it_was_asked_in(customer, user, payments, clerk, series, locale, subjects):
    payments.add(customer)
    request = ask(customer, locale=locale, delivery="post", mailing_address="Street 1", email="")
    issue(request, clerk)
    invoices.mark_posted(request_id=request.pk, carrier="SF", tracking="1", by=clerk, now=NOW)
    invoices.credit(request_id=request.pk, reason="100%(x)s", by=clerk, now=NOW)
    again = ask(customer, locale=locale, company_name="%(words)s {0}")
    invoices.deny(request_id=again.pk, words="50 % no, %(amount)s", by=clerk, now=NOW)
    told = list(mails().order_by("pk").values_list("subject", "body"))
    assert [subject for subject, _body in told] == subjects
    assert "50 % no, %(amount)s" in told[-1][1]
    assert "%(words)s {0}" in told[-2][1]
    assert all("20.00 USD" in body for _subject, body in told)


def test_a_deny_a_cancel_and_an_issue_leave_each_other_alone(customer, payments, clerk, series):
    payments.add(customer)
    request = ask(customer)
    issue(request, clerk)
    for act in (
        lambda: issue(request, clerk),
        lambda: invoices.cancel(request_id=request.pk, now=NOW),
        lambda: invoices.deny(request_id=request.pk, words="no", by=clerk, now=NOW),
    ):
        with pytest.raises(invoices.NotMovable):
            act()
    request.refresh_from_db()
    assert (request.state, Document.objects.count()) == (State.ISSUED, 1)

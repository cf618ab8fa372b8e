"""Invoices at the staff desk: issued, recorded, posted, credited, and what is refused."""

import re
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Membership
from billing import invoices, refunds
from billing.models import Document, InvoiceRequest, InvoiceSeries
from payments import refunds as refunding
from tests.payments.invoice_page_steps import BUYER, USCC, api, ask, paid, paid_topup, series, staff
from tests.pdf_pages import read
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db

__all__ = ["api", "paid", "series", "staff"]


@pytest.fixture
def desk(staff):
    client = Client()
    client.force_login(staff)
    return client


def asked(customer, **fields):
    details = BUYER | {"amount": "5.00"} | fields
    return invoices.ask(customer=customer, now=timezone.now(), **details)


def act(desk, invoice, name, follow=True, **fields):
    return desk.post(f"/admin/billing/invoicerequest/{invoice.pk}/act/{name}", fields, follow=follow)


def text_of(answer):
    assert answer.status_code == 200
    return answer.content.decode()


def test_staff_issue_an_invoice_and_read_it(desk, customer, paid, series):
    invoice = asked(customer)
    assert "Example GmbH" in text_of(desk.get("/admin/billing/invoicerequest/"))
    assert "Issue and mail it" in text_of(desk.get(f"/admin/billing/invoicerequest/{invoice.pk}/change/"))
    assert "Issued: CZ2026-000001." in text_of(act(desk, invoice, "issue", series=series.pk))
    document = Document.objects.get()
    assert desk.get(f"/admin/billing/document/{document.pk}/file").content.startswith(b"%PDF-")
    found = desk.get(f"/admin/?q={document.number}")  # the one that there is opens
    assert found.headers["location"] == f"/admin/billing/invoicerequest/{invoice.pk}/change/"
    again = text_of(act(desk, invoice, "issue", series=series.pk))
    assert "This request is issued already." in again
    assert Document.objects.count() == 1


def test_a_tax_number_whose_check_digit_does_not_fit_is_marked_for_the_desk(desk, customer, paid, series):
    marked = "Its check digit does not fit"
    for tax_id, is_doubtful in (("DE136695976", False), ("DE136695977", True)):
        invoice = asked(customer, amount="1.00", country="DE", tax_id=tax_id, tax_id_confirmed=True)
        page = text_of(desk.get(f"/admin/billing/invoicerequest/{invoice.pk}/change/"))
        assert (tax_id in page, marked in page) == (True, is_doubtful)


def test_a_fapiao_is_for_what_was_paid_in_cny(api, paid):
    answer = ask(api, invoice_type="fapiao_general", country="CN", tax_id=USCC)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "invoice_type")
    assert not InvoiceRequest.objects.exists()


def test_of_several_series_the_desk_offers_the_newest_first_and_issues_from_it(desk, customer, paid, series):
    newer = InvoiceSeries.objects.create(prefix="CZ2027-", seller_name_en="Chuizi Ltd", seller_address_en="1 Main St")
    invoice = asked(customer)
    page = text_of(desk.get(f"/admin/billing/invoicerequest/{invoice.pk}/change/"))
    assert re.findall(r'<option value="(\d+)">CZ', page) == [str(newer.pk), str(series.pk)]
    assert "Issued: CZ2027-000001." in text_of(act(desk, invoice, "issue", series=newer.pk))


@pytest.mark.parametrize("chosen", ["", "x", "0", "9" * 30, "unused"])
def test_a_number_is_never_taken_from_a_series_that_nobody_chose(desk, customer, paid, series, chosen):
    unused = InvoiceSeries.objects.create(
        prefix="OLD-", seller_name_en="Chuizi Ltd", seller_address_en="1 Main St", is_active=False
    )
    invoice = asked(customer)
    answer = act(desk, invoice, "issue", series=unused.pk if chosen == "unused" else chosen)
    assert "Choose one of the series in use." in text_of(answer)
    assert not Document.objects.exists()
    series.refresh_from_db()
    assert series.next_number == 1


def test_the_page_to_be_issued_is_seen_before_it_takes_a_number(desk, customer, paid, series, drawing):
    invoice = asked(customer)
    page = text_of(desk.get(f"/admin/billing/invoicerequest/{invoice.pk}/change/"))
    assert f'value="{series.pk}"' in page  # what is shown is what is posted
    [link] = re.findall(r'href="([^"]+/preview\?series=\d+)"', page)
    [said] = read(desk.get(link).content)
    assert "Example GmbH" in said
    assert "5.00 USD" in said
    assert "Preview, no number yet" in said
    assert "CZ2026-000001" not in said
    series.refresh_from_db()
    assert (series.next_number, Document.objects.count()) == (1, 0)
    assert "Choose one of" in text_of(desk.get(link.partition("?")[0], follow=True))
    act(desk, invoice, "issue", series=series.pk)
    assert desk.get(link).status_code == 404


def test_without_a_series_the_desk_says_what_is_missing(desk, customer, paid):
    invoice = asked(customer)
    assert "Add a series" in text_of(desk.get(f"/admin/billing/invoicerequest/{invoice.pk}/change/"))
    act(desk, invoice, "issue")
    assert not Document.objects.exists()


def test_staff_deny_with_words_that_the_customer_reads(desk, browser_client, customer, paid):
    invoice = asked(customer)
    assert "Say why." in text_of(act(desk, invoice, "deny", words=" "))
    act(desk, invoice, "deny", words="The name is not complete.")
    assert "The name is not complete." in browser_client.get(f"/console/invoices/{invoice.number}").content.decode()


def test_a_posted_invoice_carries_its_tracking_number(desk, browser_client, customer, paid, series):
    invoice = asked(customer, delivery="post", mailing_address="1 Road\nBerlin")
    assert "There is no invoice to post." in text_of(act(desk, invoice, "post", carrier="DHL", tracking="JD01"))
    act(desk, invoice, "issue", series=series.pk)
    act(desk, invoice, "post", carrier="DHL", tracking="JD01")
    assert "JD01" in browser_client.get(f"/console/invoices/{invoice.number}").content.decode()


def test_finance_credits_a_part_and_reissues_for_another_buyer(desk, customer, paid, series):
    invoice = asked(customer)
    act(desk, invoice, "issue", series=series.pk)
    assert "At most 5.00 USD" in text_of(act(desk, invoice, "credit", amount="5.01", reason="x"))
    assert "Credited by CZ2026-000002." in text_of(act(desk, invoice, "credit", amount="2.00", reason="Refund"))
    details = {name: BUYER[name] for name in ("tax_id", "country", "email")} | {"company_name": "Right GmbH"}
    details |= {"invoice_type": "commercial", "buyer_kind": "company", "delivery": "email", "reason": "Wrong name"}
    act(desk, invoice, "reissue", **details)
    invoice.refresh_from_db()
    assert invoice.state == "credited"
    again = InvoiceRequest.objects.get(replaces=invoice)
    assert (again.company_name, again.amount, again.state) == ("Right GmbH", Decimal("3.00"), "requested")


def test_a_request_that_came_by_mail_is_checked_like_the_customers_own(desk, customer, paid, browser_client):
    email = customer.members.order_by("pk")[0].email
    form = {"customer_email": email, "reference": "Mail of Monday", "currency": "USD", "amount": "30.00"}
    form |= BUYER | {"invoice_type": "commercial", "buyer_kind": "company", "delivery": "email"}
    page = text_of(desk.post("/admin/billing/invoicerequest/add/", form))
    assert "At most 20.00 USD can be invoiced now." in page
    desk.post("/admin/billing/invoicerequest/add/", form | {"amount": "3.00"})
    made = InvoiceRequest.objects.get()
    assert (made.reference, made.entered_by.email) == ("Mail of Monday", "finance@example.org")
    assert "No customer has this address." in text_of(
        desk.post("/admin/billing/invoicerequest/add/", form | {"customer_email": "nobody@example.org"})
    )


def test_who_belongs_to_the_customer_does_not_decide(desk, staff, customer, paid, series):
    Membership.objects.create(user=staff, customer=customer)
    invoice = asked(customer)
    assert "somebody else has to decide" in text_of(act(desk, invoice, "issue", series=series.pk))
    assert not Document.objects.exists()


def test_support_issues_but_does_not_credit(customer, paid, series):
    support = at_desk(in_role("support"))
    invoice = asked(customer)
    assert "Issued" in text_of(act(support, invoice, "issue", series=series.pk))
    assert act(support, invoice, "credit", follow=False, amount="1.00", reason="x").status_code == 403
    assert act(support, invoice, "nonsense", follow=False).status_code == 404
    assert support.get("/admin/billing/invoicerequest/99999999999999999999/change/").status_code == 404


@pytest.fixture
def fapiao(customer):
    paid_topup(customer, "9", method="wechat", charge="142.40")
    return asked(
        customer,
        amount="142.40",
        invoice_type="fapiao_general",
        country="CN",
        tax_id=USCC,
        company_name="=HYPERLINK(1)",
    )


def test_waiting_fapiao_come_as_a_sheet_without_formulas(desk, fapiao):
    answer = desk.get("/admin/billing/invoicerequest/export_fapiao/")
    assert answer["Content-Type"].startswith("text/csv")
    head, row = answer.content.decode("utf-8-sig").splitlines()
    assert head.startswith("request,type,")
    assert row.startswith(f"{fapiao.number},fapiao_general,company,'=HYPERLINK(1),{USCC},142.40,CNY")


def upload(desk, *files):
    from django.core.files.uploadedfile import SimpleUploadedFile

    sent = [SimpleUploadedFile(name, content) for name, content in files]
    return text_of(desk.post("/admin/billing/invoicerequest/import_fapiao/", {"files": sent}))


def test_files_of_the_tax_platform_are_taken_in_bulk_by_their_names(desk, browser_client, fapiao, customer):
    pdf = b"%PDF-1.7\n%%EOF\n"
    number = "24952000000012345678"
    page = upload(
        desk,
        (f"{fapiao.number}_{number}.pdf", b"MZ not a document"),
        (f"invoice_{'x' * 20}_{number}.pdf", pdf),
        ("invoice.pdf", pdf),
        (f"{fapiao.number}_{number}.exe", pdf),
        (f"{fapiao.number}_{number[:-1]}9.pdf", pdf),
    )
    assert page.count("desk-good") == 1
    assert "The file is no PDF, OFD or XML" in page
    assert "There is no request" in page
    assert "does not hold a request" in page
    assert "This request is issued already." in page
    document = Document.objects.get()
    assert (document.fapiao_number, document.content_type) == (number, "application/pdf")
    path = f"/console/invoices/{fapiao.number}/documents/{document.pk}"
    assert browser_client.get(path).content == pdf


def test_a_spoilt_file_in_the_middle_stops_no_other_and_too_many_are_refused_at_once(desk, fapiao, customer):
    number, pdf = "24952000000012345678", b"%PDF-1.7\n%%EOF\n"
    spoilt = b"PK\x03\x04" + b"\xff" * 100
    page = upload(desk, (f"{fapiao.number}_1234567890.ofd", spoilt), (f"{fapiao.number}_{number}.pdf", pdf))
    assert "The OFD is damaged." in page
    assert Document.objects.get().fapiao_number == number
    page = upload(desk, *[(f"{n}.pdf", pdf) for n in range(51)])
    assert "At most 50 files at once" in page


def test_a_refund_waits_at_the_desk_for_its_credit_note(desk, staff, customer, paid, series):
    invoice = asked(customer, amount="20.00")
    act(desk, invoice, "issue", series=series.pk)
    request = refunds.ask(customer=customer, amount="5.00", reason="x", now=timezone.now())
    assert request.state == "requested"
    refunds.approve(refund_id=request.pk, amount="5.00", words="", by=staff, now=timezone.now())
    refunding.send(refund_id=request.pk, now=timezone.now())
    page = text_of(desk.get(f"/admin/billing/refundrequest/{request.pk}/change/"))
    assert f'<a href="/admin/billing/invoicerequest/{invoice.pk}/change/">{invoice.number}</a>' in page
    assert "A credit note over 5.00 USD is wanted" in page
    page = text_of(desk.get("/admin/"))
    assert "Credit notes wanted" in page

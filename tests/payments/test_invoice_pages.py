"""Invoices as customers, programs and staff meet them: pages, REST and documents."""

import json
import re
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from accounts import keys
from accounts.models import Membership, User
from billing import invoices, refunds
from billing.grants import grant_bonus
from billing.models import Document, InvoiceRequest, InvoiceSeries, Mail
from payments import refunding, topups
from payments.models import TopUp
from payments.providers.base import Outcome, PaymentFact
from tests.conftest import NOW
from tests.pdf_pages import read
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db

USCC = "91110000600037341L"
BUYER = {"company_name": "Example GmbH", "tax_id": "DE 136 695 976", "country": "DE", "email": "books@example.com"}


def paid_topup(customer, number="1", *, method="stripe", amount="20.00", charge="20.00"):
    cny = method != "stripe"
    topup = TopUp.objects.create(
        customer=customer,
        number=f"topup_{number}",
        method=method,
        amount=Decimal(amount),
        charge_amount=Decimal(charge),
        charge_currency="CNY" if cny else "USD",
        fx_rate=Decimal("7.12") if cny else None,
        expires_at=timezone.now(),
    )
    fact = PaymentFact(
        Outcome.OK, topup.number, f"tx_{number}", topup.charge_amount, topup.charge_currency, is_ours=True
    )
    topups.credit(topup_id=topup.pk, fact=fact, now=timezone.now())
    return topup


@pytest.fixture
def paid(customer):
    return paid_topup(customer)


@pytest.fixture
def series():
    return InvoiceSeries.objects.create(
        prefix="CZ2026-", tax_rate=Decimal("0.06"), seller_name_en="Chuizi Ltd", seller_address_en="1 Main St"
    )


@pytest.fixture
def staff():
    return User.objects.create_superuser("finance@example.org", "a rather long one")


@pytest.fixture
def api(customer):
    key = keys.issue(customer=customer, name="k", now=NOW)
    return Client(headers={"Authorization": f"Bearer {key.text}"})


def ask(api, headers=None, **body):
    body = {"amount": "5.00", "delivery": "email"} | BUYER | body
    return api.post("/v1/invoice-requests", json.dumps(body), content_type="application/json", headers=headers or {})


def test_an_invoice_is_asked_for_listed_shown_and_cancelled_over_the_api(api, paid):
    answer = ask(api, remark="Order 7")
    data = answer.json()["data"]
    assert answer.status_code == 201
    assert (data["amount"], data["currency"], data["state"]) == ("5.00000000", "USD", "requested")
    assert (data["company_name"], data["tax_id"], data["remark"]) == ("Example GmbH", "DE136695976", "Order 7")
    assert data["documents"] == []
    assert api.get("/v1/invoice-requests").json() == {"data": [data], "next": None, "previous": None}
    assert api.get(f"/v1/invoice-requests/{data['id']}").json()["data"] == data
    cancel = f"/v1/invoice-requests/{data['id']}/cancel"
    assert api.post(cancel, "{}", content_type="application/json").json()["data"]["state"] == "cancelled"
    again = api.post(cancel, "{}", content_type="application/json")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "invoice_not_cancellable")


def test_who_reads_chinese_gets_a_chinese_document_though_a_program_asked(api, paid, customer, series, staff):
    customer.members.update(language="zh-hans")
    ask(api)
    document = invoices.issue(request_id=InvoiceRequest.objects.get().pk, by=staff, now=timezone.now())
    assert "账单" in read(bytes(document.content))[0]
    subjects = Mail.objects.values_list("subject", flat=True)
    assert set(subjects) == {"我们已收到您的账单申请", "您的账单 CZ2026-000001"}


def test_the_same_idempotency_key_asks_once(api, paid):
    first, second = (ask(api, headers={"Idempotency-Key": "one"}) for _ in range(2))
    assert first.json() == second.json()
    assert InvoiceRequest.objects.count() == 1
    other = ask(api, headers={"Idempotency-Key": "one"}, amount="6.00")
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_conflict")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"amount": "20.01"}, "amount"),
        ({"amount": "0.001"}, "amount"),
        ({"amount": 5.5}, "amount"),
        ({"amount": "-5"}, "amount"),
        ({"amount": None}, "amount"),
        ({"company_name": ""}, "company_name"),
        ({"company_name": None}, "company_name"),
        ({"company_name": 7}, "company_name"),
        ({"company_name": "a\x00b"}, "company_name"),
        ({"tax_id": ""}, "tax_id"),
        ({"tax_id": "DE136695977"}, "tax_id"),
        ({"tax_id": "91110000600037341M", "country": "CN"}, "tax_id"),
        ({"country": "XX"}, "country"),
        ({"email": "nobody"}, "email"),
        ({"email": ""}, "email"),
        ({"delivery": "pigeon"}, "delivery"),
        ({"delivery": "post"}, "mailing_address"),
        ({"currency": "CNY"}, "currency"),
        ({"invoice_type": "other"}, "invoice_type"),
    ],
    ids=str,
)
def test_what_cannot_be_invoiced_is_said_and_nothing_is_written(api, paid, body, param):
    answer = ask(api, **body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "validation_error")
    assert answer.json()["error"]["param"] == param, answer.json()
    assert not InvoiceRequest.objects.exists()


def test_who_paid_in_two_currencies_names_one(api, paid, customer):
    paid_topup(customer, "2", method="alipay", charge="142.40")
    answer = ask(api)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "currency")
    made = ask(api, currency="CNY", amount="142.40", invoice_type="fapiao_general", country="CN", tax_id=USCC)
    assert (made.status_code, made.json()["data"]["currency"]) == (201, "CNY")


def test_a_key_with_a_limit_may_read_but_not_ask(customer, paid):
    key = keys.issue(customer=customer, name="k", now=NOW, daily_limit=Decimal(1))
    api = Client(headers={"Authorization": f"Bearer {key.text}"})
    assert api.get("/v1/invoice-requests").status_code == 200
    answer = ask(api)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "key_not_allowed")


def test_the_page_explains_each_number_and_asks(browser_client, paid, customer):
    grant_bonus(customer=customer, amount=Decimal(3), key="gift", reason="gift", now=timezone.now())
    page = browser_client.get("/console/invoices").content.decode()
    assert "$20.00" in page
    assert 'value="20.00"' in page
    form = {"currency": "USD", "amount": "20.00", "invoice_type": "commercial", "buyer_kind": "company"}
    wrong = browser_client.post("/console/invoices", {**form, **BUYER, "tax_id": "DE136695977", "delivery": "email"})
    assert wrong.status_code == 400
    assert "This is no tax number of DE" in wrong.content.decode()
    assert 'value="Example GmbH"' in wrong.content.decode()
    asked = browser_client.post("/console/invoices", {**form, **BUYER, "delivery": "email"}, follow=True)
    assert "We have your request." in asked.content.decode()
    invoice = InvoiceRequest.objects.get()
    assert asked.redirect_chain == [(f"/console/invoices/{invoice.number}", 302)]
    page = browser_client.get("/console/invoices").content.decode()
    assert "Nothing to invoice" in page
    gone = browser_client.post(f"/console/invoices/{invoice.number}/cancel", follow=True)
    assert "Cancelled." in gone.content.decode()


def test_without_a_payment_there_is_nothing_to_invoice(browser_client, customer):
    assert "Nothing to invoice" in browser_client.get("/console/invoices").content.decode()
    answer = browser_client.post("/console/invoices", {"amount": "1.00", "currency": "USD"})
    assert answer.status_code == 400


def test_a_developer_reads_but_does_not_ask(browser_client, paid, customer):
    Membership.objects.filter(customer=customer).update(role="developer")
    form = {"currency": "USD", "amount": "20.00", "invoice_type": "commercial", "buyer_kind": "company"}
    assert browser_client.get("/console/invoices").status_code == 200
    answer = browser_client.post("/console/invoices", {**form, **BUYER, "delivery": "email"})
    assert answer.status_code == 403
    assert not InvoiceRequest.objects.exists()


def test_customers_download_their_own_documents_only(api, browser_client, paid, series, staff, make_customer):
    invoice = InvoiceRequest.objects.get(number=ask(api).json()["data"]["id"])
    document = invoices.issue(request_id=invoice.pk, by=staff, now=timezone.now())
    path = f"/console/invoices/{invoice.number}/documents/{document.pk}"
    assert path in browser_client.get(f"/console/invoices/{invoice.number}").content.decode()
    answer = browser_client.get(path)
    assert answer.content.startswith(b"%PDF-")
    assert answer["Content-Disposition"].startswith('attachment; filename="')
    assert answer["Content-Type"] == "application/pdf"
    data = api.get(f"/v1/invoice-requests/{invoice.number}").json()["data"]
    assert [(d["number"], d["amount"]) for d in data["documents"]] == [(document.number, "5.00000000")]
    stranger = make_customer("1", name="Eve")
    eve = Client()
    user = User.objects.create_user("eve@example.org", "a rather long one")
    Membership.objects.create(user=user, customer=stranger)
    eve.force_login(user)
    assert eve.get(path).status_code == 404
    assert eve.get(f"/console/invoices/{invoice.number}").status_code == 404
    assert Client().get(path).status_code == 302
    other = keys.issue(customer=stranger, name="k", now=NOW)
    program = Client(headers={"Authorization": f"Bearer {other.text}"})
    assert program.get(f"/v1/invoice-requests/{invoice.number}").status_code == 404
    assert Document.objects.count() == 1


# --- The desk ---------------------------------------------------------------------------------------------------------


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
    assert invoice.number in text_of(desk.get(f"/admin/?q={document.number}"))
    again = text_of(act(desk, invoice, "issue", series=series.pk))
    assert "This request is issued already." in again
    assert Document.objects.count() == 1


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


def test_the_page_to_be_issued_is_seen_before_it_takes_a_number(desk, customer, paid, series):
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

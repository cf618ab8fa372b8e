"""Invoices as customers, programs and staff meet them: pages, REST and documents."""

from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from accounts.keys import issuing
from accounts.models import Customer, Membership, User
from billing import invoices
from billing.books.grants import grant_bonus
from billing.models import Document, InvoiceRequest
from payments.models import TopUp
from tests.conftest import NOW
from tests.outbox import mails
from tests.payments.invoice_page_steps import BUYER, USCC, api, ask, paid, paid_topup, series, staff
from tests.pdf_pages import read

pytestmark = pytest.mark.django_db

__all__ = ["api", "paid", "series", "staff"]


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
    assert (again.status_code, again.json()["error"]["code"]) == (409, "state_conflict")


def test_who_reads_chinese_gets_a_chinese_document_though_a_program_asked(api, paid, customer, series, staff, drawing):
    customer.members.update(language="zh-hans")
    ask(api)
    document = invoices.issue(request_id=InvoiceRequest.objects.get().pk, by=staff, now=timezone.now())
    assert "账单" in read(bytes(document.content))[0]
    assert "从地址 127.0.0.1 提交" in mails().exclude(about=paid.number).earliest("pk").body
    subjects = mails().exclude(about=paid.number).values_list("subject", flat=True)
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


def test_all_that_is_wrong_is_told_at_once(api, paid):
    error = ask(api, amount="20.01", company_name=" ", tax_id="", email="x", country="FR").json()["error"]
    assert error["param"] == error["errors"][0]["param"]
    assert {one["param"] for one in error["errors"]} == {"amount", "company_name", "tax_id", "email"}
    assert all(one["message"] and one["code"] for one in error["errors"])


def test_payments_are_named_over_the_api_and_the_buyer_is_the_owners_to_read(api, paid, customer):
    paid_topup(customer, "2", amount="7.00", charge="7.00")
    made = ask(api, amount=None, payments=["topup_2"])
    assert (made.status_code, made.json()["error"]["param"]) == (400, "amount"), "null is no amount"
    body = {**BUYER} | {"payments": ["topup_2"]}
    made = api.post("/v1/invoice-requests", body, content_type="application/json").json()["data"]
    assert (made["amount"], made["company_name"]) == ("7.00000000", "Example GmbH")
    assert ask(api, payments=["topup_2"]).json()["error"]["param"] == "payments"
    developer = User.objects.create_user("dev@example.org", "a rather long one")
    Membership.objects.create(user=developer, customer=customer, role="developer")
    key = issuing.issue(customer=customer, name="k", now=NOW, created_by=developer, scopes=["read"])
    theirs = Client(headers={"Authorization": f"Bearer {key.text}"})
    [listed] = theirs.get("/v1/invoice-requests").json()["data"]
    shown = theirs.get(f"/v1/invoice-requests/{made['id']}").json()["data"]
    assert listed == shown
    assert (shown["amount"], shown["company_name"], shown["tax_id"], shown["email"]) == ("7.00000000", "", "", "")


def test_who_paid_in_two_currencies_names_one(api, paid, customer):
    paid_topup(customer, "2", method="alipay", charge="142.40")
    answer = ask(api)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "currency")
    made = ask(api, currency="CNY", amount="142.40", invoice_type="fapiao_general", country="CN", tax_id=USCC)
    assert (made.status_code, made.json()["data"]["currency"]) == (201, "CNY")


def test_a_key_without_the_scope_may_read_but_not_ask(customer, paid):
    key = issuing.issue(customer=customer, name="k", now=NOW, scopes=["read"])
    api = Client(headers={"Authorization": f"Bearer {key.text}"})
    assert api.get("/v1/invoice-requests").status_code == 200
    answer = ask(api)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "key_not_allowed")


def test_the_page_explains_each_number_and_asks(browser_client, paid, customer):
    grant_bonus(customer=customer, amount=Decimal(3), key="gift", reason="gift", now=timezone.now())
    page = browser_client.get("/console/invoices").content.decode()
    assert "$20.00" in page
    assert 'data-amount="20.00" checked' in page
    form = {"currency": "USD", "amount": "20.00", "invoice_type": "commercial", "buyer_kind": "company"}
    wrong = browser_client.post("/console/invoices", {**form, **BUYER, "tax_id": "DE136695977", "delivery": "email"})
    assert wrong.status_code == 400
    assert "Its check digit does not fit" in wrong.content.decode()
    assert 'name="tax_id_confirmed"' in wrong.content.decode()
    assert 'value="Example GmbH"' in wrong.content.decode()
    everything = {**form, "amount": "20.01", "company_name": " ", "tax_id": "", "country": "DE", "delivery": "email"}
    wrong = browser_client.post("/console/invoices", everything)
    assert set(wrong.context["form"].errors) == {"company_name", "tax_id", "email"}, "those of the buyer at once"
    nothing = {**form, **BUYER, "amount": "", "is_picking": "1", "email": "x"}
    wrong = browser_client.post("/console/invoices", nothing)
    assert set(wrong.context["form"].errors) == {"payments", "email", "delivery"}
    asked = browser_client.post("/console/invoices", {**form, **BUYER, "delivery": "email"}, follow=True)
    assert "We have your request." in asked.content.decode()
    invoice = InvoiceRequest.objects.get()
    assert asked.redirect_chain == [(f"/console/invoices/{invoice.number}", 302)]
    page = browser_client.get("/console/invoices").content.decode()
    assert "Nothing to invoice" in page
    gone = browser_client.post(f"/console/invoices/{invoice.number}/cancel", follow=True)
    assert "Cancelled." in gone.content.decode()


def test_a_months_payments_are_invoiced_with_the_buyer_of_the_last_time(browser_client, api, paid, customer):
    ask(api, amount="20.00", delivery="post", mailing_address="1 Main St", remark="Order 7")
    Customer.objects.filter(pk=customer.pk).update(time_zone="Asia/Shanghai")
    times = {"1": "2026-10-31T15:59:59Z", "2": "2026-10-31T16:00:00Z", "3": "2026-11-30T15:59:59Z"}
    rows = {number: paid_topup(customer, number + "x", amount="3.00", charge="3.00") for number in times}
    for number, time in times.items():
        TopUp.objects.filter(pk=rows[number].pk).update(paid_at=time)
    page = browser_client.get("/console/invoices").content.decode()
    assert "?month=2026-10&amp;currency=USD" in page
    page = browser_client.get("/console/invoices?month=2026-11").content.decode()
    assert "Invoice for November 2026" in page
    assert "data-total>$6.00<" in page
    assert "topup_1x" not in page
    sent = {"currency": "USD", "is_picking": "1", "invoice_type": "commercial", "payments": ["topup_2x", "topup_3x"]}
    buyer = invoices.saved(customer)
    sent |= {name: getattr(buyer, name) for name in ("company_name", "tax_id", "country", "delivery", "buyer_kind")}
    sent |= {"mailing_address": buyer.mailing_address, "email": buyer.email, "amount": ""}
    foreign = browser_client.post("/console/invoices?month=2026-11", {**sent, "payments": ["topup_1"]})
    assert set(foreign.context["form"].errors) == {"payments"}
    browser_client.post("/console/invoices?month=2026-11", sent)
    made = InvoiceRequest.objects.latest("pk")
    assert (made.amount, made.company_name, made.mailing_address) == (Decimal("6.00"), "Example GmbH", "1 Main St")
    assert (made.remark, set(made.allocations.values_list("label", flat=True))) == ("", {"topup_2x", "topup_3x"})
    assert [one.name for one in invoices.months_of(customer, now=timezone.now())] == ["2026-10"]


def test_the_buyer_is_the_owners_to_see_change_and_forget(browser_client, api, paid, customer):
    ask(api)
    page = browser_client.get("/console/invoices/buyer").content.decode()
    assert 'value="DE136695976"' in page
    assert "Germany" in page
    sent = {"invoice_type": "commercial", "buyer_kind": "company", "delivery": "email", "email": "x"}
    wrong = browser_client.post("/console/invoices/buyer", sent)
    assert set(wrong.context["form"].errors) == {"company_name", "tax_id", "email"}
    sent |= {"company_name": "Ada Inc", "country": "US", "email": "ada@example.com"}
    assert browser_client.post("/console/invoices/buyer", sent).status_code == 302
    buyer = invoices.saved(customer)
    assert (buyer.company_name, buyer.tax_id, buyer.changed_by.email) == ("Ada Inc", "", "ada@example.org")
    Membership.objects.create(user=User.objects.create_user("eve@example.org"), customer=customer)
    number = InvoiceRequest.objects.get().number
    for role, sees in (("developer", False), ("viewer", False), ("owner", True)):
        Membership.objects.filter(customer=customer, user__email="ada@example.org").update(role=role)
        for path in ("/console/invoices", f"/console/invoices/{number}"):
            said = browser_client.get(path).content.decode()
            assert any(text in said for text in ("Ada Inc", "Example GmbH", "DE136695976", "books@")) == sees, (
                role,
                path,
            )
        assert (browser_client.get("/console/invoices/buyer").status_code == 200) == sees
    assert browser_client.post("/console/invoices/buyer", {"forget": "1"}).status_code == 302
    assert invoices.saved(customer) is None
    assert InvoiceRequest.objects.get().company_name == "Example GmbH"


def test_without_a_payment_there_is_nothing_to_invoice(browser_client, customer):
    assert "Nothing to invoice" in browser_client.get("/console/invoices").content.decode()
    answer = browser_client.post("/console/invoices", {"amount": "1.00", "currency": "USD"})
    assert answer.status_code == 400


def test_a_developer_reads_but_does_not_ask(browser_client, paid, customer):
    Membership.objects.create(user=User.objects.create_user("eve@example.org"), customer=customer)
    Membership.objects.filter(customer=customer, user__email="ada@example.org").update(role="developer")
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
    other = issuing.issue(customer=stranger, name="k", now=NOW)
    program = Client(headers={"Authorization": f"Bearer {other.text}"})
    assert program.get(f"/v1/invoice-requests/{invoice.number}").status_code == 404
    assert Document.objects.count() == 1

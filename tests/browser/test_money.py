"""Statements, invoices and codes in a browser: as a customer clicks through them."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from billing import invoices
from billing.audit.run import audit
from billing.bonus import batches
from billing.models import InvoiceRequest, Wallet
from tests.browser.test_pages import log_in, look, owner  # noqa: F401 - a fixture
from tests.payments.invoice_page_steps import BUYER, paid_topup
from tests.staffing import in_role

pytestmark = pytest.mark.browser


def test_a_statement_is_as_the_audit_has_it_and_leads_to_a_second_invoice_in_two_clicks(
    page,
    context,
    live_server,
    owner,  # noqa: F811
    complaints,
):
    customer, now = owner.customers.get(), timezone.now()
    paid_topup(customer, "1")
    paid_topup(customer, "2", amount="7.00", charge="7.00")
    invoices.ask(customer=customer, payments=["topup_1"], **BUYER, now=now)
    assert audit(customer_ids=[customer.pk]).drifts == []
    log_in(context, live_server, owner)
    month = f"{now:%Y-%m}"
    look(page, f"{live_server.url}/console/statements/{month}", complaints)
    wallet = Wallet.objects.get(customer=customer)
    row = page.get_by_role("row", name="Closing balance")
    expect(row).to_contain_text(f"${wallet.paid + wallet.bonus:.8f}")
    page.get_by_role("link", name="Invoice for").click()
    expect(page.locator("[data-total]")).to_have_text("$7.00")
    expect(page.get_by_text("Example GmbH")).to_be_visible()
    page.get_by_role("checkbox").first.uncheck()
    expect(page.locator("[data-total]")).to_have_text("$0.00")
    page.get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Ask for this invoice").click()
    expect(page.get_by_text("We have your request.")).to_be_visible()
    made = InvoiceRequest.objects.latest("pk")
    assert (made.amount, made.tax_id, made.email) == (Decimal(7), "DE136695976", "books@example.com")
    look(page, f"{live_server.url}/console/invoices", complaints)


def test_a_code_is_entered_once(page, context, live_server, owner, complaints):  # noqa: F811
    owner.emailaddress_set.create(email=owner.email, verified=True, primary=True)
    now, staff = timezone.now(), in_role("finance")
    given = {"words": "Hello", "amount": "5", "count": 1, "uses": 2, "days": 30, "reason": "a fair"}
    batch = batches.propose(**given, ends_at=now + timedelta(days=3), by=staff, now=now)
    [code] = batches.make_codes(batch_id=batch.pk, by=staff, now=now)
    log_in(context, live_server, owner)
    look(page, f"{live_server.url}/console/code", complaints)
    page.get_by_label("Code").fill(code)
    page.get_by_role("button", name="Enter").click()
    expect(page.get_by_text("$5.00 of bonus is yours.")).to_be_visible()
    before = Wallet.objects.get().bonus
    page.goto(f"{live_server.url}/console/code")
    page.get_by_label("Code").fill(code)
    page.get_by_role("button", name="Enter").click()
    expect(page.get_by_text("used such a code already")).to_be_visible()
    assert Wallet.objects.get().bonus == before

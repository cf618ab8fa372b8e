"""The support desk in a real browser, over everything that `make run` starts: a refund and an invoice, end to end."""

import re
from collections.abc import Iterator
from pathlib import Path

import pypdfium2
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.flows.conftest import log_in
from tests.running import Running

ARRIVES = 30_000
"""Milliseconds within which the workers have sent a refund and seen it done."""


@pytest.fixture
def desk(browser: Browser, running: Running) -> Iterator[Page]:
    """Staff at a desktop, logged in."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
    context.set_default_timeout(15_000)
    page = context.new_page()
    page.goto(f"{running.url}/accounts/login/?next=/admin/")
    page.fill("input[name=login]", running.staff[0])
    page.fill("input[name=password]", running.staff[1])
    page.click("main form button")
    page.wait_for_url(re.compile("/admin/$"))
    yield page
    context.close()


@pytest.fixture
def customer(page: Page, running: Running) -> Page:
    """The demo customer on a phone, who has just paid 20 USD by card."""
    log_in(page, running)
    page.goto(f"{running.url}/console/topup")
    page.check("input[name=method][value=stripe]")
    page.click("main form button.go")
    page.wait_for_url(re.compile("/stripe/pay/"))
    page.get_by_role("button", name=re.compile("^Pay")).click()
    expect(page.locator(".tag.is-paid").first).to_be_visible(timeout=20_000)
    return page


def test_a_refund_is_asked_for_approved_sent_and_done(customer, desk, running):
    customer.goto(f"{running.url}/console/refunds")
    customer.fill("input[name=amount]", "3.21")
    customer.fill("textarea[name=reason]", "I do not need it")
    customer.click("main form button.go")
    expect(customer.locator(".tag.is-requested").first).to_be_visible()
    desk.goto(f"{running.url}/admin/")
    desk.click("dt:has-text('Refunds at the desk') + dd a")
    desk.click("#result_list tr:has-text('3.21') a:has-text('refund_')")
    expect(desk.get_by_text("I do not need it")).to_be_visible()
    expect(desk.locator("#id_amount")).to_have_value("3.21")
    desk.get_by_role("button", name="Approve").click()
    expect(desk.get_by_text("Approved: $3.21. It is being sent.")).to_be_visible()
    for _look in range(ARRIVES // 1000):
        customer.reload()
        if customer.locator(".tag.is-done").count():
            break
        customer.wait_for_timeout(1000)
    expect(customer.get_by_text("$3.21 went back.")).to_be_visible()
    desk.reload()
    expect(desk.locator(".desk-big")).to_contain_text("done")


def test_an_invoice_is_asked_for_issued_downloaded_and_reads_right(customer, desk, running, tmp_path):
    desk.goto(f"{running.url}/admin/billing/invoiceseries/add/")
    desk.fill("input[name=prefix]", "CZ2026-")
    desk.fill("input[name=tax_rate]", "0.06")
    desk.fill("input[name=seller_name_en]", "Chuizi Ltd")
    desk.fill("input[name=seller_address_en]", "1 Main Street, Shanghai")
    desk.get_by_role("button", name="Save", exact=True).click()
    expect(desk.get_by_text("was added successfully")).to_be_visible()
    customer.goto(f"{running.url}/console/invoices?currency=USD")  # an earlier test may have paid in CNY
    expect(customer.locator("input[name=mailing_address], textarea[name=mailing_address]")).to_be_hidden()
    customer.fill("input[name=amount]", "10.60")
    customer.fill("input[name=company_name]", "Example 锤子 GmbH")
    customer.fill("input[name=tax_id]", "DE136695977")
    customer.select_option("select[name=country]", "DE")
    customer.click("main form.invoice button.go")
    expect(customer.locator("#id_tax_id_error")).to_be_visible()
    customer.fill("input[name=tax_id]", "DE136695976")
    customer.click("main form.invoice button.go")
    expect(customer.locator(".tag.is-requested").first).to_be_visible()
    desk.goto(f"{running.url}/admin/")
    desk.click("dt:has-text('Invoices to issue') + dd a")
    desk.click("#result_list tr:has-text('10.60') a:has-text('invoice_')")
    desk.get_by_role("button", name="Issue and mail it").click()
    expect(desk.get_by_text("Issued: CZ2026-000001.")).to_be_visible()
    customer.reload()
    with customer.expect_download() as download:
        customer.click("a:has-text('Download')")
    file = Path(download.value.path())
    assert download.value.suggested_filename == "CZ2026-000001.pdf"
    with pypdfium2.PdfDocument(file) as document:
        page = document[0]
        text = page.get_textpage().get_text_bounded()
        picture = page.render(scale=1).to_pil().convert("L")
    for words in ("CZ2026-000001", "Example 锤子 GmbH", "DE136695976", "10.60 USD", "10.00 USD", "0.60 USD"):
        assert words in text, text
    inked = sum(picture.histogram()[:128])
    assert 0.002 < inked / (picture.width * picture.height) < 0.2  # neither blank nor black
    mail = running.mail_to(running.login[0], about="Your invoice CZ2026-000001")
    assert "application/pdf" in mail

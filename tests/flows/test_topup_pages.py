"""Each top-up in a real browser, through the provider's sandbox page, until the page turns green by itself."""

import re
import time
from decimal import Decimal

import pytest
from playwright.sync_api import expect

from tests.flows.conftest import log_in
from tests.running import Running


def paid_balance(running: Running) -> Decimal:
    with running.client() as client:
        return Decimal(client.get("/v1/credits").json()["data"]["paid"])


def test_a_card_top_up_leads_to_the_providers_page_and_back_to_a_green_one(page, running):
    before = paid_balance(running)
    log_in(page, running)
    page.goto(f"{running.url}/console/topup")
    page.check("input[name=preset][value='5']", force=True)
    page.check("input[name=method][value=stripe]")
    expect(page.locator("[data-sum]")).to_have_text("You pay $5.00")
    page.click("main form button.go")
    page.wait_for_url(re.compile("/stripe/pay/"))
    expect(page.get_by_text("5.00").first).to_be_visible()
    page.get_by_role("button", name=re.compile("^Pay")).click()
    page.wait_for_url(re.compile("/console/topup/topup_"))
    expect(page.locator(".tag.is-paid").first).to_be_visible(timeout=20_000)
    assert paid_balance(running) == before + 5


@pytest.mark.parametrize("method", ["alipay", "wechat"])
def test_a_qr_top_up_turns_green_by_itself_when_it_is_paid_elsewhere(page, running, method):
    before = paid_balance(running)
    log_in(page, running)
    page.goto(f"{running.url}/console/topup")
    page.check("input[name=preset][value=other]", force=True)
    page.fill("input[name=amount]", "12.34")
    page.check(f"input[name=method][value={method}]")
    expect(page.locator("[data-sum]")).to_have_text("You pay ¥87.86, at 7.12 fixed for 15 minutes")
    page.click("main form button.go")
    page.wait_for_url(re.compile("/console/topup/topup_"))
    expect(page.locator(".qr svg")).to_be_visible()
    expect(page.get_by_text("¥87.86").first).to_be_visible()
    payer = page.context.new_page()  # the phone that scanned the code
    payer.goto(page.locator("[data-pay-link]").get_attribute("href"))
    payer.get_by_role("button", name=re.compile("^Pay")).click()
    expect(page.locator(".tag.is-paid").first).to_be_visible(timeout=20_000)
    assert paid_balance(running) == before + Decimal("12.34")


def test_a_declined_card_charges_nothing_and_may_be_tried_again(page, running):
    before = paid_balance(running)
    log_in(page, running)
    page.goto(f"{running.url}/console/topup")
    page.check("input[name=method][value=stripe]")
    page.click("main form button.go")
    page.wait_for_url(re.compile("/stripe/pay/"))
    page.get_by_role("button", name=re.compile("^Decline")).click()
    page.wait_for_load_state()
    time.sleep(1)
    assert paid_balance(running) == before
    page.get_by_role("button", name=re.compile("^Pay")).click()
    page.wait_for_url(re.compile("/console/topup/topup_"))
    expect(page.locator(".tag.is-paid").first).to_be_visible(timeout=20_000)
    assert paid_balance(running) == before + 20


@pytest.mark.parametrize(("amount", "says"), [("0.99", "at least"), ("1.234", "two decimals"), ("NaN", "two decimals")])
def test_a_bad_amount_is_said_beside_the_field(page, running, amount, says):
    log_in(page, running)
    page.goto(f"{running.url}/console/topup")
    page.check("input[name=preset][value=other]", force=True)
    page.fill("input[name=amount]", amount)
    page.click("main form button.go")
    expect(page.locator("#amount-error")).to_contain_text(says)

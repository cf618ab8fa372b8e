"""Alerts on a phone and on a desktop: set on the settings, seen on another page, and put away."""

from decimal import Decimal

import pytest
from django.db import transaction
from playwright.sync_api import expect

from accounts.keys import issuing
from accounts.limits.correcting import Charged
from accounts.limits.spending import Whose
from billing.models import AlertSettings
from billing.warnings import spending
from core.clock import database_now
from tests.browser.test_pages import log_in, look, owner  # noqa: F401 - a fixture

pytestmark = pytest.mark.browser


def test_they_are_set_seen_and_put_away(page, context, live_server, owner, complaints):  # noqa: F811
    log_in(context, live_server, owner)
    page.goto(f"{live_server.url}/console/settings")
    page.get_by_label("When the balance falls below, USD").fill("5000")
    page.get_by_label("Budget of the account a month, USD").fill("20")
    page.get_by_label("At 50, 80 and 100 % of the caps").check()
    page.locator("section[aria-labelledby=alerts]").get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    expect(page.get_by_text("below the $5000.00 that you want to be told of")).to_be_visible()
    assert AlertSettings.objects.get().caps
    customer, now = owner.customers.get(), database_now()
    key = issuing.issue(customer=customer, name="x" * 100, now=now, daily_limit=Decimal(1)).key
    today = now.date()
    after = (Decimal("0.8"),) * 4
    with transaction.atomic():
        spending.tell([Charged(Whose.KEY, key.pk, key.customer_id, today, after[0], today, after)], now=now)
    page.goto(f"{live_server.url}/console/keys")
    expect(page.get_by_text("$0.80 are spent of the cap of $1.00 a day, 80 %.")).to_be_visible()
    look(page, f"{live_server.url}/console/keys", complaints)
    page.get_by_role("button", name="Put away").first.click()
    page.wait_for_url("**/console/keys")
    expect(page.get_by_text("$0.80 are spent of the cap")).to_have_count(0)
    expect(page.get_by_text("below the $5000.00")).to_be_visible()
    page.goto(f"{live_server.url}/console/settings")
    look(page, f"{live_server.url}/console/settings", complaints)

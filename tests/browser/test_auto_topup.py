"""Automatic top-up in a browser: from the form to a charge, and to a card that says no."""

import copy

import pytest
from allauth.account.models import EmailAddress
from django.core import mail as outbox
from django.utils import timezone
from playwright.sync_api import expect

from billing.outbox import mail
from payments.models import SavedCard
from tests.browser.test_pages import log_in, look, owner  # noqa: F401 - a fixture
from tests.payments.automatic.steps import DECLINED_LATER, work
from tests.payments.conftest import sandbox, sandbox_server  # noqa: F401 - fixtures

pytestmark = pytest.mark.browser


def test_a_card_is_saved_and_declined(page, context, live_server, sandbox, owner, complaints, settings):  # noqa: F811
    EmailAddress.objects.create(user=owner, email=owner.email, verified=True, primary=True)
    policy = copy.deepcopy(settings.CONTENT_SECURITY_POLICY)
    policy["DIRECTIVES"]["form-action"].append(sandbox.url)  # as `make run` has it
    settings.CONTENT_SECURITY_POLICY = policy
    log_in(context, live_server, owner)
    address = f"{live_server.url}/console/auto-topup"
    look(page, address, complaints)
    page.get_by_label("When the balance is below, USD").fill("1240.00")
    page.get_by_label("At most in a calendar month, USD").fill("1300.00")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("without asking me each time")).to_be_visible()
    page.get_by_role("button", name="I agree: enter the card").click()
    expect(page.get_by_role("heading", name="Save a card for Chuizi")).to_be_visible()
    page.fill("#card_number", DECLINED_LATER)
    page.get_by_role("button", name="Save card").click()
    page.wait_for_url(address)
    expect(page.get_by_text("Visa ···· 0341").first).to_be_visible()
    look(page, address, complaints)

    work()
    page.reload()
    expect(page.get_by_text("the card was declined")).to_be_visible()
    expect(page.get_by_role("table").get_by_text("failed")).to_be_visible()
    look(page, address, complaints)
    mail.send_due(now=timezone.now())
    assert "Your card Visa ···· 0341 was declined" in outbox.outbox[-1].body
    work()
    assert SavedCard.objects.get().state == "gone"
    context.add_cookies([{"name": "django_language", "value": "zh-hans", "url": live_server.url}])
    look(page, address, complaints)
    expect(page.get_by_role("heading", name="自动充值", exact=True)).to_be_visible()

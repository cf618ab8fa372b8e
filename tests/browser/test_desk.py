"""Support at the desk: forty refunds in the queue, by keyboard."""

import re

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import expect

from accounts.models import Customer
from accounts.signals import customer_created
from billing import refunds
from billing.models import RefundRequest
from tests.browser.conftest import DESKTOP
from tests.browser.test_pages import TOO_WIDE, log_in
from tests.conftest import pay_in
from tests.staffing import in_role

pytestmark = pytest.mark.browser

FORTY = 40


@pytest.fixture
def queue(transactional_db):
    """Forty requests: every tenth above support's limit, every fifth waits for its customer."""
    now, somebody = timezone.now(), in_role("support", "somebody@staff.example.org")
    made = []
    for number in range(FORTY):
        customer = Customer.objects.create(name=f"Customer {number}")
        customer_created.send(sender=Customer, customer=customer)
        pay_in(customer, "400", at=now)
        amount = "250.00" if number % 10 == 3 else "12.50"
        made.append(refunds.ask(customer=customer, amount=amount, reason="No use for it", now=now))
        if number % 5 == 1:
            refunds.ask_back(refund_id=made[-1].pk, question="Why?", by=somebody, now=now)
    return made


def test_support_goes_through_forty_refunds_by_keyboard(page, context, live_server, queue, complaints):
    log_in(context, live_server, in_role("support"))
    page.set_viewport_size(DESKTOP)
    page.goto(live_server.url + reverse("admin:billing_refundrequest_changelist"))
    waiting = RefundRequest.objects.filter(RefundRequest.FOR_STAFF).count()
    assert waiting == FORTY * 4 // 5
    expect(page.locator(".result-list tbody tr")).to_have_count(waiting)
    page.get_by_role("link", name=queue[0].number).click()

    decided = []
    for act in ("approve", "deny", "propose", "approve", "ask"):
        number = page.locator(".desk-soft").first.inner_text().partition(",")[0]
        decided.append((number, act))
        if act in ("approve", "propose"):
            page.keyboard.press("a")
            name = "Approve" if act == "approve" else "Propose"
            expect(page.get_by_role("button", name=name)).to_be_focused()
            page.keyboard.press("Enter")
        elif act == "deny":
            page.keyboard.press("d")
            expect(page.locator("#id_deny")).to_be_focused()
            page.keyboard.type("and not by keys a, d or n. ")
            page.get_by_label(re.compile("sentence")).nth(1).select_option(index=1)
            expect(page.locator("#id_deny")).to_have_value(re.compile("not by keys a, d or n.\nThis balance"))
            page.get_by_role("button", name="Deny").click()
        else:
            page.get_by_label("A question to the customer").fill("Which payment?")
            page.get_by_role("button", name="Ask back").click()
        expect(
            page.get_by_text(re.compile("(Approved|Proposed|Asked): |Closed with these words")).first
        ).to_be_visible()
        page.keyboard.press("n")
        expect(page.locator(".desk-soft").first).not_to_contain_text(number)
    assert page.evaluate(TOO_WIDE) <= 0

    states = dict(RefundRequest.objects.values_list("number", "state"))
    after = {"approve": "approved", "deny": "denied", "propose": "requested", "ask": "requested"}
    assert [(act, states[number]) for number, act in decided] == [(act, after[act]) for _number, act in decided]
    asked = [refund.number for refund in RefundRequest.objects.filter(RefundRequest.NEEDS_ANSWER)]
    assert not {number for number, act in decided if act != "ask"} & set(asked)
    assert RefundRequest.objects.filter(RefundRequest.FOR_STAFF).count() == waiting - 4
    assert complaints == []

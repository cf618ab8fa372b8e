"""Two people and two accounts, in two browsers: from the invitation to the removal."""

import re

import pytest
from django.core import mail as outbox
from django.utils import timezone
from playwright.sync_api import expect

from accounts.models import Membership, User
from billing.outbox import mail
from tests.browser.test_pages import log_in, look, owner  # noqa: F401 - a fixture

pytestmark = pytest.mark.browser


def test_from_an_invitation_to_a_switch_and_a_removal(page, context, browser, live_server, owner, complaints, settings):  # noqa: F811
    settings.SITE_URL = live_server.url
    log_in(context, live_server, owner)
    page.goto(f"{live_server.url}/console/team")
    page.get_by_label("Email address").fill("eve@example.org")
    page.get_by_role("button", name="Invite", exact=True).click()
    expect(page.get_by_text("We write to eve@example.org.")).to_be_visible()
    mail.send_due(now=timezone.now())
    link = re.search(r"http\S+/accounts/invitations/\w+", outbox.outbox[-1].body)[0]

    # She has an account of her own already.
    theirs = browser.new_context(viewport={"width": 390, "height": 844})
    eve = User.objects.create_user("eve@example.org", "a rather long one")
    eve.emailaddress_set.create(email=eve.email, verified=True, primary=True)
    other = theirs.new_page()
    other.goto(link)
    other.get_by_role("main").get_by_role("link", name="Log in").click()
    other.fill("input[name=login]", eve.email)
    other.fill("input[name=password]", "a rather long one")
    other.get_by_role("main").get_by_role("button", name="Log in").click()
    other.wait_for_url(link)
    other.get_by_role("button", name="Decline").wait_for()
    other.get_by_role("button", name="Accept").click()
    other.wait_for_url(re.compile("/console/$"))
    expect(other.locator(".big")).to_have_text("$1,234.5678")

    own = owner.customers.get()
    second = type(own).objects.create(name="A second account with quite a long name")
    from accounts.signals import customer_created

    customer_created.send(sender=type(own), customer=second)
    Membership.objects.create(user=eve, customer=second)
    other.reload()
    other.locator(".accounts summary").click()
    other.get_by_role("button", name=re.compile("A second account")).click()
    expect(other.locator(".big")).to_have_text("$0.0000")
    other.locator(".accounts summary").click()
    other.get_by_role("button", name=re.compile("^Ada")).click()
    expect(other.locator(".big")).to_have_text("$1,234.5678")
    theirs.clear_permissions()

    for path in ("/console/team", f"/console/team/{Membership.objects.get(user=eve, customer=own).pk}"):
        look(page, live_server.url + path, complaints)
    for path in ("/console/settings", "/console/leave", "/accounts/invitations"):
        look(page, live_server.url + path, complaints)
    page.goto(f"{live_server.url}/console/team")
    page.get_by_role("link", name="Change eve@example.org").click()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("eve@example.org no longer belongs to this account.")).to_be_visible()
    assert other.goto(f"{live_server.url}/console/").status == 403
    assert other.goto(f"{live_server.url}/console/").status == 200
    expect(other.locator(".big")).to_have_text("$0.0000")
    theirs.close()
    assert complaints == []

"""/console/keys/<id>: what a key spent, what it may do, and a new text for it."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from allauth.account.models import EmailAddress
from django.test import Client
from django.utils import timezone

from accounts.keys import issuing
from accounts.models import ApiKey, Customer, FormerText, KeyMeter, Membership, SecurityEvent, User


@pytest.fixture
def made(customer, user, now):
    limits = {"daily_limit": Decimal(1), "weekly_limit": Decimal(20), "allowed_models": ["openai/*"], "rpm_limit": 7}
    return issuing.issue(customer=customer, name="laptop", now=now, created_by=user, **limits)


def text_of(answer) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def as_shown(page: str) -> dict[str, str]:
    """What the form for editing holds."""
    form = page.split('id="edit"')[1].split("</form>")[0]
    fields = dict(re.findall(r'<input[^>]* name="(\w+)"(?:[^>]* value="([^"]*)")?', form))
    fields |= dict(re.findall(r'<textarea name="(\w+)"[^>]*>\s*([^<]*)</textarea>', form))
    fields["scopes"] = re.findall(r'value="(\w+)"[^>]*checked', form)
    return {name: value for name, value in fields.items() if name != "csrfmiddlewaretoken"}


def test_what_was_spent_of_a_cap_is_a_bar_with_when_it_begins_anew(browser_client, made, customer):
    Customer.objects.filter(pk=customer.pk).update(time_zone="Asia/Kathmandu")
    today = (timezone.now() + timedelta(hours=5, minutes=45)).date()
    sums = {f"{period}_spent": Decimal("0.4") for period in ("day", "week", "month", "total")}
    KeyMeter.objects.filter(pk=made.key.pk).update(day=today, day_charged=Decimal("0.3"), **sums)
    for path in ("/console/keys", f"/console/keys/{made.key.pk}"):
        page = browser_client.get(path)
        assert "today $0.4000 of $1.00 · $0.1000 of it held · resets 00:00" in text_of(page)
        assert '<rect class="fill-paid" width="40" height="8"/>' in page.content.decode()
        assert "Days begin at midnight in Asia/Kathmandu." in text_of(page)


def test_what_is_changed_is_written_and_the_rest_stays(browser_client, made):
    path = f"/console/keys/{made.key.pk}"
    shown = as_shown(browser_client.get(path).content.decode())
    assert (shown["daily_limit"], shown["weekly_limit"], shown["allowed_models"]) == ("1", "20", "openai/*")
    # Meanwhile another page disables it and changes its rate.
    ApiKey.objects.filter(pk=made.key.pk).update(rpm_limit=9)
    changed = {**shown, "name": "desktop", "monthly_limit": "50", "daily_limit": "", "concurrency_limit": "4"}
    del changed["rpm_limit"]
    answer = browser_client.post(path, {**changed, "rpm_limit": "9"}, follow=True)
    assert "It counts from the next request on" in text_of(answer)
    key = ApiKey.objects.get(pk=made.key.pk)
    assert (key.name, key.daily_limit, key.weekly_limit, key.monthly_limit) == ("desktop", None, 20, 50)
    assert (key.rpm_limit, key.concurrency_limit, key.allowed_models) == (9, 4, ["openai/*"])
    assert SecurityEvent.objects.filter(kind="key_changed").count() == 1
    browser_client.post(path, as_shown(browser_client.get(path).content.decode()))
    assert SecurityEvent.objects.filter(kind="key_changed").count() == 1, "nothing was changed"


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", ""), ("monthly_limit", "-1"), ("concurrency_limit", "0"), ("expires_on", "2001-01-01")],
)
def test_a_wrong_field_is_explained_and_nothing_changes(browser_client, made, field, value):
    path = f"/console/keys/{made.key.pk}"
    answer = browser_client.post(path, {**as_shown(browser_client.get(path).content.decode()), field: value})
    assert (answer.status_code, f'id="id_{field}_error"' in answer.content.decode()) == (400, True)
    assert ApiKey.objects.get(pk=made.key.pk).name == "laptop"


def test_a_second_click_makes_no_second_text(browser_client, made, user, mailoutbox):
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    path = f"/console/keys/{made.key.pk}/rotate"
    clicked = {"seen": made.text[:7], "overlap": "24"}
    answer = browser_client.post(path, clicked)
    [text] = set(re.findall(r"ck-[a-zA-Z0-9]{32}", answer.content.decode()))
    assert "no-store" in answer.headers["Cache-Control"]
    assert issuing.find(text) == issuing.find(made.text) == made.key
    again = browser_client.post(path, clicked, follow=True)
    assert "was rotated a moment ago" in text_of(again)
    assert issuing.find(text) == made.key
    assert FormerText.objects.count() == 1
    assert f"Its former text {made.text[:7]}… works until" in text_of(again)
    assert [mail.subject for mail in mailoutbox] == ["An API key was rotated"]


def test_a_new_text_asks_who_it_is_first(browser_client, made, settings):
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 0
    answer = browser_client.post(f"/console/keys/{made.key.pk}/rotate", {"seen": made.text[:7], "overlap": "24"})
    assert (answer.status_code, FormerText.objects.exists()) == (302, False)


def test_a_developer_looks_at_others_keys_and_changes_none(made, customer, now):
    person = User.objects.create_user("dev@example.org", "a rather long one")
    Membership.objects.create(user=person, customer=customer, role="developer")
    client = Client()
    client.force_login(person)
    page = client.get(f"/console/keys/{made.key.pk}")
    assert (page.status_code, 'name="weekly_limit"' in page.content.decode()) == (200, False)
    assert client.post(f"/console/keys/{made.key.pk}", {"name": "mine"}).status_code == 403
    assert (
        client.post(f"/console/keys/{made.key.pk}/rotate", {"seen": made.text[:7], "overlap": "0"}).status_code == 403
    )
    own = issuing.issue(customer=customer, name="own", now=now, created_by=person).key
    assert 'name="weekly_limit"' in client.get(f"/console/keys/{own.pk}").content.decode()


def test_another_customers_key_has_no_page_here(browser_client, make_customer, now):
    theirs = issuing.issue(customer=make_customer(name="Eve"), name="theirs", now=now).key
    for method in (browser_client.get, browser_client.post):
        assert method(f"/console/keys/{theirs.pk}").status_code == 404
    assert browser_client.post(f"/console/keys/{theirs.pk}/rotate").status_code == 404


def test_an_owner_sets_the_zone_in_which_days_begin_and_a_developer_does_not(browser_client, customer):
    browser_client.post("/console/settings/time-zone", {"zone": "Africa/Cairo"})
    assert Customer.objects.get(pk=customer.pk).time_zone == "Africa/Cairo"
    zones = browser_client.get("/console/settings").content.decode().split('name="zone"')[1].split("</select>")[0]
    assert '<option value="Africa/Cairo" selected>Africa/Cairo</option>' in zones
    assert ('<option value="UTC">' in zones, zones.count("selected")) == (True, 1)
    browser_client.post("/console/settings/time-zone", {"zone": "Mars/Base"})
    assert Customer.objects.get(pk=customer.pk).time_zone == "Africa/Cairo"
    person = User.objects.create_user("dev@example.org", "a rather long one")
    Membership.objects.create(user=person, customer=customer, role="developer")
    client = Client()
    client.force_login(person)
    for zone in ("UTC", "Mars/Base"):
        assert client.post("/console/settings/time-zone", {"zone": zone}).status_code == 403
    assert Customer.objects.get(pk=customer.pk).time_zone == "Africa/Cairo"

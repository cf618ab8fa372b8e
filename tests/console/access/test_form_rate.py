"""A person sends the console's forms at a person's pace; what people do at that pace is never in the way."""

from collections import Counter
from datetime import timedelta

import pytest
from django.template.loader import render_to_string
from django.test import Client
from django.utils import timezone, translation

from accounts.keys import issuing
from accounts.limits import rates
from accounts.models import ApiKey, User
from tests.conftest import NOW
from tests.staffing import at_desk

SESSIONS = "/accounts/sessions/"
FORMS = ("/console/keys", "/console/refunds", "/console/invoices", "/console/topup", SESSIONS)
KEY = {"name": "n", "scopes": ["read"]}


@pytest.fixture
def full(browser_client, monkeypatch, settings) -> Client:
    """A browser whose person has no room for one more form."""
    settings.PAYMENT_VARIABLES = dict.fromkeys(settings.PAYMENT_VARIABLES, "")
    monkeypatch.setattr(rates, "FORMS_PER_MINUTE", len(FORMS))
    assert {browser_client.post(path).status_code for path in FORMS} <= {200, 302, 400}
    return browser_client


def test_sixty_forms_a_minute_are_taken(browser_client):
    assert Counter(browser_client.post(SESSIONS).status_code for _ in range(62)) == {302: 60, 429: 2}


@pytest.mark.parametrize("path", [*FORMS, "/console/keys/1/delete", "/console/refunds/x/cancel"])
def test_all_forms_share_a_rate_and_the_refused_one_changes_nothing(full, path):
    page = full.post(path, KEY)
    wait = page["Retry-After"]
    assert (page.status_code, 1 <= int(wait) <= 65, page["Cache-Control"]) == (429, True, "no-store")
    assert f"Nothing was changed. Wait {wait} seconds, go back, and send the form again." in page.content.decode()
    assert not ApiKey.objects.exists()


def test_the_page_is_chinese_to_whom_reads_that(full):
    page = full.post(SESSIONS, headers={"Accept-Language": "zh-CN"})
    assert f"没有任何改动。请等待 {page['Retry-After']} 秒，返回上一页后重新提交。" in page.content.decode()


def test_pages_are_read_and_left_and_a_language_chosen_meanwhile(full):
    assert full.post(SESSIONS).status_code == 429
    assert {full.get(path).status_code for path in FORMS} == {200}
    assert full.post("/language", {"language": "en"}).status_code == 302
    assert full.post("/accounts/logout/").status_code == 302


def test_a_rate_is_one_persons_and_neither_the_apis_nor_the_desks(full, customer, user):
    other = Client()
    other.force_login(User.objects.create_user("eve@example.org", "a rather long one"))
    assert other.post(SESSIONS).status_code == 302
    key = issuing.issue(customer=customer, name="k", now=NOW, scopes=["read", "keys"])
    api = Client(headers={"Authorization": f"Bearer {key.text}"})
    assert api.post("/v1/keys", KEY, content_type="application/json").status_code == 201
    user.is_staff = user.is_superuser = True
    user.save()
    desk = at_desk(user)
    assert (desk.post(SESSIONS).status_code, desk.post("/admin/accounts/customer/").status_code) == (429, 200)


def test_a_form_without_its_token_is_another_sites_and_not_counted(user, monkeypatch):
    monkeypatch.setattr(rates, "FORMS_PER_MINUTE", 1)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(user)
    strict.get("/console/keys")
    sent = {"csrfmiddlewaretoken": strict.cookies["csrftoken"].value}
    found = [strict.post(SESSIONS, form).status_code for form in ({}, {}, sent, sent, {})]
    assert found == [403, 403, 302, 429, 403]


def test_there_is_room_again_after_the_time_that_was_told(user, monkeypatch):
    monkeypatch.setattr(rates, "FORMS_PER_MINUTE", 2)
    now = timezone.now()
    first, second, third = (rates.count_form(user=user, now=now) for _ in range(3))
    assert (first.refusal, second.refusal, third.refusal[:12]) == ("", "", "You may send")
    assert not rates.count_form(user=user, now=now + timedelta(seconds=third.reset)).refusal


def test_a_rate_of_the_logins_own_has_the_page_too():
    with translation.override("en"):
        assert "Nothing was changed. Wait a while, then try again." in render_to_string("429.html")

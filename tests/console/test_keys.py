"""/console/keys: make a key, see it once, stop it, delete it."""

import re

import pytest
from allauth.account.models import EmailAddress

from accounts.keys import issuing
from accounts.models import ApiKey, SecurityEvent


@pytest.fixture
def made(customer, now):
    return issuing.issue(customer=customer, name="laptop", now=now)


def test_a_new_key_is_shown_once(browser_client, customer):
    answer = browser_client.post("/console/keys", {"name": "laptop"})
    [text] = set(re.findall(r"ck-[a-zA-Z0-9]{32}", answer.content.decode()))
    assert issuing.find(text).customer == customer
    assert "no-store" in answer.headers["Cache-Control"]
    assert text not in browser_client.get("/console/keys").content.decode()


def test_whose_login_made_a_key_hears_of_it_and_its_changes_are_noted(browser_client, user, mailoutbox):
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    browser_client.post("/console/keys", {"name": "laptop"})
    key = ApiKey.objects.get()
    [mail] = mailoutbox
    assert (mail.to, mail.subject) == ([user.email], "A new API key was made")
    assert f"laptop ({key.prefix}...)" in mail.body
    browser_client.post(f"/console/keys/{key.pk}/switch", {"active": "0"})
    browser_client.post(f"/console/keys/{key.pk}/delete")
    noted = SecurityEvent.objects.filter(user=user, kind__startswith="key_").order_by("pk")
    name = f"{key.prefix}… laptop"
    assert [(event.kind, event.about) for event in noted] == [
        ("key_made", name),
        ("key_disabled", name),
        ("key_deleted", name),
    ]


def test_a_new_key_is_shown_though_no_mail_leaves(browser_client, user, monkeypatch):
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)

    def refuse(*_args, **_given):
        raise ConnectionRefusedError

    monkeypatch.setattr("django.core.mail.EmailMessage.send", refuse)
    answer = browser_client.post("/console/keys", {"name": "laptop"})
    assert (answer.status_code, "ck-" in answer.content.decode()) == (200, True)


def test_its_policy_is_what_the_form_said(browser_client, user):
    browser_client.post(
        "/console/keys",
        {
            "name": "ci",
            "total_limit": "20",
            "daily_limit": "1.50",
            "rpm_limit": "0",
            "expires_on": "2999-12-31",
            "allowed_models": "openai/m\ndeepseek/x",
            "allowed_ips": "203.0.113.7, 10.0.0.0/8",
        },
    )
    key = ApiKey.objects.get(name="ci")
    assert (key.total_limit, key.daily_limit, key.rpm_limit, key.created_by) == (20, 1.5, 0, user)
    assert key.allowed_models == ["openai/m", "deepseek/x"]
    assert key.allowed_ips == ["203.0.113.7/32", "10.0.0.0/8"]
    assert key.expires_at.isoformat() == "3000-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("daily_limit", "-1"),
        ("daily_limit", "NaN"),
        ("rpm_limit", "x"),
        ("expires_on", "2001-01-01"),
        ("allowed_ips", "nowhere"),
        ("allowed_models", "a b"),
    ],
)
def test_a_wrong_field_is_explained_and_no_key_is_made(browser_client, field, value):
    answer = browser_client.post("/console/keys", {"name": "ci", field: value})
    assert answer.status_code == 400
    assert f'id="id_{field}_error"' in answer.content.decode()
    assert not ApiKey.objects.exists()


def test_a_key_is_disabled_and_enabled_again(browser_client, made):
    browser_client.post(f"/console/keys/{made.key.pk}/switch", {"active": "0"})
    made.key.refresh_from_db()
    assert not made.key.is_active
    browser_client.post(f"/console/keys/{made.key.pk}/switch", {"active": "1"})
    made.key.refresh_from_db()
    assert made.key.is_active


def test_deleting_asks_first(browser_client, made):
    page = f"/console/keys/{made.key.pk}/delete"
    assert "laptop" in browser_client.get(page).content.decode()
    made.key.refresh_from_db()
    assert made.key.is_active
    browser_client.post(page)
    made.key.refresh_from_db()
    assert made.key.deleted_at is not None
    assert issuing.find(made.text).is_active is False
    assert browser_client.get(page).status_code == 404


def test_another_customers_key_cannot_be_touched(browser_client, make_customer, now):
    theirs = issuing.issue(customer=make_customer(name="Eve"), name="theirs", now=now).key
    assert browser_client.get(f"/console/keys/{theirs.pk}/delete").status_code == 404
    assert browser_client.post(f"/console/keys/{theirs.pk}/delete").status_code == 404
    assert browser_client.post(f"/console/keys/{theirs.pk}/switch", {"active": "0"}).status_code == 404
    theirs.refresh_from_db()
    assert theirs.is_active


def test_a_name_cannot_carry_markup(browser_client):
    answer = browser_client.post("/console/keys", {"name": "<script>alert(1)</script>"})
    assert "<script>alert" not in answer.content.decode()
    assert "&lt;script&gt;alert" in answer.content.decode()


def test_strangers_are_sent_to_the_login(client, db, made):
    for path in ("/console/keys", f"/console/keys/{made.key.pk}/delete"):
        assert client.get(path).headers["Location"].startswith("/accounts/login/")

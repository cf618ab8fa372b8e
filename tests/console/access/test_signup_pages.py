"""Signing up and logging in, page by page, with the mails they send."""

import re
from decimal import Decimal

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.core import mail
from django.core.cache import cache
from django.test import Client

from accounts.keys import issuing
from accounts.models import ApiKey, Customer, User
from billing.models import Wallet

PASSWORD = "a rather long one"


def sign_up(client: Client, email: str = "Ada@Example.org") -> str:
    """Fill in the form; return the link that the mail brings."""
    answer = client.post("/accounts/signup/", {"email": email, "password1": PASSWORD})
    assert answer.status_code == 302, answer.content
    return re.search(r"http\S+(/accounts/confirm-email/\S+)", mail.outbox[-1].body).group(1)


def test_from_sign_up_to_the_wallet(client, db):
    link = sign_up(client)
    assert not Customer.objects.exists()
    assert "ada@example.org" in client.get(link).content.decode()
    assert not Customer.objects.exists(), "a look at the page (mail scanners do that) confirms nothing"
    assert client.post(link).headers["Location"] == "/console/"
    page = client.get("/console/")
    assert page.status_code == 200
    assert "$0.5000" in page.content.decode()
    assert Wallet.objects.get().bonus == Decimal("0.5")


def test_a_link_used_twice_grants_once(client, db):
    link = sign_up(client)
    client.post(link)
    Client().post(link)
    assert Customer.objects.count() == 1
    assert Wallet.objects.get().bonus == Decimal("0.5")


def test_nobody_gets_in_before_the_address_is_confirmed(client, db):
    sign_up(client)
    answer = Client().post("/accounts/login/", {"login": "ada@example.org", "password": PASSWORD})
    assert answer.headers["Location"] == "/accounts/confirm-email/"
    assert client.get("/console/").status_code == 302


def test_an_address_that_is_taken_is_not_given_away(client, db):
    client.post(sign_up(client))
    cache.clear()  # mails to one address have a pause between them
    answer = Client().post("/accounts/signup/", {"email": "ada@example.org", "password1": PASSWORD})
    assert answer.headers["Location"] == "/accounts/confirm-email/"
    assert mail.outbox[-1].subject == "You have an account already"
    assert User.objects.count() == 1


def test_a_weak_password_is_refused_in_words(client, db):
    answer = client.post("/accounts/signup/", {"email": "ada@example.org", "password1": "short"})
    assert "at least 12" in answer.content.decode()
    assert not User.objects.exists()


def test_mails_are_in_the_language_of_the_sign_up(db):
    client = Client(headers={"Accept-Language": "zh-CN"})
    sign_up(client)
    assert mail.outbox[-1].subject == "请确认您的邮箱地址"
    assert User.objects.get().language == "zh-hans"


def test_mails_are_plain_and_short_and_link_to_our_own_address(client, db, settings):
    settings.SITE_URL = "https://chuizi.example"
    sign_up(client)
    [message] = mail.outbox
    assert message.alternatives == []
    assert len(message.body) < 500
    assert re.findall(r"https?://[^/\s]+", message.body) == ["https://chuizi.example"]


def test_a_password_can_be_set_anew(client, db):
    client.post(sign_up(client))
    other = Client()
    other.post("/accounts/password/reset/", {"email": "ada@example.org"})
    link = re.search(r"http\S+(/accounts/password/reset/key/\S+)", mail.outbox[-1].body).group(1)
    page = other.get(link, follow=True)
    form = page.request["PATH_INFO"]
    new = "another long one"
    assert other.post(form, {"password1": new, "password2": new}).status_code == 302
    assert other.post("/accounts/login/", {"login": "ada@example.org", "password": new}).status_code == 302
    assert other.get("/console/").status_code == 200


@pytest.mark.parametrize(("ticked", "left"), [({"delete_keys": "on"}, ["colleague's", "operator's"]), ({}, None)])
def test_setting_it_anew_offers_to_delete_the_keys_made_with_the_login(client, user, now, ticked, left):
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    customer, colleague = user.membership_set.get().customer, User.objects.create_user("bob@example.org", PASSWORD)
    makers = {"laptop": user, "server": user, "colleague's": colleague, "operator's": None}
    for name, maker in makers.items():
        issuing.issue(customer=customer, name=name, created_by=maker, now=now)
    client.post("/accounts/password/reset/", {"email": user.email})
    link = re.search(r"http\S+(/accounts/password/reset/key/\S+)", mail.outbox[-1].body).group(1)
    page = client.get(link, follow=True)
    assert "Also delete the API keys made with this login (2)" in page.content.decode()
    new = {"password1": "another long one", "password2": "another long one"}
    assert client.post(page.request["PATH_INFO"], {**new, **ticked}).status_code == 302
    names = ApiKey.objects.filter(deleted_at__isnull=True).order_by("id").values_list("name", flat=True)
    assert list(names) == (left or list(makers))


def test_an_address_that_staff_confirmed_opens_the_customer_at_the_next_look(client, db):
    sign_up(client)
    EmailAddress.objects.update(verified=True)
    other = Client()
    other.post("/accounts/login/", {"login": "ada@example.org", "password": PASSWORD})
    assert other.get("/console/").status_code == 200
    assert Wallet.objects.get().bonus == Decimal("0.5")


@pytest.fixture
def staff(db):
    user = User.objects.create_superuser("staff@example.org", PASSWORD)
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


def test_staff_log_in_at_the_desk_through_the_same_page(client, staff):
    answer = client.get("/admin/", follow=True)
    assert answer.request["PATH_INFO"] == "/accounts/login/"
    answer = client.post("/accounts/login/", {"login": staff.email, "password": PASSWORD})
    assert answer.headers["Location"] == "/admin/"
    assert client.get("/admin/").status_code == 200


def test_staff_without_a_customer_are_told_so_in_the_console(client, staff):
    client.force_login(staff)
    answer = client.get("/console/")
    assert answer.status_code == 403
    assert "no customer account" in answer.content.decode()


def test_a_customer_does_not_reach_the_desk(client, db):
    client.post(sign_up(client))
    assert client.get("/admin/", follow=True).status_code == 403


def test_a_second_factor_is_asked_for_and_its_secret_is_kept_encrypted(client, db):
    client.post(sign_up(client))
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    form = client.get("/accounts/2fa/totp/activate/").context["form"]
    code = format_hotp_value(hotp_value(form.secret, yield_hotp_counters_from_time().__next__()))
    assert client.post("/accounts/2fa/totp/activate/", {"code": code}).status_code == 302
    kept = Authenticator.objects.get(type="totp").data["secret"]
    assert form.secret not in kept
    other = Client()
    answer = other.post("/accounts/login/", {"login": "ada@example.org", "password": PASSWORD})
    assert answer.headers["Location"] == "/accounts/2fa/authenticate/"
    assert other.get("/console/").status_code == 302


def test_the_language_switch_is_kept_for_the_next_login(client, db):
    client.post(sign_up(client))
    client.post("/language", {"language": "zh-hans", "next": "/console/"})
    assert "可用" in client.get("/console/").content.decode()
    assert User.objects.get().language == "zh-hans"
    elsewhere = Client()
    elsewhere.post("/accounts/login/", {"login": "ada@example.org", "password": PASSWORD})
    assert "可用" in elsewhere.get("/console/").content.decode()


def test_a_language_we_do_not_have_changes_nothing(client, db):
    client.post(sign_up(client))
    client.post("/language", {"language": "tlh", "next": "/"})
    assert User.objects.get().language == "en"

"""The settings' section of alerts, and the warnings on every page until they are put away."""

from decimal import Decimal

import pytest
from django.test import Client

from accounts.models import Membership, User
from billing.models import AlertSettings, Notice, Wallet
from billing.warnings import setting
from billing.warnings.setting import Wanted
from tests.conftest import NOW, pay_in, use_up


@pytest.fixture
def owner(browser_client, user):
    user.emailaddress_set.create(email=user.email, verified=True, primary=True)
    return browser_client


def member(customer, role: str) -> Client:
    person = User.objects.create_user(f"{role}@example.org", "a rather long one")
    person.emailaddress_set.create(email=person.email, verified=True, primary=True)
    Membership.objects.create(user=person, customer=customer, role=role)
    client = Client()
    client.force_login(person)
    return client


def test_an_owner_sets_them_and_sees_them_again(owner, customer):
    form = {"low_balance": "5", "monthly_budget": "20.50", "caps": "on", "weekly_summary": "on"}
    assert owner.post("/console/settings/alerts", form).headers["Location"] == "/console/settings"
    row = AlertSettings.objects.get()
    assert (row.low_balance, row.monthly_budget, row.caps, row.weekly_summary) == (5, Decimal("20.5"), True, True)
    assert Wallet.objects.get(customer=customer).low_below == 5
    page = owner.get("/console/settings").content.decode()
    assert 'value="5.00"' in page
    assert "This month: $0.00 of $20.50." in page
    owner.post("/console/settings/alerts", {})
    assert not AlertSettings.objects.get().is_on


def test_a_wrong_amount_comes_back_with_what_is_wrong(owner):
    answer = owner.post("/console/settings/alerts", {"low_balance": "-1", "caps": "on"})
    page = answer.content.decode()
    assert answer.status_code == 400
    assert "An amount in USD above 0" in page
    assert 'value="-1"' in page
    assert not AlertSettings.objects.exists()


@pytest.mark.parametrize("role", ["developer", "viewer"])
def test_others_than_owners_neither_see_nor_set_them(customer, user, role):
    setting.change(customer=customer, wanted=Wanted(low_balance=Decimal(50)), by=None, now=NOW)
    other = member(customer, role)
    page = other.get("/console/settings").content.decode()
    assert 'id="alerts"' not in page
    assert "below the" not in page
    assert other.post("/console/settings/alerts", {"low_balance": "5"}).status_code == 403
    assert other.post(f"/console/notices/{Notice.objects.get().pk}/dismiss").status_code == 403


def test_a_warning_stands_until_it_is_put_away_or_the_balance_is_up(owner, customer, make_customer):
    setting.change(customer=customer, wanted=Wanted(low_balance=Decimal(20)), by=None, now=NOW)
    text = "The balance is $10.00, below the $20.00 that you want to be told of."
    assert text in owner.get("/console/").content.decode()
    pay_in(customer, "15", at=NOW)
    assert text not in owner.get("/console/").content.decode()
    use_up(customer, "10")
    assert "The balance is $15.00, below" in owner.get("/console/keys").content.decode()
    other = make_customer("1")
    setting.change(customer=other, wanted=Wanted(low_balance=Decimal(20)), by=None, now=NOW)
    theirs = Notice.objects.get(customer=other)
    owner.post(f"/console/notices/{theirs.pk}/dismiss")
    theirs.refresh_from_db()
    assert theirs.dismissed_at is None
    mine = Notice.objects.filter(customer=customer).latest("pk")
    for back, place in (("/console/keys", "/console/keys"), ("https://evil.example/", "/console/")):
        answer = owner.post(f"/console/notices/{mine.pk}/dismiss", {"next": back})
        assert answer.headers["Location"] == place
    assert "below the" not in owner.get("/console/keys").content.decode()

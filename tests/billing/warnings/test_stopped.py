"""Owners of an account that may not spend are written to, with the reason, once, and in their language."""

import pytest
from django.test import Client

from accounts.models import Membership, User
from accounts.people import customers
from tests.conftest import NOW
from tests.outbox import mails

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(user):
    Membership.objects.filter(user=user).update(role="owner")
    return user


def test_owners_of_a_suspended_account_read_the_reason(customer, owner):
    customers.suspend(customer=customer, reason="Your invoices could not be delivered.", now=NOW)
    letter = mails().get()
    assert (letter.to, letter.subject) == (owner.email, "Your account is suspended")
    assert "suspended your account: Your invoices could not be delivered." in letter.body
    assert "top-ups are closed" in letter.body
    customers.lift_suspension(customer=customer)
    customers.suspend(customer=customer, reason="", now=NOW)
    assert mails().count() == 2


def test_what_tells_by_itself_is_told_once(customer, owner):
    customers.suspend(customer=customer, reason="a card payment is disputed (topup_1)", now=NOW, is_told=False)
    assert not mails().exists()


def test_a_reason_of_ours_is_in_the_readers_language(customer, owner):
    User.objects.filter(pk=owner.pk).update(language="zh-hans")
    customers.suspend(customer=customer, reason="the card issuer reports a payment as fraud (topup_1)", now=NOW)
    body = mails().get().body
    assert "发卡行报告一笔付款涉嫌欺诈 (topup_1)" in body
    assert "fraud" not in body


def test_the_page_of_top_ups_says_why_there_are_none(customer, owner, settings):
    settings.DEBUG = True  # the payment methods are the sandbox's
    customers.suspend(customer=customer, reason="a card payment is disputed (topup_1)", now=NOW)
    client = Client()
    client.force_login(owner)
    page = " ".join(client.get("/console/topup").content.decode().split())
    assert "This account is suspended: a card payment is disputed (topup_1). Top-ups are closed" in page
    assert 'name="preset"' not in page

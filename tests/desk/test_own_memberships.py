"""Nobody of staff changes a membership of their own: it says whose group and money they may decide about."""

import pytest
from django.urls import reverse

from accounts.models import Membership, User
from tests.desk.test_trail import customer_form
from tests.staffing import at_desk

WORDS = "Your own membership is for somebody else to change."


@pytest.fixture
def chief(db):
    return User.objects.create_superuser("chief@example.org", "a rather long one")


@pytest.fixture
def own(chief, customer):
    return Membership.objects.create(user=chief, customer=customer, role="owner")


def members(customer):
    return tuple(Membership.objects.filter(customer=customer).order_by("pk"))


@pytest.mark.parametrize("what", [{"role": "viewer"}, {"DELETE": "on"}])
def test_not_in_the_customers_form(chief, customer, own, what):
    listed = members(customer)
    place = f"membership_set-{listed.index(own)}-"
    form = customer_form(customer, listed, **{place + name: value for name, value in what.items()})
    page = at_desk(chief).post(reverse("admin:accounts_customer_change", args=[customer.pk]), form)
    assert WORDS in page.content.decode()
    assert members(customer) == listed
    own.refresh_from_db()
    assert own.role == "owner"


def test_nor_handed_on_to_another_login(chief, customer, own):
    other = User.objects.create_user("grace@example.org", "a rather long one")
    listed = members(customer)
    form = customer_form(customer, listed, **{f"membership_set-{listed.index(own)}-user": str(other.pk)})
    page = at_desk(chief).post(reverse("admin:accounts_customer_change", args=[customer.pk]), form)
    assert WORDS in page.content.decode()
    own.refresh_from_db()
    assert own.user == chief


def test_nor_made_for_oneself(chief, customer):
    form = {"user": chief.pk, "customer": customer.pk, "role": "owner"}
    assert WORDS in at_desk(chief).post(reverse("admin:accounts_membership_add"), form).content.decode()
    assert not Membership.objects.filter(user=chief).exists()


def test_nor_ended_on_its_own_page(chief, own):
    desk = at_desk(chief)
    assert desk.post(reverse("admin:accounts_membership_delete", args=[own.pk]), {"post": "yes"}).status_code == 403
    assert Membership.objects.filter(pk=own.pk).exists()


def test_others_are_changed_beside_ones_own(chief, customer, user, own):
    listed = members(customer)
    other = next(row for row in listed if row != own)
    form = customer_form(customer, listed, **{f"membership_set-{listed.index(other)}-role": "viewer"})
    assert at_desk(chief).post(reverse("admin:accounts_customer_change", args=[customer.pk]), form).status_code == 302
    other.refresh_from_db()
    assert other.role == "viewer"

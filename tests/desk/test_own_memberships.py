"""Nobody of staff changes a membership of their own: it says whose group and money they may decide about."""

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.keys import issuing
from accounts.models import Membership, User
from accounts.people import inviting
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


# --- Others' ------------------------------------------------------------------------------------------------------
LAST = "An account has at least one owner"


@pytest.fixture
def two(customer, user):
    dev = Membership.objects.create(user=User.objects.create_user("d@example.org"), customer=customer, role="developer")
    return Membership.objects.get(user=user), dev


@pytest.mark.parametrize("what", [{"role": "viewer"}, {"DELETE": "on"}])
def test_the_last_owner_of_an_account_is_not_taken_from_it(chief, customer, two, what):
    desk, path = at_desk(chief), reverse("admin:accounts_customer_change", args=[customer.pk])
    form = customer_form(customer, two, **{f"membership_set-0-{name}": value for name, value in what.items()})
    assert LAST in desk.post(path, form).content.decode()
    own = reverse("admin:accounts_membership_change", args=[two[0].pk])
    form = {"user": two[0].user_id, "customer": customer.pk, "role": "viewer"}
    assert LAST in desk.post(own, form).content.decode()
    gone = desk.post(reverse("admin:accounts_membership_delete", args=[two[0].pk]), {"post": "yes"})
    assert (gone.status_code, [one.role for one in members(customer)]) == (403, ["owner", "developer"])


def test_owners_change_places_in_one_form(chief, customer, two):
    path = reverse("admin:accounts_customer_change", args=[customer.pk])
    roles = {"membership_set-0-role": "viewer", "membership_set-1-role": "owner"}
    assert at_desk(chief).post(path, customer_form(customer, two, **roles)).status_code == 302
    assert [one.role for one in members(customer)] == ["viewer", "owner"]


def test_keys_end_with_a_membership_that_staff_end(chief, customer, two):
    key = issuing.issue(customer=customer, name="ci", now=timezone.now(), created_by=two[1].user)
    at_desk(chief).post(reverse("admin:accounts_membership_delete", args=[two[1].pk]), {"post": "yes"})
    assert not issuing.find(key.text).is_active


def test_a_customers_page_has_its_invitations_without_their_links(chief, customer, user):
    made = inviting.invite(customer=customer, email="eve@example.org", role="viewer", by=user, now=timezone.now())
    page = at_desk(chief).get(reverse("admin:accounts_customer_change", args=[customer.pk])).content.decode()
    assert "eve@example.org, viewer, open" in page
    assert made.token_hash not in page
    story = at_desk(chief).get(reverse("admin:accounts_customer_story", args=[customer.pk])).content.decode()
    assert "eve@example.org, viewer" in story

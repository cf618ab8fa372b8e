"""People in accounts."""

import pytest
from allauth.account.models import EmailAddress

from accounts.models import Membership, User


@pytest.fixture
def make_person(db):
    """A function: somebody with a confirmed address, and a part in an account where one is named."""

    def make(email, *, customer=None, role="developer", confirmed=True):
        person = User.objects.create_user(email, "a rather long one")
        EmailAddress.objects.create(user=person, email=person.email, verified=confirmed, primary=True)
        if customer is not None:
            Membership.objects.create(user=person, customer=customer, role=role)
        return person

    return make


@pytest.fixture
def owner(make_person, customer):
    return make_person("ada@example.org", customer=customer, role="owner")

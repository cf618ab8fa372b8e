"""Somebody at a browser: a login that belongs to the customer."""

import pytest
from django.test import Client

from accounts.models import Customer, Membership, User


@pytest.fixture
def user(customer: Customer) -> User:
    user = User.objects.create_user("ada@example.org", "a rather long one")
    Membership.objects.create(user=user, customer=customer)
    return user


@pytest.fixture
def browser_client(user: User) -> Client:
    """Logged in as the customer's owner."""
    client = Client()
    client.force_login(user)
    return client

"""Staff of each role, and their way to the desk."""

from django.contrib.auth.models import Group
from django.test import Client

from accounts import staff_groups
from accounts.models import GivenRight, User
from accounts.roles import STAFF

ROLES = tuple(STAFF)


def in_role(role: str, email: str = "") -> User:
    """One of the staff in a role's group, as migrations leave it."""
    if not Group.objects.filter(name=role, permissions__isnull=False).exists():
        # Tests that commit are cleaned up with everything that migrations wrote.
        GivenRight.objects.all().delete()
        staff_groups.fill()
    user = User.objects.create_user(email or f"{role}@staff.example.org", "a rather long one", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return user


def at_desk(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client

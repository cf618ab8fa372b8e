"""Staff of each role, and their way to the desk."""

from importlib import import_module

from django.apps import apps
from django.contrib.auth.models import Group
from django.test import Client

from accounts.models import User

ROLES = ("support", "finance", "operator")


def in_role(role: str, email: str = "") -> User:
    """One of the staff in a role's group, as the migration made it."""
    if not Group.objects.filter(name=role, permissions__isnull=False).exists():
        # Tests that commit are cleaned up with everything that migrations wrote.
        import_module("payments.migrations.0007_roles").fill_groups(apps, None)
    user = User.objects.create_user(email or f"{role}@staff.example.org", "a rather long one", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return user


def at_desk(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client

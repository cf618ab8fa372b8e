"""Which customer a page is about."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _

from accounts.models import Customer, Membership, User


def memberships(user: User) -> QuerySet[Membership]:
    """A user's memberships, the oldest first."""
    return Membership.objects.filter(user=user).select_related("customer").order_by("id")


def current_membership(request: HttpRequest) -> Membership:
    """The membership that the logged-in user's pages are about; raises `PermissionDenied` if there is none.

    A staff user need not have a customer; everybody else got one when the address was confirmed.
    """
    user: Any = request.user
    membership = memberships(user).first() if isinstance(user, User) else None
    if membership is None:
        raise PermissionDenied(_("This login has no customer account of its own."))
    return membership


def current_customer(request: HttpRequest) -> Customer:
    """The customer that the logged-in user's pages are about; raises `PermissionDenied` if there is none."""
    return current_membership(request).customer

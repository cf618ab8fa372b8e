"""Which customer a page is about, and whether its reader's role may do what the page does."""

from typing import Any

from allauth.account.models import EmailAddress
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.urls import resolve
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import roles
from accounts.groups import NO_GROUP, CustomerGroup, group_of
from accounts.models import Customer, Membership, User
from accounts.people import signup
from accounts.people.customers import memberships
from core.addresses import request_address


def current_user(request: HttpRequest) -> User:
    """Who is logged in; raises `PermissionDenied` for nobody."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def current_membership(request: HttpRequest) -> Membership:
    """The membership that the page is about; raises `PermissionDenied` where there is none, or where its role may not
    do what the page does (`accounts.roles.PAGES`).

    Somebody whose address was confirmed by the way (a password reset does that) gets a customer here; staff do not.
    """
    user: Any = request.user
    if isinstance(user, User):
        membership = memberships(user).first()
        if membership is None and not user.is_staff and EmailAddress.objects.filter(user=user, verified=True).exists():
            signup.confirm(user=user, address=request_address(request), now=timezone.now())
            membership = memberships(user).first()
        if membership is not None:
            _check_right(request, membership)
            return membership
    raise PermissionDenied(_("This login has no customer account of its own."))


def current_customer(request: HttpRequest) -> Customer:
    """The customer that the logged-in user's pages are about; raises `PermissionDenied` if there is none."""
    return current_membership(request).customer


def reader_group(request: HttpRequest) -> CustomerGroup:
    """The group at whose prices a page's reader pays; that of nobody in particular where there is no customer."""
    membership = memberships(request.user).first() if isinstance(request.user, User) else None
    return NO_GROUP if membership is None else group_of(membership.customer.group)


def _check_right(request: HttpRequest, membership: Membership) -> None:
    match = resolve(request.path_info)  # a request that waited for a confirmation has another page's resolver_match
    method = "GET" if request.method == "HEAD" else str(request.method)
    right = roles.PAGES.get(str(match.url_name), {}).get(method)
    if right is None or right not in roles.rights_of(membership.role):
        names = ", ".join(str(Membership.Role(role).label) for role in (roles.roles_with(right) if right else ()))
        raise PermissionDenied(
            _("Your role in this account does not allow this. It takes: %(roles)s.") % {"roles": names}
        )

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

ACCOUNT = "account"
"""In the session: the id of the customer that its pages are about."""
MEANT = "for_account"
"""In a form: that of the page which it stood on."""


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
        membership = _looked_at(request, user)
        if membership is None and not user.is_staff and EmailAddress.objects.filter(user=user, verified=True).exists():
            if signup.arrive(user=user, address=request_address(request), now=timezone.now()) is None:
                raise PermissionDenied(_("You are invited to an account. Answer that first."))
            membership = memberships(user).first()
        if membership is not None:
            _check_form(request, membership)
            _check_right(request, membership)
            if request.session.get(ACCOUNT) != membership.customer_id:
                look_at(request, membership)
            return membership
    raise PermissionDenied(_("This login has no customer account of its own."))


def look_at(request: HttpRequest, membership: Membership) -> None:
    """From here on, the session's pages are about this account."""
    request.session[ACCOUNT] = membership.customer_id


def all_memberships(request: HttpRequest) -> list[Membership]:
    """Those of who is logged in, read once a request."""
    user: Any = request.user
    if not isinstance(user, User):
        return []
    known: Any = request
    if getattr(known, "memberships", None) is None:
        known.memberships = list(memberships(user))
    return list(known.memberships)


def shown_membership(request: HttpRequest) -> Membership | None:
    """The membership that the session looks at, for what every page shows; changes nothing."""
    found = all_memberships(request)
    wanted = request.session.get(ACCOUNT) if found else None
    return next((one for one in found if one.customer_id == wanted), found[0] if found else None)


def _looked_at(request: HttpRequest, user: User) -> Membership | None:
    """The membership of the account that the session looks at, as it is now. Where it has ended, nothing that was
    meant for that account is done to another: the page is refused, and the next one is about another.
    """
    wanted = request.session.get(ACCOUNT)
    if wanted is None:
        return memberships(user).first()
    membership = memberships(user).filter(customer_id=wanted).first()
    if membership is None:
        del request.session[ACCOUNT]
        raise PermissionDenied(_("You no longer belong to the account that you were looking at."))
    return membership


def _check_form(request: HttpRequest, membership: Membership) -> None:
    """A form that was opened on one account is not sent to another, after a switch in another window."""
    meant = request.POST.get(MEANT, "") if request.method == "POST" else ""
    if meant and meant != str(membership.customer_id):
        raise PermissionDenied(
            _("Nothing was done: this page was about another account than the one you switched to since.")
        )


def current_customer(request: HttpRequest) -> Customer:
    """The customer that the logged-in user's pages are about; raises `PermissionDenied` if there is none."""
    return current_membership(request).customer


def reader_group(request: HttpRequest) -> CustomerGroup:
    """The group at whose prices a page's reader pays; that of nobody in particular where there is no customer."""
    membership = shown_membership(request)
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

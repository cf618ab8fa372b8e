"""Which customer a page is about, the language it is written to in, and its suspension."""

from datetime import datetime
from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import roles, signup
from accounts.authentication import request_address
from accounts.models import Customer, Membership, User
from chuizi.adminsite import row_id


def memberships(user: User) -> QuerySet[Membership]:
    """A user's memberships, the oldest first."""
    return Membership.objects.filter(user=user).select_related("customer").order_by("id")


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


def _check_right(request: HttpRequest, membership: Membership) -> None:
    match = request.resolver_match
    method = "GET" if request.method == "HEAD" else str(request.method)
    right = roles.PAGES.get(str(match.url_name) if match is not None else "", {}).get(method)
    if right is None or right not in roles.rights_of(membership.role):
        names = ", ".join(str(Membership.Role(role).label) for role in (roles.roles_with(right) if right else ()))
        raise PermissionDenied(
            _("Your role in this account does not allow this. It takes: %(roles)s.") % {"roles": names}
        )


def named(text: str) -> Customer:
    """The customer that staff name by a member's address, or by its id (`#12`).

    Raises `ValidationError`, as a form's field does, for none or several; it says how to name one.
    """
    text = text.strip()
    if text.startswith("#"):
        found = list(Customer.objects.filter(pk=row_id(text[1:])))
    else:
        found = list(Customer.objects.filter(pk__in=customers_with(text)).order_by("pk")[:10])
    if not found:
        raise ValidationError(_("No customer has this address."))
    if len(found) > 1:
        several = ", ".join(f"#{customer.pk} {customer.name}" for customer in found)
        raise ValidationError(
            _("It belongs to several customers. Enter one of them: %(several)s.") % {"several": several}
        )
    return found[0]


def language_of(customer: Customer) -> str:
    """The language to write to a customer in: the first member's."""
    language = customer.members.order_by("membership__id").values_list("language", flat=True).first()
    return language or settings.LANGUAGE_CODE


def suspend(*, customer: Customer, reason: str, now: datetime) -> None:
    """Stop a customer from spending, from the next request on (a trigger tells the meters)."""
    Customer.objects.filter(pk=customer.pk).update(suspended_at=now, suspended_reason=reason)


def lift_suspension(*, customer: Customer) -> None:
    Customer.objects.filter(pk=customer.pk).update(suspended_at=None, suspended_reason="")


def customers_with(email: str) -> list[int]:
    """The ids of the customers that have a member with that address."""
    return list(Membership.objects.filter(user__email=email.strip().lower()).values_list("customer_id", flat=True))

"""Customers as staff name them in a form or a search."""

from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts.models import Customer, Membership
from accounts.people.customers import customers_with
from desk.first_page.typed import Typed
from desk.site import row_id


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


LEAST_NAME = 3
"""Letters of a name or a domain that find customers."""


def customers_like(typed: Typed) -> list[int]:
    """The ids of the customers that are meant: by a member's address, name or domain, their own name, or `#12`.

    At most 50, the newest.
    """
    text = typed.text
    if text.startswith("#"):
        return [row_id(text[1:])]
    if len(text) < LEAST_NAME or typed.amount is not None or typed.day is not None:
        return []
    if "@" in text.strip("@"):
        which = Q(user__email=typed.joined.lower())
    else:
        which = Q(user__name__icontains=text) | Q(customer__name__icontains=text)
        if "." in text:
            which |= Q(user__email__endswith=f"@{text.lower().lstrip('@')}") | Q(
                user__email__endswith=f".{text.lower()}"
            )
    found = Membership.objects.filter(which).order_by("-customer_id").values_list("customer_id", flat=True)
    return list(dict.fromkeys(found[:50]))

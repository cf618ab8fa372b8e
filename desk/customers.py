"""The customer that staff name in a form."""

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from accounts.models import Customer
from accounts.people.customers import customers_with
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

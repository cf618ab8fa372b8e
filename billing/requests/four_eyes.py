"""Who may not decide: whoever belongs to the customer, and whoever proposed it."""

from django.utils.translation import gettext as _

from accounts.models import User
from accounts.people.customers import belongs_to


def objection(*, by: User, customer_id: int | None, proposed_by_id: int | None = None) -> str:
    """Why this person may not decide about this customer's money, in words for them; "" if they may."""
    if customer_id is not None and belongs_to(by, customer_id):
        return _("You belong to this customer: somebody else has to decide.")
    if proposed_by_id is not None and proposed_by_id == by.pk:
        return _("You proposed it: somebody else has to approve.")
    return ""

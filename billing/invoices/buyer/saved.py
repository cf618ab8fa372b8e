"""The buyer that an account's next invoice begins with: that of its last request, or as its owners entered it since.

Who may ask for invoices may see it: `accounts.roles.Right.INVOICES`.
"""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from accounts.models import Customer, User
from billing.invoices.buyer.details import Details
from billing.models import Buyer

FIELDS = (
    *("invoice_type", "buyer_kind", "company_name", "tax_id", "tax_id_is_doubtful", "country", "billing_address"),
    *("delivery", "email", "mailing_address"),
)


def keep(*, customer: Customer, details: Details, by: User | None, now: datetime) -> None:
    """Write it over what was there, in the caller's transaction."""
    values: dict[str, Any] = {name: value for name, value in asdict(details).items() if name in FIELDS}
    Buyer.objects.update_or_create(customer=customer, defaults={**values, "changed_by": by, "changed_at": now})


def saved(customer: Customer) -> Buyer | None:
    """What is kept; None for an account that never asked, or had it forgotten."""
    return Buyer.objects.filter(customer=customer).first()


def forget(customer: Customer) -> None:
    """Keep nothing; requests and documents stay as they are."""
    Buyer.objects.filter(customer=customer).delete()

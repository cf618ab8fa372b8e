"""The events that an endpoint may ask for."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

EVENTS: "Mapping[str, _StrPromise]" = {
    "balance.low": _("the balance is low"),
    "budget.reached": _("a share of a budget or a cap is spent"),
    "topup.paid": _("a top-up is paid"),
    "topup.failed": _("a top-up failed"),
    "auto_topup.disabled": _("automatic top-up was switched off"),
    "refund.updated": _("something became of a refund"),
    "invoice.issued": _("an invoice is made"),
    "dispute.opened": _("a payment is disputed"),
    "account.suspended": _("the account is suspended"),
    "statement.closed": _("a month's statement is closed"),
    "key.created": _("a key was made"),
    "key.ended": _("a key was deleted, or it expired"),
}
"""What each says, in the order of the form. `billing/outbox/kinds.py` has which facts they come from."""
TEST = "webhook.test"
"""What the button on an endpoint's page sends; nobody asks for it."""

"""The lines of a customer's statement: one for each kind of transfer that touches the account."""

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from billing.books.kinds import Kind

LINES: Mapping[str, Promise] = {
    Kind.TOPUP: _("Top-ups"),
    Kind.GRANT: _("Bonus given"),
    Kind.BONUS_EXPIRED: _("Bonus whose time was up"),
    Kind.USAGE: _("Requests, from paid balance"),
    Kind.USAGE_BONUS: _("Requests, from bonus"),
    Kind.REVERSAL: _("Charges given back"),
    Kind.RERATE: _("Charges lowered at corrected prices"),
    Kind.RERATE_UP: _("Charges raised at corrected prices"),
    Kind.REFUND: _("Refunds"),
    Kind.REFUND_FAILED: _("Refunds that did not arrive"),
    Kind.REFUND_DONE: _("Refunds that were paid after all"),
    Kind.REFUND_EXCESS: _("Refunds paid beyond the balance"),
    Kind.REFUND_EXCESS_BACK: _("Refunds beyond the balance that came back"),
    Kind.DISPUTE: _("Disputed payments"),
    Kind.DISPUTE_REINSTATED: _("Disputed payments given back"),
    Kind.ADJUSTMENT: _("Adjustments"),
    Kind.WRITE_OFF: _("Debts waived"),
    Kind.WRITE_OFF_RECOVERED: _("Waived debts that were recovered"),
}
"""By kind, in the order of a statement."""
HOUSE: frozenset[str] = frozenset(
    {
        *(Kind.TOPUP_CHARGE, Kind.TOPUP_FEE, Kind.TOPUP_FEE_DISPUTED, Kind.TOPUP_FEE_REINSTATED),
        *(Kind.REFUND_CHARGE, Kind.REFUND_FEE, Kind.ENTRY, Kind.FEE, Kind.FEE_RETURNED, Kind.PAYOUT),
        *(Kind.SETTLEMENT, Kind.PURCHASE, Kind.OTHERS),
    }
)
"""Kinds that move money between accounts of the house alone. A test holds that each kind is here or has a line."""

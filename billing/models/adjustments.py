"""What finance wants to correct in a customer's balance: proposed by one, posted by another."""

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer
from billing.books.money import CENT
from billing.models.proposals import Proposal


class AdjustmentProposal(Proposal):
    """A correction of `amount` USD at 8 places, always positive; `kind` says which balance and which way."""

    class Kind(models.TextChoices):
        PAID_UP = "paid_up", _("paid balance up")
        PAID_DOWN = "paid_down", _("paid balance down")
        BONUS_UP = "bonus_up", _("bonus up")
        BONUS_DOWN = "bonus_down", _("bonus down")
        REVERSAL = "reversal", _("charge given back")
        WRITE_OFF = "write_off", _("small debt written off")

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="adjustments", verbose_name=_("customer")
    )
    kind = models.CharField(_("kind"), max_length=12, choices=Kind.choices)
    amount = models.DecimalField(_("amount, USD"), max_digits=20, decimal_places=8)
    generation_id = models.CharField(
        _("request"), max_length=60, blank=True, help_text=_("Whose charge is given back, gen-...")
    )
    words = models.CharField(_("words to the customer"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("adjustment")
        verbose_name_plural = _("adjustments")
        permissions = [
            ("post_adjustments", "Can propose and approve adjustments and write-offs"),
            ("handle_refunds", "Can decide refund requests up to the limit"),
            ("approve_large_refunds", "Can approve refunds above the limit"),
            ("handle_invoices", "Can handle invoice requests"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="adjustment_amount_positive"),
            models.CheckConstraint(
                condition=Q(kind="reversal") & ~Q(generation_id="") | ~Q(kind="reversal") & Q(generation_id=""),
                name="adjustment_reversal_names_request",
            ),
            models.CheckConstraint(
                condition=Q(state="proposed", decided_by__isnull=True, decided_at__isnull=True)
                | ~Q(state="proposed") & Q(decided_by__isnull=False, decided_at__isnull=False),
                name="adjustment_decided_by_somebody",
            ),
            models.CheckConstraint(
                condition=~Q(state="posted") | ~Q(decided_by=F("proposed_by")), name="adjustment_four_eyes"
            ),
            models.UniqueConstraint(
                fields=["generation_id"],
                condition=~Q(generation_id="") & ~Q(state="refused"),
                name="adjustment_reverses_once",
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="adjustment_kept", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="adjustment_decided_once",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__state__df="proposed"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.key}, ${self.shown_amount} {self.kind}"

    @property
    def shown_amount(self) -> str:
        """With cents, or with all its places where cents would not tell it."""
        return f"{self.amount:.2f}" if self.amount == self.amount.quantize(CENT) else f"{self.amount.normalize():f}"

    @property
    def key(self) -> str:
        """The business key of its transfers."""
        return f"adjustment:{self.pk}"

"""What the house gave as bonus, and until when."""

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer
from billing.models.ledger import Transfer


class BonusGrant(models.Model):
    """One grant, in USD. What is left of it follows from the account's sums (docs/ledger.md, "Bonus that ends")."""

    transfer = models.OneToOneField(
        Transfer, on_delete=models.PROTECT, related_name="grant", db_constraint=False, verbose_name=_("transfer")
    )
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="+", db_index=False, verbose_name=_("customer")
    )
    amount = models.DecimalField(_("amount"), max_digits=20, decimal_places=8)
    created_at = models.DateTimeField(_("created at"))
    ends_at = models.DateTimeField(_("ends at"), null=True, blank=True, help_text=_("Empty: it does not end."))
    expired = models.DecimalField(
        _("ended"), max_digits=20, decimal_places=8, default=0, help_text=_("What was taken of it at its end.")
    )
    takes = models.PositiveIntegerField(_("in so many transfers"), default=0)
    due_at = models.DateTimeField(
        _("due at"), null=True, blank=True, help_text=_("When its end is looked at; empty: not any more.")
    )
    told_at = models.DateTimeField(_("told at"), null=True, blank=True, help_text=_("When its end was announced."))

    class Meta:
        verbose_name = _("bonus that was given")
        verbose_name_plural = _("bonus that was given")
        indexes = [
            models.Index(fields=["customer", "-id"], name="bonusgrant_customer"),
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="bonusgrant_due"),
            models.Index(
                fields=["ends_at"], condition=Q(due_at__isnull=False, told_at__isnull=True), name="bonusgrant_untold"
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="bonusgrant_amount_positive"),
            models.CheckConstraint(
                condition=Q(expired__gte=0) & Q(expired__lte=F("amount")), name="bonusgrant_ends_within_amount"
            ),
            models.CheckConstraint(
                condition=Q(ends_at__isnull=True, due_at__isnull=True, expired=0) | Q(ends_at__gt=F("created_at")),
                name="bonusgrant_lasts",
            ),
        ]
        triggers = [pgtrigger.Protect(name="bonusgrant_kept", operation=pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"bonus:{self.pk}"

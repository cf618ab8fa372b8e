"""Money set aside for a run: a hold of its own, and a key whose calls spend from it alone."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiKey, Customer


class Budget(models.Model):
    """A budget. What is left of it, and what it spent, stands on its hold. Amounts in USD."""

    class Ended(models.TextChoices):
        DELETED = "deleted", _("ended by hand")
        EXPIRED = "expired", _("its time was up")
        KEY_ENDED = "key_ended", _("the key or the member that made it is gone")

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="+", db_index=False, verbose_name=_("customer")
    )
    key = models.OneToOneField(ApiKey, on_delete=models.PROTECT, related_name="budget", verbose_name=_("API key"))
    amount = models.DecimalField(_("amount"), max_digits=20, decimal_places=8)
    counted_on = models.DateField(
        _("counted on"),
        null=True,
        blank=True,
        help_text=_("The day of its account on which it counts within the caps of the key that made it, if one did."),
    )
    created_at = models.DateTimeField(_("created at"))
    expires_at = models.DateTimeField(_("expires at"))
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    ended_reason = models.CharField(_("why it ended"), max_length=20, choices=Ended.choices, blank=True, default="")

    class Meta:
        verbose_name = _("budget")
        verbose_name_plural = _("budgets")
        indexes = [
            models.Index(fields=["customer", "-id"], name="budget_customer"),
            models.Index(fields=["expires_at"], condition=Q(ended_at__isnull=True), name="budget_open"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="budget_amount_positive"),
            models.CheckConstraint(condition=Q(expires_at__gt=F("created_at")), name="budget_lasts"),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, ended_reason="") | (Q(ended_at__isnull=False) & ~Q(ended_reason="")),
                name="budget_ended_has_reason",
            ),
        ]

    def __str__(self) -> str:
        return self.hold_key

    @property
    def hold_key(self) -> str:
        return f"budget:{self.pk}"

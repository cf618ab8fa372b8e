"""What models cost whoever calls them."""

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from proxy.models.catalog import Model


class Price(models.Model):
    """A version of a model's price, USD before the margin. Append-only: a request is priced by the one it was held at.

    `rates` are decimal strings by unit (`proxy.prices.units`). `tiers` are `{"above": input_tokens, "rates": {...}}`,
    the highest one reached replacing the base rates it names. `more` has what few prices have: `variants`, a list of
    `{"when": {"service_tier": "flex"}, "rates": {...}, "tiers": [...]}`, and `fallback`, units without a rate.
    """

    class Billing(models.TextChoices):
        PER_TOKEN = "per_token", _("per token")
        PER_REQUEST = "per_request", _("per request")
        PER_SECOND = "per_second", _("per second")

    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="prices")
    version = models.PositiveIntegerField(_("version"))
    billing = models.CharField(_("billing"), max_length=20, choices=Billing.choices)
    rates = models.JSONField(_("rates"))
    tiers = models.JSONField(_("tiers"), default=list, blank=True)
    more = models.JSONField(_("variants and fallbacks"), null=True, blank=True)
    margin = models.DecimalField(
        _("margin"), max_digits=8, decimal_places=4, help_text=_("Charge = upstream cost x margin.")
    )
    applies_from = models.DateTimeField(_("applies from"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        verbose_name = _("price")
        verbose_name_plural = _("prices")
        permissions = [("set_prices", "Can set prices")]
        constraints = [
            models.UniqueConstraint(fields=["model", "version"], name="price_version_once"),
            models.CheckConstraint(condition=Q(margin__gte=1), name="price_margin_at_least_one"),
        ]
        triggers = [pgtrigger.Protect(name="price_append_only", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.model} v{self.version}"

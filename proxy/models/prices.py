"""What models cost: whoever calls them (Price), and the house where it has its answers from (PurchasePrice)."""

from decimal import Decimal

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from proxy.models.catalog import Currency, Model, Upstream


class Version(models.Model):
    """What versions of prices have in common. Append-only.

    `rates` are decimal strings by unit (`proxy.prices.units`). `tiers` are `{"above": input_tokens, "rates": {...}}`,
    the highest one reached replacing the base rates it names. `more` has what few prices have: `variants`, a list of
    `{"when": {"service_tier": "flex"}, "rates": {...}, "tiers": [...]}`, and `fallback`, units without a rate.
    """

    class Billing(models.TextChoices):
        PER_TOKEN = "per_token", _("per token")
        PER_REQUEST = "per_request", _("per request")
        PER_SECOND = "per_second", _("per second")

    version = models.PositiveIntegerField(_("version"))
    billing = models.CharField(_("billing"), max_length=20, choices=Billing.choices)
    rates = models.JSONField(_("rates"))
    tiers = models.JSONField(_("tiers"), default=list, blank=True)
    more = models.JSONField(_("variants and fallbacks"), null=True, blank=True)
    applies_from = models.DateTimeField(_("applies from"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        abstract = True


class Price(Version):
    """A version of a model's price, USD before the margin: a request is priced by the one it was held at."""

    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="prices")
    margin = models.DecimalField(
        _("margin"), max_digits=8, decimal_places=4, help_text=_("Charge = upstream cost x margin.")
    )

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


class PurchasePrice(Version):
    """A version of what a model costs the house at an upstream, in `currency`; without rates: the list price, in USD.

    A request has the one that applied when it was held.
    """

    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="purchase_prices")
    upstream = models.ForeignKey(Upstream, on_delete=models.PROTECT, related_name="purchase_prices")
    currency = models.CharField(_("currency"), max_length=3, choices=Currency.choices)

    class Meta:
        verbose_name = _("purchase price")
        verbose_name_plural = _("purchase prices")
        constraints = [
            models.UniqueConstraint(fields=["model", "upstream", "version"], name="purchase_price_version_once")
        ]
        triggers = [pgtrigger.Protect(name="purchase_price_append_only", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.model} on {self.upstream} v{self.version}"

    @property
    def margin(self) -> Decimal:
        """None: it is what is paid."""
        return Decimal(1)

    @property
    def is_list(self) -> bool:
        """Whether the model's own price before the margin is what it costs."""
        return not self.rates and not self.tiers and not self.more

"""What was charged and what it cost the house, by day, for figures that scan no requests."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer
from proxy.models.catalog import Model, Upstream


class Totals(models.Model):
    """Sums over the requests that were settled on a day of the books, in USD. Written by `proxy.purchases.margin`.

    What a request was charged counts on the day it was settled, what was corrected of it on the day of the correction.
    """

    day = models.DateField(_("day"))
    requests = models.BigIntegerField(_("requests"))
    charged = models.DecimalField(_("charged, USD"), max_digits=30, decimal_places=8, help_text=_("As it was settled."))
    corrected = models.DecimalField(
        _("corrections, USD"), max_digits=30, decimal_places=8, help_text=_("Below zero: given back on this day.")
    )
    bonus = models.DecimalField(
        _("of it bonus, USD"), max_digits=30, decimal_places=8, help_text=_("Of the charge after corrections.")
    )
    listed = models.DecimalField(_("list cost, USD"), max_digits=30, decimal_places=8)
    purchase = models.DecimalField(
        _("purchase cost, USD"), max_digits=30, decimal_places=8, help_text=_("Of what is known.")
    )
    unknown = models.BigIntegerField(_("without a known cost"), help_text=_("Their claim cannot be believed."))
    unknown_listed = models.DecimalField(_("list cost of these, USD"), max_digits=30, decimal_places=8)
    unrated = models.BigIntegerField(_("without a rate"), help_text=_("Their cost has no value in USD."))

    class Meta:
        abstract = True


class MarginDay(Totals):
    """A model at an upstream on one day."""

    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="+", verbose_name=_("model"))
    upstream = models.ForeignKey(Upstream, on_delete=models.PROTECT, related_name="+", verbose_name=_("upstream"))

    class Meta:
        verbose_name = _("margin of a day")
        verbose_name_plural = _("margin")
        permissions = [("see_margin", "Can see what the house earns")]
        constraints = [models.UniqueConstraint(fields=["day", "model", "upstream"], name="marginday_once")]

    def __str__(self) -> str:
        return f"{self.day} {self.model_id} {self.upstream_id}"


class CustomerMarginDay(Totals):
    """A customer on one day."""

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="+", verbose_name=_("customer"))

    class Meta:
        verbose_name = _("margin of a customer's day")
        verbose_name_plural = _("margin by customer")
        constraints = [models.UniqueConstraint(fields=["day", "customer"], name="customermarginday_once")]

    def __str__(self) -> str:
        return f"{self.day} {self.customer_id}"

"""Sums by day, so that no figure scans requests: what accounts used, and what it cost the house."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiKey, Customer
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


class UsageDay(models.Model):
    """What an account was charged on one of its days for a model, by a key and whose key it was, in USD.

    Written where charges are (`proxy.settlement`): by SETTLE in its own statement, and where a charge is corrected. A
    narrow row, fillfactor 50. Its keys carry no database constraint, as its requests' do; the audit compares them.
    """

    pk = models.CompositePrimaryKey("customer", "day", "model", "key", "maker_id")
    customer = models.ForeignKey(
        Customer, models.PROTECT, related_name="+", db_constraint=False, db_index=False, verbose_name=_("customer")
    )
    day = models.DateField(_("day"), help_text=_("Of the account's zone as it was when the charge was made."))
    model = models.ForeignKey(
        Model, models.PROTECT, related_name="+", db_constraint=False, db_index=False, verbose_name=_("model")
    )
    key = models.ForeignKey(
        ApiKey, models.PROTECT, related_name="+", db_constraint=False, db_index=False, verbose_name=_("API key")
    )
    maker_id = models.BigIntegerField(_("member"), help_text=_("Whose key it was; 0: nobody's."))
    requests = models.BigIntegerField(_("requests"))
    input_tokens = models.BigIntegerField(_("input tokens"))
    output_tokens = models.BigIntegerField(_("output tokens"))
    cached_tokens = models.BigIntegerField(_("cached tokens"))
    charged = models.DecimalField(_("charged, USD"), max_digits=30, decimal_places=8, help_text=_("As it was settled."))
    corrected = models.DecimalField(
        _("corrections, USD"), max_digits=30, decimal_places=8, help_text=_("Below zero: given back on this day.")
    )

    class Meta:
        verbose_name = _("usage of a day")
        verbose_name_plural = _("usage by day")

    def __str__(self) -> str:
        return f"{self.customer_id} on {self.day}"


class ChargeCorrection(models.Model):
    """What was changed of a request's charge after it was made, in USD. It counts on the day on which it posted."""

    generation_id = models.CharField(_("request"), max_length=28, db_index=True, db_collation="C")
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+", db_index=False, verbose_name=_("customer"))
    day = models.DateField(_("day"), help_text=_("Of the account's zone as it was then."))
    posted_at = models.DateTimeField(_("posted at"))
    amount = models.DecimalField(
        _("amount, USD"), max_digits=20, decimal_places=8, help_text=_("Below zero: given back.")
    )

    class Meta:
        verbose_name = _("correction of a charge")
        verbose_name_plural = _("corrections of charges")
        indexes = [models.Index(fields=["customer", "day", "id"], name="chargecorrection_day")]

    def __str__(self) -> str:
        return f"{self.generation_id}: {self.amount:+f}"

"""What upstreams said that requests used, and that cannot be."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from proxy.models.catalog import Model, Upstream


class Claim(models.Model):
    """Usage that cannot be believed, of a request or of an attempt of it: no cost is made of it. Written by PURCHASE.

    `claimed` are counts above zero by the name of their column in `Generation`, rare ones by unit.
    """

    class Why(models.TextChoices):
        WINDOW = "window", _("above the context window")
        BOUND = "bound", _("above the bound")
        GAP = "gap", _("a count is missing")

    generation_id = models.CharField(_("model request"), max_length=28, db_collation="C")
    attempt = models.BigIntegerField(_("attempt at an upstream"), null=True, help_text=_("Empty: the one charged."))
    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="+", verbose_name=_("model"))
    upstream = models.ForeignKey(
        Upstream, on_delete=models.PROTECT, related_name="+", db_index=False, verbose_name=_("upstream")
    )
    ended_at = models.DateTimeField(_("ended at"), db_index=True)
    why = models.CharField(_("why"), max_length=10, choices=Why.choices)
    claimed = models.JSONField(_("claimed"), help_text=_("What the upstream says that it used."))
    stated_cost = models.DecimalField(
        _("cost the upstream states"),
        max_digits=20,
        decimal_places=8,
        null=True,
        help_text=_("What the upstream said that it cost, in USD: its claim, never shown to customers."),
    )
    posted_cost = models.DecimalField(
        _("posted instead"),
        max_digits=20,
        decimal_places=8,
        null=True,
        help_text=_("By our own estimate, in the upstream's currency; empty: nothing."),
    )

    class Meta:
        verbose_name = _("claim that cannot be believed")
        verbose_name_plural = _("claims that cannot be believed")
        indexes = [models.Index(fields=["upstream", "-id"], name="claim_upstream")]

    def __str__(self) -> str:
        return self.generation_id

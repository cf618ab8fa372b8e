"""Prices that wait for a second person of finance."""

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from billing.models.proposals import Proposal
from proxy.models.catalog import Model
from proxy.models.prices import Price


class PriceProposal(Proposal):
    """A model's price from the list, too far from what it replaces for one person.

    `prices` is what `proxy.prices.loading.set_price` takes. `base` is the version that it was compared with; none where
    the model has no price.
    """

    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="proposals", verbose_name=_("model"))
    base = models.ForeignKey(
        Price, on_delete=models.PROTECT, null=True, related_name="+", verbose_name=_("price it replaces")
    )
    listed_as = models.CharField(_("model of the list"), max_length=200)
    prices = models.JSONField(_("proposed prices"))

    class Meta:
        verbose_name = _("price proposal")
        verbose_name_plural = _("price proposals")
        constraints = [
            models.CheckConstraint(
                condition=Q(state="proposed", decided_by__isnull=True, decided_at__isnull=True)
                | ~Q(state="proposed") & Q(decided_by__isnull=False, decided_at__isnull=False),
                name="priceproposal_decided_by_somebody",
            ),
            models.CheckConstraint(
                condition=~Q(state="posted") | ~Q(decided_by=F("proposed_by")), name="priceproposal_four_eyes"
            ),
            models.UniqueConstraint(
                fields=["model"], condition=Q(state="proposed"), name="priceproposal_one_open_a_model"
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="priceproposal_kept", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="priceproposal_decided_once",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__state__df="proposed"),
            ),
        ]

    def __str__(self) -> str:
        return f"price:{self.pk}, {self.model}"

"""Requests that are charged anew at a corrected price: what finance chose, how far it is, and the difference by
customer.
"""

from decimal import Decimal
from typing import ClassVar

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer
from billing.models.proposals import Proposal
from core.states import Machine
from proxy.models.catalog import Model, Upstream
from proxy.models.prices import Price


def _money(label: object) -> "models.DecimalField[Decimal, Decimal]":
    return models.DecimalField(label, max_digits=20, decimal_places=8, default=0)  # type: ignore[arg-type]


class Rerate(Proposal):
    """One re-rating: the settled requests of a model from `first_day` to `last_day` (UTC, both included), priced anew.

    `cursor` is the id of the last request that was looked at, in the state it is in. Counts are of requests: `seen`
    were looked at for the difference, and `done` of them since it is approved.
    """

    class State(models.TextChoices):
        COUNTING = "counting", _("being counted")
        PROPOSED = "proposed", _("proposed")
        NOTHING = "nothing", _("nothing to correct")
        REFUSED = "refused", _("refused")
        APPROVED = "approved", _("approved")
        POSTING = "posting", _("being posted")
        DONE = "done", _("done")

    MACHINE: ClassVar[Machine] = Machine(
        "re-rating",
        State,
        starts=(State.COUNTING,),
        ends=(State.NOTHING, State.REFUSED, State.DONE),
        moves={
            State.PROPOSED: (State.COUNTING,),
            State.NOTHING: (State.COUNTING,),
            State.APPROVED: (State.PROPOSED,),
            State.POSTING: (State.APPROVED,),
            State.DONE: (State.POSTING,),
            # One that takes something is announced first, and can be stopped until its day.
            State.REFUSED: (State.COUNTING, State.PROPOSED, State.APPROVED),
        },
    )

    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.COUNTING)
    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="+", verbose_name=_("model"))
    first_day = models.DateField(_("first day"))
    last_day = models.DateField(_("last day"))
    upstream = models.ForeignKey(
        Upstream, on_delete=models.PROTECT, null=True, related_name="+", db_index=False, verbose_name=_("upstream")
    )
    held_at = models.ForeignKey(
        Price,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        verbose_name=_("version they were held at"),
    )
    price = models.ForeignKey(
        Price, on_delete=models.PROTECT, related_name="+", db_index=False, verbose_name=_("corrected version")
    )
    upwards = models.BooleanField(
        _("upwards too"), default=False, help_text=_("What was charged too little is taken, 7 days after it is told.")
    )
    first_id = models.CharField(max_length=28, db_collation="C")
    end_id = models.CharField(max_length=28, db_collation="C")
    settled_by = models.DateTimeField(_("settled by"), help_text=_("Requests that were settled later are left out."))
    cursor = models.CharField(max_length=28, db_collation="C")
    seen = models.BigIntegerField(_("requests looked at"), default=0)
    dearer = models.BigIntegerField(_("left: they would cost more"), default=0)
    unclear = models.BigIntegerField(
        _("left: not to be worked out again"),
        default=0,
        help_text=_("Their charge does not follow from what is stored of them at the version they were held at."),
    )
    done = models.BigIntegerField(_("requests done"), default=0)
    posts_from = models.DateTimeField(_("posts from"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)
    problem = models.CharField(_("problem"), max_length=300, blank=True, default="")

    class Meta:
        verbose_name = _("re-rating")
        verbose_name_plural = _("re-ratings")
        permissions = [("rerate_requests", "Can propose and approve re-ratings")]
        constraints = [
            models.CheckConstraint(condition=Q(last_day__gte=F("first_day")), name="rerate_days_in_order"),
            models.CheckConstraint(
                condition=Q(state__in=("counting", "proposed", "nothing"), decided_by__isnull=True)
                | Q(state__in=("refused", "approved", "posting", "done"), decided_by__isnull=False),
                name="rerate_decided_by_somebody",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=("approved", "posting", "done")) | ~Q(decided_by=F("proposed_by")),
                name="rerate_four_eyes",
            ),
        ]
        triggers = [pgtrigger.Protect(name="rerate_kept", operation=pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.key}, {self.model} {self.first_day} - {self.last_day}"

    @property
    def key(self) -> str:
        """What its transfers' keys begin with."""
        return f"rerate:{self.pk}"


class RerateShare(models.Model):
    """A customer's share of a re-rating, USD: what was found before it was approved, and what was posted of it."""

    rerate = models.ForeignKey(Rerate, on_delete=models.PROTECT, related_name="shares", db_index=False)
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="+", db_index=False, verbose_name=_("customer")
    )
    requests = models.BigIntegerField(_("requests"), default=0)
    charged = _money(_("charged"))
    back = _money(_("goes back"))
    up = _money(_("is taken"))
    announced_at = models.DateTimeField(_("announced at"), null=True)
    posted = models.BigIntegerField(_("requests posted"), default=0)
    given_back = _money(_("given back"))
    taken = _money(_("taken"))

    class Meta:
        verbose_name = _("share of a re-rating")
        verbose_name_plural = _("shares of re-ratings")
        constraints = [models.UniqueConstraint(fields=["rerate", "customer"], name="rerateshare_once")]

    def __str__(self) -> str:
        return f"{self.customer_id}: {self.difference}"

    @property
    def corrected(self) -> Decimal:
        """What is charged for its requests at the corrected price."""
        return self.charged + self.difference

    @property
    def difference(self) -> Decimal:
        """Below zero: it goes back."""
        return self.up - self.back

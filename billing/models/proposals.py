"""What two of finance do together: one proposes, another posts or refuses."""

from typing import ClassVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from core.states import Machine


class Proposal(models.Model):
    """Who proposed it and who decided; what a model proposes, its own fields say."""

    class State(models.TextChoices):
        PROPOSED = "proposed", _("proposed")
        POSTED = "posted", _("posted")
        REFUSED = "refused", _("refused")

    MACHINE: ClassVar[Machine] = Machine(
        "proposal",
        State,
        starts=(State.PROPOSED,),
        ends=(State.POSTED, State.REFUSED),
        moves={State.POSTED: (State.PROPOSED,), State.REFUSED: (State.PROPOSED,)},
    )

    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.PROPOSED)
    reason = models.CharField(_("reason"), max_length=500, help_text=_("For the books; staff alone read it."))
    proposed_by = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="+", verbose_name=_("proposed by"), db_index=False
    )
    proposed_at = models.DateTimeField(_("proposed at"), default=timezone.now)
    decided_by = models.ForeignKey(
        User,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("decided by"),
        db_index=False,
    )
    decided_at = models.DateTimeField(_("decided at"), null=True, blank=True)
    decision = models.CharField(_("why refused"), max_length=500, blank=True)

    class Meta:
        abstract = True

"""What does not fit between the books and what somebody else says of the same money."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from billing.discrepancies import sources
from billing.models.entries import JournalEntry
from core.states import Machine


class Discrepancy(models.Model):
    """Something that a statement or a bill and the books do not agree on. Nothing posts by itself; staff explain it.

    It is the app `payments`', as its table, rights and links are named; the rules are billing's, so that whoever reads
    a statement or a bill may open one.
    """

    class Kind(models.TextChoices):
        MISSING_HERE = "missing_here", _("missing here")
        MISSING_THERE = "missing_there", _("missing there")
        AMOUNT_DIFFERS = "amount_differs", _("amount differs")
        UNEXPECTED = "unexpected", _("unexpected line")

    class State(models.TextChoices):
        OPEN = "open", _("unsettled")
        EXPLAINED = "explained", _("explained")
        RESOLVED = "resolved", _("resolved with an entry")
        CURED = "cured", _("cured by itself")

    MACHINE: ClassVar[Machine] = Machine(
        "discrepancy",
        State,
        starts=(State.OPEN,),
        ends=(State.EXPLAINED, State.RESOLVED, State.CURED),
        moves={
            # Other amounts than were explained are another discrepancy, and what was cured may come back.
            State.OPEN: (State.OPEN, State.EXPLAINED, State.RESOLVED, State.CURED),
            State.EXPLAINED: (State.OPEN,),
            State.RESOLVED: (State.OPEN,),
            State.CURED: (State.OPEN,),
        },
    )

    provider = models.CharField(_("provider"), max_length=10, choices=sources.choices)
    """The source, by its code: a provider of payments, or whoever else sends statements or bills."""
    day = models.DateField(_("day"))
    kind = models.CharField(_("kind"), max_length=16, choices=Kind.choices)
    key = models.CharField(_("about"), max_length=160, help_text=_("The provider's row, or our number."))
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.OPEN)
    theirs = models.DecimalField(_("theirs"), max_digits=17, decimal_places=3, null=True, blank=True)
    ours = models.DecimalField(_("ours"), max_digits=17, decimal_places=3, null=True, blank=True)
    currency = models.CharField(_("currency"), max_length=3)
    detail = models.CharField(_("detail"), max_length=300, blank=True)
    note = models.CharField(_("note"), max_length=500, blank=True)
    entry = models.OneToOneField(
        JournalEntry,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="discrepancy",
        verbose_name=_("journal entry"),
        help_text=_("What resolves it, once it is posted."),
    )
    entry_found_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="`found_at` as the entry saw it: what changed since is not its.",
    )
    decided_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("decided by")
    )
    found_at = models.DateTimeField(_("found at"), default=timezone.now)
    decided_at = models.DateTimeField(_("decided at"), null=True, blank=True)

    class Meta:
        app_label = "payments"
        verbose_name = _("discrepancy")
        verbose_name_plural = _("discrepancies")
        permissions = [("handle_discrepancies", "Can explain discrepancies")]
        constraints = [
            models.UniqueConstraint(fields=["provider", "day", "kind", "key"], name="discrepancy_once"),
            models.CheckConstraint(
                condition=~Q(state="resolved") | Q(entry__isnull=False), name="discrepancy_resolved_by_an_entry"
            ),
        ]
        indexes = [models.Index(fields=["found_at"], condition=Q(state="open"), name="discrepancy_open")]

    def __str__(self) -> str:
        return f"{self.provider} {self.day} {self.key}"

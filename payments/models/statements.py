"""Providers' statements as they came, their lines, and what does not fit between them and the books."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from billing.models import JournalEntry
from core.states import Machine
from payments.models.topups import Method


class Statement(models.Model):
    """One provider's day, in its own time zone. `raw` is the file, compressed with zlib."""

    provider = models.CharField(_("provider"), max_length=10, choices=Method.choices)
    day = models.DateField(_("day"))
    raw = models.BinaryField()
    sha256 = models.CharField(_("SHA-256"), max_length=64)
    lines = models.PositiveIntegerField(_("lines"))
    unreadable = models.JSONField(_("lines that could not be read"), default=list, blank=True)
    fetched_at = models.DateTimeField(_("fetched at"), default=timezone.now)
    matched_at = models.DateTimeField(_("matched at"), null=True, blank=True)
    held_back = models.PositiveIntegerField(
        _("lines not posted"), default=0, help_text=_("Another shop's payments stand in this day.")
    )
    shared_at = models.DateTimeField(_("said to be shared at"), null=True, blank=True)
    shared_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("said by")
    )
    given_up_at = models.DateTimeField(
        _("given up at"), null=True, blank=True, help_text=_("Its provider gives no statement of this day any more.")
    )
    given_up_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("given up by")
    )

    class Meta:
        verbose_name = _("statement")
        verbose_name_plural = _("statements")
        constraints = [
            models.UniqueConstraint(fields=["provider", "day"], name="statement_once"),
            models.CheckConstraint(
                condition=Q(shared_at__isnull=True, shared_by__isnull=True)
                | Q(shared_at__isnull=False, shared_by__isnull=False),
                name="statement_shared_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(given_up_at__isnull=True, given_up_by__isnull=True)
                | Q(given_up_at__isnull=False, given_up_by__isnull=False),
                name="statement_given_up_by_somebody",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.day}"


class StatementLine(models.Model):
    """One line: `amount` is what it adds to our account at the provider, before `fee`."""

    statement = models.ForeignKey(Statement, on_delete=models.PROTECT, related_name="rows", verbose_name=_("statement"))
    provider = models.CharField(_("provider"), max_length=10, choices=Method.choices)
    key = models.CharField(_("provider's row"), max_length=160)
    kind = models.CharField(_("kind"), max_length=16)
    amount = models.DecimalField(_("amount"), max_digits=17, decimal_places=3)
    fee = models.DecimalField(_("fee"), max_digits=17, decimal_places=3)
    currency = models.CharField(_("currency"), max_length=3)
    charge_amount = models.DecimalField(
        _("charged"),
        max_digits=17,
        decimal_places=3,
        null=True,
        blank=True,
        help_text=_("By the payer, or given back, where the account settles in another currency."),
    )
    charge_currency = models.CharField(_("currency of the charge"), max_length=3, blank=True)
    transaction_id = models.CharField(_("provider's transaction"), max_length=120, blank=True)
    refund_id = models.CharField(_("provider's refund"), max_length=120, blank=True)
    number = models.CharField(_("our number"), max_length=64, blank=True)
    at = models.DateTimeField(_("at"))
    detail = models.CharField(_("detail"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("line of a statement")
        verbose_name_plural = _("lines of statements")
        constraints = [models.UniqueConstraint(fields=["provider", "key"], name="statementline_once")]
        indexes = [
            models.Index(fields=["provider", "transaction_id"], name="statementline_transaction"),
            models.Index(fields=["provider", "number"], condition=~Q(number=""), name="statementline_number"),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.key}"


class Discrepancy(models.Model):
    """Something that a statement and the books do not agree on. Nothing posts by itself; staff explain it."""

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

    provider = models.CharField(_("provider"), max_length=10, choices=Method.choices)
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

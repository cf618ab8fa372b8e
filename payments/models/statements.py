"""Providers' statements as they came, and their lines."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
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

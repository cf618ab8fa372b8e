"""Closed days of the books and months of accounts, the papers given out, and the audits that were made."""

from typing import ClassVar

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer, User
from billing.models.ledger import LedgerAccount


class AccountDay(models.Model):
    """What one account saw on one day in UTC that is over, in its currency. Days without a transfer have no row."""

    day = models.DateField(_("day (UTC)"))
    account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="days", verbose_name=_("account"))
    debits = models.DecimalField(_("debits"), max_digits=24, decimal_places=8)
    credits = models.DecimalField(_("credits"), max_digits=24, decimal_places=8)
    transfers = models.PositiveIntegerField(_("transfers"))

    class Meta:
        verbose_name = _("day of an account")
        verbose_name_plural = _("days of accounts")
        constraints = [models.UniqueConstraint(fields=["account", "day"], name="accountday_once")]
        indexes = [models.Index(fields=["day"], name="accountday_day")]

    def __str__(self) -> str:
        return f"{self.account} {self.day}"


class ClosedDay(models.Model):
    """A day in UTC whose totals stand."""

    day = models.DateField(_("day (UTC)"), primary_key=True)
    transfers = models.PositiveIntegerField(_("transfers"))
    zone = models.CharField(max_length=60, default="UTC", help_text=_("The books' time zone when it was closed."))
    closed_at = models.DateTimeField(_("closed at"), default=timezone.now)

    class Meta:
        verbose_name = _("closed day")
        verbose_name_plural = _("closed days")

    def __str__(self) -> str:
        return str(self.day)


class MonthLock(models.Model):
    """A month of the books that finance has closed, and with it all before: nothing more is booked on its days."""

    month = models.DateField(_("month"), primary_key=True, help_text=_("Its first day."))
    locked_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", verbose_name=_("locked by"))
    locked_at = models.DateTimeField(_("locked at"), default=timezone.now)

    class Meta:
        verbose_name = _("locked month")
        verbose_name_plural = _("locked months")
        permissions = [("lock_months", "Can lock months of the books")]
        constraints = [
            models.CheckConstraint(condition=Q(month__day=1), name="monthlock_first_day"),
        ]
        triggers = [pgtrigger.Protect(name="monthlock_kept", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"


class AuditRun(models.Model):
    """One comparison of all cached figures with the rows they follow from."""

    started_at = models.DateTimeField(_("started at"))
    finished_at = models.DateTimeField(_("finished at"))
    customers = models.PositiveIntegerField(_("customers"))
    drifts = models.PositiveIntegerField(_("drifts"))
    first_drifts = models.TextField(_("first drifts"), blank=True)

    class Meta:
        verbose_name = _("audit")
        verbose_name_plural = _("audits")
        get_latest_by = "finished_at"
        indexes = [models.Index(fields=["-finished_at"], name="auditrun_finished")]

    def __str__(self) -> str:
        return f"{self.finished_at:%Y-%m-%d %H:%M}: {self.drifts}"


class Paper(models.Model):
    """A PDF of ours that is no invoice, drawn from `facts` when it is first asked for; never changed."""

    class Kind(models.TextChoices):
        RECEIPT = "receipt", _("receipt")
        STATEMENT = "statement", _("statement")

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="papers", verbose_name=_("customer"))
    kind = models.CharField(_("kind"), max_length=12, choices=Kind.choices)
    number = models.CharField(_("number"), max_length=40, help_text=_("The top-up's, or the month."))
    locale = models.CharField(_("language"), max_length=10)
    facts = models.JSONField(_("facts"), help_text=_("All that it is drawn from."))
    content = models.BinaryField(_("file"))
    sha256 = models.CharField(_("SHA-256"), max_length=64)
    made_at = models.DateTimeField(_("made at"), default=timezone.now)

    class Meta:
        verbose_name = _("paper")
        verbose_name_plural = _("papers")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["customer", "kind", "number", "locale"], name="paper_once_a_language")
        ]
        triggers: ClassVar = [
            pgtrigger.Protect(name="paper_append_only", operation=pgtrigger.Update | pgtrigger.Delete)
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.number}"


class MonthStatement(models.Model):
    """A month of an account as its statement has it; never changed. `opens_at` is the last one's `closes_at`."""

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="statements", verbose_name=_("customer")
    )
    month = models.DateField(_("month"), help_text=_("Its first day, in the account's zone."))
    zone = models.CharField(_("time zone"), max_length=60)
    opens_at = models.DateTimeField(_("opens at"))
    closes_at = models.DateTimeField(_("closes at"))
    opening = models.DecimalField(_("opening balance"), max_digits=20, decimal_places=8)
    closing = models.DecimalField(_("closing balance"), max_digits=20, decimal_places=8)
    body = models.JSONField(_("statement"), help_text=_("As it is given out."))
    sha256 = models.CharField(_("SHA-256"), max_length=64, help_text=_("Of the statement."))
    # No transfer of the account with a lower id is of a later month.
    moves_from = models.BigIntegerField(null=True, editable=False)
    closed_at = models.DateTimeField(_("closed at"), default=timezone.now)

    class Meta:
        verbose_name = _("customer's statement")
        verbose_name_plural = _("customers' statements")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["customer", "month"], name="monthstatement_once"),
            models.UniqueConstraint(fields=["customer", "opens_at"], name="monthstatement_no_overlap"),
            models.CheckConstraint(condition=Q(closes_at__gt=F("opens_at")), name="monthstatement_has_a_time"),
        ]
        indexes: ClassVar = [models.Index(fields=["month"], name="monthstatement_month")]
        triggers: ClassVar = [
            pgtrigger.Protect(name="monthstatement_append_only", operation=pgtrigger.Update | pgtrigger.Delete)
        ]

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"

"""Closed days of the books, and the audits that were made."""

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
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

"""What the operator is told of: what the first page of the desk shows red, from when it did until it no longer does.
And what the owners of an account want to be told of, with the warnings that stand on their pages.
"""

from datetime import datetime, timedelta

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer, User


class Alert(models.Model):
    """A figure that is or was red. At most one of a figure is open: told when it begins, daily, and when it ends."""

    code = models.CharField(_("figure"), max_length=200, help_text=_("Panel and figure, in English."))
    value = models.CharField(_("value"), max_length=200, help_text=_("As it was seen last."))
    link = models.CharField(_("page"), max_length=300, blank=True)
    since = models.DateTimeField(_("red since"), default=timezone.now)
    told_at = models.DateTimeField(_("told last"), null=True, blank=True)
    ended_at = models.DateTimeField(_("green again at"), null=True, blank=True)

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        constraints = [
            models.UniqueConstraint(fields=["code"], condition=Q(ended_at__isnull=True), name="alert_open_once")
        ]

    def __str__(self) -> str:
        return f"{self.code}: {self.value}"


WAITS, FORGOTTEN = timedelta(minutes=15), timedelta(days=3)
"""When a post that has not left is news, and when it no longer is: what it told has been mailed since, daily."""


class AlertPostQuerySet(models.QuerySet["AlertPost"]):
    def hanging(self, *, now: datetime) -> "AlertPostQuerySet":
        """Those of the last days that should have arrived and have not."""
        lately = self.filter(created_at__lt=now - WAITS, created_at__gt=now - FORGOTTEN)
        return lately.filter(sent_at__isnull=True)


class AlertPost(models.Model):
    """One message to ALERT_WEBHOOK, written in the alert's transaction and posted by a worker."""

    message_id = models.CharField(_("message id"), max_length=40, unique=True, help_text=_("The same at each attempt."))
    body = models.TextField(_("text"))
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    problem = models.CharField(_("problem"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("written at"), default=timezone.now)
    send_at = models.DateTimeField(_("next attempt"), null=True, blank=True, db_index=True)
    sent_at = models.DateTimeField(_("sent at"), null=True, blank=True)

    objects = AlertPostQuerySet.as_manager()

    class Meta:
        verbose_name = _("alert post")
        verbose_name_plural = _("alert posts")

    def __str__(self) -> str:
        return self.message_id


class AlertSettings(models.Model):
    """What owners want to hear of. No row: nothing. Amounts in USD.

    The low balance stands on the wallet too (`billing/warnings/setting.py`), where the ledger looks.
    """

    customer = models.OneToOneField(
        Customer, on_delete=models.PROTECT, primary_key=True, related_name="alerts", verbose_name=_("customer")
    )
    low_balance = models.DecimalField(_("low balance"), max_digits=12, decimal_places=2, null=True, blank=True)
    monthly_budget = models.DecimalField(
        _("monthly budget"),
        max_digits=12,
        decimal_places=2,
        null=True,
        blank=True,
        help_text=_("Of the account: it stops nothing."),
    )
    caps = models.BooleanField(_("caps of keys and members"), default=False)
    weekly_summary = models.BooleanField(_("weekly summary"), default=False)
    summarized_on = models.DateField(
        null=True, blank=True, editable=False, help_text=_("The last Monday of the account that was told.")
    )
    changed_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("changed by")
    )
    changed_at = models.DateTimeField(_("changed at"))

    class Meta:
        verbose_name = _("alert settings")
        verbose_name_plural = _("alert settings")
        constraints = [
            models.CheckConstraint(condition=Q(low_balance__gt=0), name="alerts_low_balance_positive"),
            models.CheckConstraint(condition=Q(monthly_budget__gt=0), name="alerts_monthly_budget_positive"),
            models.CheckConstraint(
                condition=Q(weekly_summary=False) | Q(summarized_on__isnull=False), name="alerts_summary_begins"
            ),
        ]

    def __str__(self) -> str:
        return f"alerts of customer {self.customer_id}"

    @property
    def is_on(self) -> bool:
        return bool(self.low_balance or self.monthly_budget or self.caps or self.weekly_summary)


class NoticeQuerySet(models.QuerySet["Notice"]):
    def standing(self, *, customer_id: int, now: datetime) -> "NoticeQuerySet":
        """Those that a customer's pages show, the newest first."""
        shown = self.filter(customer_id=customer_id, dismissed_at__isnull=True)
        return shown.filter(Q(ends_at__isnull=True) | Q(ends_at__gt=now)).order_by("-id")


class Notice(models.Model):
    """A warning on the pages of an account's owners, written with its fact, until it is over or put away."""

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="+", db_index=False, verbose_name=_("customer")
    )
    kind = models.CharField(_("kind"), max_length=32)
    about = models.CharField(_("about"), max_length=80)
    data = models.JSONField(_("facts"), default=dict)
    created_at = models.DateTimeField(_("written at"))
    ends_at = models.DateTimeField(_("until"), null=True, blank=True)
    dismissed_at = models.DateTimeField(_("put away at"), null=True, blank=True)

    objects = NoticeQuerySet.as_manager()

    class Meta:
        verbose_name = _("notice")
        verbose_name_plural = _("notices")
        indexes = [
            models.Index(fields=["customer", "-id"], condition=Q(dismissed_at__isnull=True), name="notice_shown"),
            models.Index(fields=["created_at"], name="notice_created_at"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__isnull=True) | Q(ends_at__gte=F("created_at")), name="notice_ends_after_it_began"
            )
        ]

    def __str__(self) -> str:
        return self.about

"""What the desk's first page shows red, from when it did until it no longer does, and who was told."""

from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


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

"""The inbox of the providers' notifications."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from payments.models.statements import Statement
from payments.models.topups import Method, TopUp

NOT_FITTING = ("mismatch", "unknown_order")


class NotificationQuerySet(models.QuerySet["Notification"]):
    def not_fitting(self) -> NotificationQuerySet:
        """About a refund or a dispute that does not fit, or that is none of ours, and nobody has looked at it.

        Where finance said that another shop uses the account too, what is none of ours is that shop's.
        """
        shared = Statement.objects.filter(shared_at__isnull=False).values("provider")
        others = Q(outcome=Notification.Outcome.UNKNOWN_ORDER, provider__in=shared)
        waiting = self.filter(outcome__in=NOT_FITTING, seen_by__isnull=True).exclude(reference="")
        return waiting.exclude(others)


class Notification(models.Model):
    """The inbox: a provider's verified notification as it came. Read-only; it can only be processed again."""

    class Outcome(models.TextChoices):
        CREDITED = "credited", _("credited")
        REPEATED = "repeated", _("was credited before")
        PENDING = "pending", _("not paid yet")
        CLOSED = "closed", _("closed unpaid")
        UNKNOWN_ORDER = "unknown_order", _("unknown order")
        MISMATCH = "mismatch", _("does not match the order")
        BOOKED = "booked", _("booked")
        IGNORED = "ignored", _("nothing to do")

    provider = models.CharField(_("provider"), max_length=10, choices=Method.choices)
    key = models.CharField(_("provider's id"), max_length=200)
    kind = models.CharField(_("kind"), max_length=100, blank=True)
    order_number = models.CharField(_("order number"), max_length=64, blank=True, db_index=True)
    reference = models.CharField(
        _("about"),
        max_length=120,
        blank=True,
        help_text=_("A dispute, a warning or a refund, by the provider's number."),
    )
    transaction_id = models.CharField(
        _("provider's transaction"), max_length=120, blank=True, default="", db_default=""
    )
    headers = models.JSONField(_("headers"), default=dict)
    body = models.TextField(_("body"))
    received_at = models.DateTimeField(_("received at"), default=timezone.now)
    repeats = models.PositiveIntegerField(_("repeats"), default=0)
    processed_at = models.DateTimeField(_("processed at"), null=True, blank=True)
    outcome = models.CharField(_("outcome"), max_length=20, choices=Outcome.choices, blank=True)
    detail = models.CharField(_("detail"), max_length=200, blank=True)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    retry_at = models.DateTimeField(_("next attempt"), default=timezone.now)
    seen_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("looked at by")
    )
    topup = models.ForeignKey(
        TopUp, on_delete=models.PROTECT, null=True, blank=True, related_name="notifications", verbose_name=_("top-up")
    )

    objects = NotificationQuerySet.as_manager()

    class Meta:
        verbose_name = _("notification")
        verbose_name_plural = _("notifications")
        permissions = [("replay_notifications", "Can process notifications again")]
        indexes = [
            models.Index(fields=["retry_at"], condition=Q(processed_at__isnull=True), name="notification_to_process"),
            models.Index(
                fields=["-id"],
                condition=Q(outcome__in=NOT_FITTING, seen_by__isnull=True) & ~Q(reference=""),
                name="notification_not_fitting",
            ),
        ]
        constraints = [models.UniqueConstraint(fields=["provider", "key"], name="notification_once")]

    def __str__(self) -> str:
        return f"{self.provider} {self.kind} {self.key}"

"""The outbox: facts that somebody is to hear of, each written in the transaction that makes it true, and who has not
read it yet.
"""

from datetime import datetime, timedelta

import pgtrigger
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer

EVENTS_KEPT = timedelta(days=90)
LATE_AFTER = timedelta(minutes=15)
"""How long a fact may wait for a reader before staff hear of it, as mail may wait to leave."""


class Event(models.Model):
    """One fact, as it was when it was written. It is never changed, and forgotten after `EVENTS_KEPT`."""

    key = models.CharField(_("key"), max_length=120, unique=True, help_text=_("States the fact: it is written once."))
    kind = models.CharField(_("kind"), max_length=32)
    customer = models.ForeignKey(
        Customer,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
        verbose_name=_("customer"),
        help_text=_("Empty: it is the operator's."),
    )
    subject = models.CharField(_("about"), max_length=80, help_text=_("The number of the refund or the invoice."))
    data = models.JSONField(_("facts"), default=dict)
    shown = models.JSONField(
        _("shown"), null=True, blank=True, help_text=_("What it is about, as the account API showed it then.")
    )
    created_at = models.DateTimeField(_("written at"), default=timezone.now)

    class Meta:
        verbose_name = _("fact")
        verbose_name_plural = _("facts")
        indexes = [
            models.Index(fields=["subject", "kind"], name="event_subject"),
            models.Index(fields=["created_at"], name="event_created_at"),
        ]
        triggers = [
            pgtrigger.Protect(name="event_append_only", operation=pgtrigger.Update),
            pgtrigger.Protect(
                name="event_kept",
                operation=pgtrigger.Delete,
                condition=pgtrigger.Condition(f"OLD.created_at > now() - interval '{EVENTS_KEPT.days} days'"),
            ),
        ]

    def __str__(self) -> str:
        return self.key


class UnreadQuerySet(models.QuerySet["Unread"]):
    def hanging(self, *, now: datetime) -> "UnreadQuerySet":
        """Those that should have been read and were not: a reader fails, or nobody reads."""
        return self.filter(event__created_at__lt=now - LATE_AFTER)


class Unread(models.Model):
    """A fact that one reader has still to read: written with the fact, gone with what the reader makes of it."""

    event = models.ForeignKey(
        Event, on_delete=models.PROTECT, db_index=False, related_name="unread", verbose_name=_("fact")
    )
    reader = models.CharField(_("reader"), max_length=20)
    attempts = models.PositiveIntegerField(_("failed attempts"), default=0)
    problem = models.CharField(_("problem"), max_length=200, blank=True)
    due_at = models.DateTimeField(_("next attempt"), default=timezone.now)

    objects = UnreadQuerySet.as_manager()

    class Meta:
        verbose_name = _("unread fact")
        verbose_name_plural = _("unread facts")
        constraints = [models.UniqueConstraint(fields=["event", "reader"], name="unread_once_a_reader")]

    def __str__(self) -> str:
        return f"{self.reader}: {self.event}"

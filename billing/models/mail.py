"""Mail that is to be sent: what the outbox's facts tell customers and the operator."""

from datetime import datetime, timedelta

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer
from billing.models.books import Paper
from billing.models.events import Event

LATE_AFTER = timedelta(minutes=15)
"""How long a message may wait to leave before staff hear of it: a mail server that is away for a moment is no news."""

FILELESS_FOR = timedelta(days=7)
"""How long staff are told of a message that left without its file."""


class MailQuerySet(models.QuerySet["Mail"]):
    def hanging(self, *, now: datetime) -> "MailQuerySet":
        """Those that should have left and have not: given up, refused again and again, or sent by nobody."""
        return self.filter(sent_at__isnull=True, put_aside_at__isnull=True, created_at__lt=now - LATE_AFTER)

    def without_file(self, *, now: datetime) -> "MailQuerySet":
        """Those that left lately without their file, which is not made since: their links lead to nothing, too."""
        made = Paper.objects.filter(customer=OuterRef("customer"), number=OuterRef("about"))
        return self.filter(~Exists(made), fileless_at__gt=now - FILELESS_FOR)


class Mail(models.Model):
    """One message to one address, in its final words."""

    customer = models.ForeignKey(
        Customer,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("customer"),
        help_text=_("Empty: to the operator."),
    )
    about = models.CharField(_("about"), max_length=80, help_text=_("The number of the refund or the document."))
    to = models.EmailField(_("to"))
    subject = models.CharField(_("subject"), max_length=200)
    body = models.TextField(_("text"))
    sealed = models.TextField(
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text=_("Encrypted: what stands in the sent text alone, such as the link of an invitation."),
    )
    document = models.ForeignKey(
        "billing.Document",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("document"),
        help_text=_("Goes with it as a file."),
    )
    attaches = models.CharField(
        _("file to make"),
        max_length=100,
        blank=True,
        default="",
        db_default="",
        help_text=_("A file that is made as the message leaves, such as receipt:topup_1:en."),
    )
    fileless_at = models.DateTimeField(
        _("left without its file at"), null=True, blank=True, help_text=_("The file could not be made.")
    )
    event = models.ForeignKey(
        Event,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
        verbose_name=_("fact"),
        help_text=_("What it tells; empty once that is forgotten."),
    )
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    problem = models.CharField(_("problem"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("written at"), default=timezone.now)
    send_at = models.DateTimeField(_("next attempt"), null=True, blank=True)
    sent_at = models.DateTimeField(_("sent at"), null=True, blank=True)
    put_aside_at = models.DateTimeField(
        _("put aside at"), null=True, blank=True, help_text=_("Staff gave it up: nobody tries again.")
    )

    objects = MailQuerySet.as_manager()

    class Meta:
        verbose_name = _("mail")
        verbose_name_plural = _("mail")
        permissions = [("handle_mail", "Can send mail again, or put it aside")]
        constraints = [
            models.CheckConstraint(
                condition=Q(put_aside_at__isnull=True) | Q(sent_at__isnull=True, send_at__isnull=True),
                name="mail_put_aside_is_not_sent",
            ),
            models.UniqueConstraint(fields=["event", "to"], name="mail_once_a_fact"),
        ]
        indexes = [
            models.Index(fields=["fileless_at"], condition=Q(fileless_at__isnull=False), name="mail_fileless"),
            models.Index(fields=["created_at"], condition=Q(sent_at__isnull=True), name="mail_unsent"),
            models.Index(fields=["send_at"], condition=Q(send_at__isnull=False), name="mail_to_send"),
            models.Index(fields=["customer", "-id"], name="mail_customer"),
        ]

    def __str__(self) -> str:
        return f"{self.about}: {self.subject}"

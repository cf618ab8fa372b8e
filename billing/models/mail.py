"""Mail that is to be sent, written in the transaction of what it tells: neither is there without the other."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer


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
    document = models.ForeignKey(
        "billing.Document",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("document"),
        help_text=_("Goes with it as a file."),
    )
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    problem = models.CharField(_("problem"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("written at"), default=timezone.now)
    send_at = models.DateTimeField(_("next attempt"), null=True, blank=True)
    sent_at = models.DateTimeField(_("sent at"), null=True, blank=True)

    class Meta:
        verbose_name = _("mail")
        verbose_name_plural = _("mail")
        indexes = [
            models.Index(fields=["send_at"], condition=Q(send_at__isnull=False), name="mail_to_send"),
            models.Index(fields=["customer", "-id"], name="mail_customer"),
        ]

    def __str__(self) -> str:
        return f"{self.about}: {self.subject}"

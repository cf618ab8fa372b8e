"""What is kept so that nobody gets something twice."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models.people import Customer


class WelcomedAddress(models.Model):
    """A keyed hash of each address that has had the welcome credit; it survives the deletion of the account."""

    address_hash = models.CharField(_("hash of the address"), max_length=64, unique=True)
    network_hash = models.CharField(_("hash of the network"), max_length=64, db_index=True, blank=True)
    granted_at = models.DateTimeField(_("granted at"), default=timezone.now, db_index=True)

    class Meta:
        verbose_name = _("welcomed address")
        verbose_name_plural = _("welcomed addresses")

    def __str__(self) -> str:
        return self.address_hash[:12]


class IdempotentAnswer(models.Model):
    """The first answer to a POST that carried an `Idempotency-Key`, for 24 hours, encrypted."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="+")
    route = models.CharField(max_length=120, help_text=_("Method and path."))
    key_hash = models.CharField(max_length=64)
    body_hash = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True, help_text=_("Empty while the first request is at work."))
    body = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        verbose_name = _("idempotent answer")
        verbose_name_plural = _("idempotent answers")
        constraints = [models.UniqueConstraint(fields=["customer", "route", "key_hash"], name="idempotent_answer_once")]

    def __str__(self) -> str:
        return f"{self.route} {self.key_hash[:8]}"

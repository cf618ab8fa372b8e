"""What the house owes its upstreams, as it is posted."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class PurchaseBatch(models.Model):
    """Requests that were settled together, whose purchase is posted together: once, when `posted_at` is set.

    Settlement writes a row for each of its batches; the purchase task puts small ones together in the first of them.
    """

    generations = ArrayField(models.CharField(max_length=28), verbose_name=_("model requests"))
    attempts = ArrayField(
        models.BigIntegerField(), default=list, db_default=[], verbose_name=_("attempts at upstreams")
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    posted_at = models.DateTimeField(_("posted at"), null=True)
    failures = models.SmallIntegerField(_("failures"), default=0, db_default=0)
    lacks_rate = models.BooleanField(
        _("lacks a rate"), default=False, db_default=False, help_text=_("Something in it has no value in USD.")
    )
    is_counted = models.BooleanField(
        _("in the margin"), default=False, db_default=False, help_text=_("Its requests are in the totals of days.")
    )

    class Meta:
        verbose_name = _("purchase batch")
        verbose_name_plural = _("purchase batches")
        indexes = [
            models.Index(fields=["id"], condition=Q(posted_at=None), name="purchase_to_post"),
            models.Index(fields=["id"], condition=Q(lacks_rate=True), name="purchase_lacks_rate"),
        ]

    def __str__(self) -> str:
        return f"purchase:{self.pk}"

"""The exchange rates that orders are made at."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User


class ExchangeRate(models.Model):
    """Yuan a dollar from a moment on. Dated rows; an order keeps the one it was made at."""

    rate = models.DecimalField(_("CNY a USD"), max_digits=12, decimal_places=6)
    source = models.CharField(_("source"), max_length=60)
    set_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(_("valid from"), default=timezone.now, db_index=True)

    class Meta:
        verbose_name = _("exchange rate")
        verbose_name_plural = _("exchange rates")
        get_latest_by = "created_at"
        permissions = [("set_rates", "Can set exchange rates")]
        constraints = [
            models.CheckConstraint(condition=Q(rate__gte=1) & Q(rate__lte=100), name="exchange_rate_plausible")
        ]

    def __str__(self) -> str:
        return f"{self.rate} ({self.created_at:%Y-%m-%d})"

"""The exchange rates that orders are made at."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User


class ExchangeRate(models.Model):
    """Yuan a dollar from a moment on. Dated rows; an order keeps the one it was made at.

    One that is far from the rate before it is nobody's until a second person of finance confirms it.
    """

    rate = models.DecimalField(
        _("CNY a USD"), max_digits=12, decimal_places=6, validators=[MinValueValidator(1), MaxValueValidator(100)]
    )
    source = models.CharField(_("source"), max_length=60)
    set_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("set by")
    )
    needs_second = models.BooleanField(
        _("needs a second person"), default=False, help_text=_("It is far from the rate before it.")
    )
    confirmed_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("confirmed by")
    )
    dropped_at = models.DateTimeField(_("dropped at"), null=True, blank=True)
    created_at = models.DateTimeField(_("valid from"), default=timezone.now, db_index=True)

    class Meta:
        verbose_name = _("exchange rate")
        verbose_name_plural = _("exchange rates")
        get_latest_by = "created_at"
        permissions = [("set_rates", "Can set exchange rates")]
        constraints = [
            models.CheckConstraint(condition=Q(rate__gte=1) & Q(rate__lte=100), name="exchange_rate_plausible"),
            models.CheckConstraint(
                condition=Q(confirmed_by__isnull=True) | ~Q(confirmed_by=F("set_by")), name="exchange_rate_four_eyes"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rate} ({self.created_at:%Y-%m-%d})"

    @property
    def is_live(self) -> bool:
        return self.dropped_at is None and (not self.needs_second or self.confirmed_by_id is not None)

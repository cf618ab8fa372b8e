"""An order to pay money in."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import ClassVar

from django.db import models
from django.db.models import Case, F, Q, When
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer, User

CNY_VALIDITY = timedelta(minutes=15)
"""How long a QR code and its rate hold."""
CARD_VALIDITY = timedelta(hours=1)
"""Stripe takes no session that ends within 30 minutes; the rest is time to ask again when it does not answer."""


class Method(models.TextChoices):
    STRIPE = "stripe", _("Card")
    ALIPAY = "alipay", _("Alipay")
    WECHAT = "wechat", _("WeChat Pay")


class TopUpQuerySet(models.QuerySet["TopUp"]):
    def open(self) -> TopUpQuerySet:
        return self.filter(state=TopUp.State.OPEN)

    def named(self, text: str) -> TopUpQuerySet:
        """The one with that number, and those that a provider knows by it."""
        return self.filter(Q(number=text) | Q(transaction_id=text, method__in=Method.values))

    def due(self, *, now: datetime) -> TopUpQuerySet:
        """Those whose turn it is to be asked about, watched ones first: open, and now and then one given up."""
        unwatched = Case(When(watched_until__gt=now, then=0), default=1)
        return self.filter(next_poll_at__lte=now).order_by(unwatched, "next_poll_at")


class TopUp(models.Model):
    """An order to pay money in. `amount` is the credit in USD, `charge_amount` what is paid, in `charge_currency`."""

    class State(models.TextChoices):
        OPEN = "open", _("open")
        PAID = "paid", _("paid")
        EXPIRED = "expired", _("expired")
        FAILED = "failed", _("failed")

    # A provider may report a payment after we gave it up; money that came is never dropped.
    ALLOWED_FROM: ClassVar[dict[str, tuple[str, ...]]] = {
        State.PAID: (State.OPEN, State.EXPIRED, State.FAILED),
        State.EXPIRED: (State.OPEN,),
        State.FAILED: (State.OPEN,),
    }

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="topups")
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    number = models.CharField(
        _("order number"), max_length=32, unique=True, help_text=_("Ours, known to the provider and over the API.")
    )
    method = models.CharField(_("method"), max_length=10, choices=Method.choices)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.OPEN)
    amount = models.DecimalField(_("amount, USD"), max_digits=12, decimal_places=2)
    charge_amount = models.DecimalField(_("charged"), max_digits=12, decimal_places=2)
    charge_currency = models.CharField(_("currency"), max_length=3)
    fx_rate = models.DecimalField(
        _("exchange rate"), max_digits=12, decimal_places=6, null=True, blank=True, help_text=_("CNY a USD, locked.")
    )
    fx_source = models.CharField(_("source of the rate"), max_length=60, blank=True)
    fx_rate_at = models.DateTimeField(_("time of the rate"), null=True, blank=True)
    request = models.JSONField(
        _("request"), default=dict, help_text=_("What the provider is asked, kept so that a repeat is the same.")
    )
    reference = models.CharField(_("provider's reference"), max_length=120, blank=True)
    transaction_id = models.CharField(_("provider's transaction"), max_length=120, blank=True)
    checkout_url = models.URLField(_("checkout page"), max_length=2000, blank=True)
    qr_code = models.CharField(_("QR code"), max_length=500, blank=True)
    refunded = models.DecimalField(_("refunded, USD"), max_digits=12, decimal_places=2, default=0)
    refunded_charge = models.DecimalField(_("refunded, as charged"), max_digits=12, decimal_places=2, default=0)
    disputed = models.DecimalField(_("disputed, USD"), max_digits=12, decimal_places=2, default=0)
    problem = models.CharField(_("problem"), max_length=200, blank=True, help_text=_("What staff should look at."))
    expires_at = models.DateTimeField(_("expires at"))
    network_hash = models.CharField(
        max_length=64, blank=True, help_text=_("Where it was opened from, as a keyed hash.")
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    changed_at = models.DateTimeField(_("changed at"), default=timezone.now)
    paid_at = models.DateTimeField(_("paid at"), null=True, blank=True)
    next_poll_at = models.DateTimeField(default=timezone.now, null=True, blank=True, help_text=_("Empty: never again."))
    polls = models.PositiveIntegerField(default=0)
    watched_until = models.DateTimeField(null=True, blank=True)

    objects = TopUpQuerySet.as_manager()

    class Meta:
        verbose_name = _("top-up")
        verbose_name_plural = _("top-ups")
        indexes = [
            models.Index(fields=["customer", "-id"], name="topup_customer"),
            models.Index(
                fields=["network_hash", "created_at"], condition=~Q(network_hash=""), name="topup_from_network"
            ),
            models.Index(fields=["next_poll_at"], condition=Q(next_poll_at__isnull=False), name="topup_to_poll"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0, charge_amount__gt=0), name="topup_amounts_positive"),
            models.CheckConstraint(
                condition=Q(charge_currency="USD", fx_rate__isnull=True, charge_amount=F("amount"))
                | Q(charge_currency="CNY", fx_rate__gt=0),
                name="topup_charge_follows_rate",
            ),
            models.UniqueConstraint(
                fields=["method", "transaction_id"], condition=~Q(transaction_id=""), name="topup_transaction_once"
            ),
            models.CheckConstraint(
                condition=~Q(state="paid") | (~Q(transaction_id="") & Q(paid_at__isnull=False)),
                name="topup_paid_has_transaction",
            ),
            models.CheckConstraint(
                condition=Q(refunded__gte=0, refunded_charge__gte=0, disputed__gte=0)
                & Q(refunded__lte=F("amount"), refunded_charge__lte=F("charge_amount")),
                name="topup_refunds_within",
            ),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def shown_state(self) -> str:
        """The state as customers see it: what became of the money comes before the order's own state."""
        if self.disputed > 0:
            return "disputed"
        if self.refunded > 0:
            return "refunded" if self.refunded >= self.amount else "partly_refunded"
        return self.state

    @property
    def credit(self) -> Decimal:
        """What the wallet gets, USD at 8 places."""
        return self.amount.quantize(Decimal("0.00000001"))

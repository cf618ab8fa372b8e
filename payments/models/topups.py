"""An order to pay money in."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from django.db import models
from django.db.models import Case, F, Q, When
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer, User
from core.states import Machine

MOST_FAILURES = 3
"""So many errors in a row while an order is settled, and staff see it."""


class Method(models.TextChoices):
    STRIPE = "stripe", _("Card")
    ALIPAY = "alipay", _("Alipay")
    WECHAT = "wechat", _("WeChat Pay")


class TopUpQuerySet(models.QuerySet["TopUp"]):
    def open(self) -> TopUpQuerySet:
        return self.filter(state=TopUp.State.OPEN)

    def unpaid(self, *, now: datetime) -> TopUpQuerySet:
        """Open ones that a person or a program opened, whose time is not over."""
        return self.open().filter(automatic__isnull=True, expires_at__gt=now)

    def named(self, text: str) -> TopUpQuerySet:
        """The one with that number, and those that a provider knows by it."""
        return self.filter(Q(number=text) | Q(transaction_id=text, method__in=Method.values))

    def not_fitting(self) -> TopUpQuerySet:
        """With something for staff to look at, however it was found."""
        return self.exclude(problem="")

    def stuck(self) -> TopUpQuerySet:
        """Those that could not be settled several times in a row; they are tried again."""
        return self.filter(failures__gte=MOST_FAILURES)

    def due(self, *, now: datetime) -> TopUpQuerySet:
        """Those whose turn it is to be asked about, watched ones first: open, and now and then one given up."""
        unwatched = Case(When(watched_until__gt=now, then=0), default=1)
        return self.filter(next_poll_at__lte=now).order_by(unwatched, "next_poll_at")


class TopUp(models.Model):
    """An order to pay money in. `amount` is the credit in USD, `charge_amount` what is paid, in `charge_currency`, the
    house's `fee_amount` among it.
    """

    class State(models.TextChoices):
        OPEN = "open", _("unpaid")
        PAID = "paid", _("paid")
        EXPIRED = "expired", _("expired")
        FAILED = "failed", _("failed")

    MACHINE: ClassVar[Machine] = Machine(
        "top-up",
        State,
        # The second payment of an order is one of its own, credited as a late one is.
        starts=(State.OPEN, State.EXPIRED),
        ends=(State.PAID, State.EXPIRED, State.FAILED),
        moves={
            # A provider may report a payment after we gave it up; money that came is never dropped.
            State.PAID: (State.OPEN, State.EXPIRED, State.FAILED),
            State.EXPIRED: (State.OPEN,),
            State.FAILED: (State.OPEN,),
        },
    )

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="topups", verbose_name=_("customer"))
    created_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("opened by")
    )
    number = models.CharField(
        _("order number"), max_length=32, unique=True, help_text=_("Ours, known to the provider and over the API.")
    )
    second_of = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("second payment of"),
        help_text=_("The order that was paid twice; its provider knows this payment by that one's number."),
    )
    method = models.CharField(_("method"), max_length=10, choices=Method.choices)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.OPEN)
    amount = models.DecimalField(_("amount, USD"), max_digits=12, decimal_places=2)
    charge_amount = models.DecimalField(_("charged"), max_digits=12, decimal_places=2)
    charge_currency = models.CharField(_("currency"), max_length=3)
    fee_amount = models.DecimalField(
        _("fee"),
        max_digits=12,
        decimal_places=2,
        default=0,
        db_default=0,
        help_text=_("The house's, part of what is charged."),
    )
    returns_fee = models.BooleanField(
        _("returns the fee"), default=False, db_default=False, help_text=_("With the share refunded.")
    )
    fx_rate = models.DecimalField(
        _("exchange rate"), max_digits=12, decimal_places=6, null=True, blank=True, help_text=_("CNY a USD, locked.")
    )
    automatic = models.ForeignKey(
        "payments.AutoTopUp",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="topups",
        verbose_name=_("automatic, by"),
        help_text=_("What the customer agreed to; such an order is paid by the saved card."),
    )
    asked_at = models.DateTimeField(
        _("charge last asked for"), null=True, blank=True, help_text=_("Of an automatic one.")
    )
    fx_source = models.CharField(_("source of the rate"), max_length=60, blank=True)
    fx_rate_at = models.DateTimeField(_("time of the rate"), null=True, blank=True)
    request = models.JSONField(
        _("request"), default=dict, help_text=_("What the provider is asked, kept so that a repeat is the same.")
    )
    reference = models.CharField(_("provider's reference"), max_length=120, blank=True)
    transaction_id = models.CharField(_("provider's transaction"), max_length=120, blank=True)
    checkout_url = models.URLField(_("checkout page"), max_length=2000, blank=True)
    qr_code = models.CharField(_("QR code"), max_length=1024, blank=True)
    refunded = models.DecimalField(_("refunded, USD"), max_digits=12, decimal_places=2, default=0)
    refunded_charge = models.DecimalField(_("refunded, as charged"), max_digits=12, decimal_places=2, default=0)
    refunded_fee = models.DecimalField(_("refunded fee"), max_digits=12, decimal_places=2, default=0, db_default=0)
    disputed = models.DecimalField(_("disputed, USD"), max_digits=12, decimal_places=2, default=0)
    problem = models.CharField(_("problem"), max_length=200, blank=True, help_text=_("What staff should look at."))
    is_late = models.BooleanField(
        _("paid late"), default=False, help_text=_("Credited after its time; whether it goes back is not decided yet.")
    )
    failures = models.PositiveSmallIntegerField(
        _("failures"), default=0, help_text=_("Errors in a row while it was settled; it is tried again.")
    )
    failure = models.CharField(_("last error"), max_length=200, blank=True)
    expires_at = models.DateTimeField(_("expires at"))
    network_hash = models.CharField(
        _("hash of the network"), max_length=64, blank=True, help_text=_("Where it was opened from, as a keyed hash.")
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    changed_at = models.DateTimeField(_("changed at"), default=timezone.now)
    paid_at = models.DateTimeField(_("paid at"), null=True, blank=True)
    next_poll_at = models.DateTimeField(
        _("next ask"), default=timezone.now, null=True, blank=True, help_text=_("Empty: never again.")
    )
    polls = models.PositiveIntegerField(_("asks"), default=0)
    watched_until = models.DateTimeField(_("watched until"), null=True, blank=True)

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
            models.Index(fields=["-id"], condition=~Q(problem="") | Q(failures__gt=0), name="topup_to_look_at"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0, charge_amount__gt=0), name="topup_amounts_positive"),
            models.CheckConstraint(
                condition=Q(charge_currency="USD", fx_rate__isnull=True, charge_amount=F("amount") + F("fee_amount"))
                | Q(charge_currency="CNY", fx_rate__gt=0),
                name="topup_charge_follows_rate",
            ),
            models.UniqueConstraint(
                fields=["customer"],
                condition=Q(state="open", automatic__isnull=False),
                name="topup_one_automatic_unresolved",
            ),
            models.UniqueConstraint(
                fields=["method", "transaction_id"], condition=~Q(transaction_id=""), name="topup_transaction_once"
            ),
            models.CheckConstraint(
                condition=~Q(state="paid") | (~Q(transaction_id="") & Q(paid_at__isnull=False)),
                name="topup_paid_has_transaction",
            ),
            models.CheckConstraint(
                condition=Q(is_late=False) | Q(state="paid", next_poll_at__isnull=False),
                name="topup_late_is_taken_up_again",
            ),
            models.CheckConstraint(
                condition=Q(refunded__gte=0, refunded_charge__gte=0, disputed__gte=0)
                & Q(refunded__lte=F("amount"), refunded_charge__lte=F("charge_amount")),
                name="topup_refunds_within",
            ),
            models.CheckConstraint(
                condition=Q(fee_amount__gte=0, fee_amount__lt=F("charge_amount")), name="topup_fee_within_charge"
            ),
            models.CheckConstraint(
                condition=Q(refunded_fee__gte=0, refunded_fee__lte=F("fee_amount"))
                & Q(refunded_charge__gte=F("refunded_fee"))
                & Q(refunded_charge__lte=F("charge_amount") - F("fee_amount") + F("refunded_fee")),
                name="topup_refunds_within_parts",
            ),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def order_number(self) -> str:
        """The order's number at the provider."""
        return self.second_of.number if self.second_of is not None else self.number

    @property
    def shown_state(self) -> str:
        """The state as customers see it: what became of the money comes before the order's own state."""
        if self.disputed > 0:
            return "disputed"
        if self.refunded > 0:
            return "refunded" if self.refunded >= self.amount else "partly_refunded"
        return self.state

    @property
    def has_checkout(self) -> bool:
        """Whether there is somewhere to pay."""
        return bool(self.checkout_url or self.qr_code)

    @property
    def base_amount(self) -> Decimal:
        """What is charged for the credit alone."""
        return self.charge_amount - self.fee_amount

    @property
    def refunded_base(self) -> Decimal:
        return self.refunded_charge - self.refunded_fee

    @property
    def credit(self) -> Decimal:
        """What the wallet gets, USD at 8 places."""
        return self.amount.quantize(Decimal("0.00000001"))

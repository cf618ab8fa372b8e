"""Payments that a card's bank disputes, what each moved, and the warnings that come before."""

from decimal import Decimal
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer, User
from billing.models import RefundRequest
from payments.models.topups import Method, TopUp


class Dispute(models.Model):
    """A dispute as its provider last told it. `withdrawn` is what it took and did not give back, `held` what is set
    aside for it on the wallet; both USD, as is the top-up's `disputed`, their sum.
    """

    OPEN: ClassVar[tuple[str, ...]] = ("needs_response", "under_review", "appeal_needs_response", "appeal_under_review")
    WON: ClassVar[tuple[str, ...]] = ("won", "warning_closed", "prevented")
    OVER: ClassVar[tuple[str, ...]] = (*WON, "lost")

    provider = models.CharField(_("provider"), max_length=10, choices=Method.choices)
    provider_id = models.CharField(_("provider's number"), max_length=120)
    payment_id = models.CharField(_("provider's transaction"), max_length=120, blank=True)
    topup = models.ForeignKey(
        TopUp, on_delete=models.PROTECT, null=True, blank=True, related_name="disputes", verbose_name=_("top-up")
    )
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, null=True, blank=True, related_name="disputes", verbose_name=_("customer")
    )
    status = models.CharField(_("state"), max_length=30, help_text=_("In the provider's words."))
    reason = models.CharField(_("reason"), max_length=60, blank=True)
    amount = models.DecimalField(_("disputed"), max_digits=12, decimal_places=2)
    currency = models.CharField(_("currency"), max_length=3)
    held = models.DecimalField(_("held, USD"), max_digits=12, decimal_places=2, default=0)
    withdrawn = models.DecimalField(_("withdrawn, USD"), max_digits=12, decimal_places=2, default=0)
    holds = models.PositiveIntegerField(default=0, help_text=_("Holds placed so far; the last one counts."))
    evidence_due_at = models.DateTimeField(_("answer due"), null=True, blank=True)
    suspended_at = models.DateTimeField(_("spending suspended at"), null=True, blank=True)
    problem = models.CharField(_("problem"), max_length=200, blank=True, help_text=_("What staff should look at."))
    write_off = models.DecimalField(_("write-off, USD"), max_digits=12, decimal_places=2, null=True, blank=True)
    write_off_reason = models.CharField(_("reason of the write-off"), max_length=300, blank=True)
    write_off_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("proposed by")
    )
    written_off_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("confirmed by")
    )
    written_off_at = models.DateTimeField(_("written off at"), null=True, blank=True)
    recovered = models.DecimalField(
        _("recovered, USD"),
        max_digits=12,
        decimal_places=2,
        default=0,
        help_text=_("Of what was written off, as the provider gave it back."),
    )
    version = models.PositiveIntegerField(default=0, help_text=_("Answers of the provider that were booked."))
    opened_at = models.DateTimeField(_("opened at"), default=timezone.now)
    changed_at = models.DateTimeField(_("changed at"), default=timezone.now)

    class Meta:
        verbose_name = _("dispute")
        verbose_name_plural = _("disputes")
        indexes = [models.Index(fields=["customer", "id"], name="dispute_customer")]
        constraints = [
            models.UniqueConstraint(fields=["provider", "provider_id"], name="dispute_once"),
            models.CheckConstraint(condition=Q(held__gte=0), name="dispute_held_not_negative"),
            models.CheckConstraint(
                condition=Q(topup__isnull=True, customer__isnull=True, held=0)
                | Q(topup__isnull=False, customer__isnull=False),
                name="dispute_of_a_customers_topup",
            ),
            models.CheckConstraint(
                condition=Q(written_off_at__isnull=True)
                | (Q(write_off__gt=0) & Q(written_off_by__isnull=False) & ~Q(written_off_by=models.F("write_off_by"))),
                name="dispute_write_off_by_two",
            ),
        ]

    def __str__(self) -> str:
        return self.provider_id

    @property
    def is_open(self) -> bool:
        return self.status in self.OPEN

    @property
    def ledger_key(self) -> str:
        """What the keys of its transfers and holds begin with."""
        return f"dispute:{self.pk}"

    @property
    def written_off(self) -> Decimal:
        """What the house bears of it now, USD."""
        if self.written_off_at is None or self.write_off is None:
            return Decimal(0)
        return self.write_off - self.recovered


class DisputeMovement(models.Model):
    """Money that a dispute moved at its provider: below zero it was taken from us, above zero given back."""

    dispute = models.ForeignKey(Dispute, on_delete=models.PROTECT, related_name="movements")
    provider_id = models.CharField(_("provider's row"), max_length=80)
    amount = models.DecimalField(_("amount"), max_digits=17, decimal_places=3)
    fee = models.DecimalField(_("fee"), max_digits=17, decimal_places=3, default=0)
    topup_fee = models.DecimalField(
        _("top-up's fee"),
        max_digits=12,
        decimal_places=2,
        default=0,
        db_default=0,
        help_text=_("What the house bears of the amount: above zero as it is taken, below as it comes back."),
    )
    currency = models.CharField(_("currency"), max_length=3)
    booked = models.DecimalField(
        _("in the currency of the charge"),
        max_digits=12,
        decimal_places=2,
        help_text=_("The same, where the account settles in another currency."),
    )
    at = models.DateTimeField(_("at"))
    posted_at = models.DateTimeField(_("posted at"), default=timezone.now)

    class Meta:
        verbose_name = _("movement of a dispute")
        verbose_name_plural = _("movements of disputes")
        constraints = [
            models.UniqueConstraint(fields=["dispute", "provider_id"], name="disputemovement_once"),
        ]

    def __str__(self) -> str:
        return f"{self.provider_id}: {self.amount} {self.currency}"


class FraudWarning(models.Model):
    """A card network says that a payment was probably fraud; a dispute often follows."""

    provider = models.CharField(_("provider"), max_length=10, choices=Method.choices)
    provider_id = models.CharField(_("provider's number"), max_length=120)
    topup = models.ForeignKey(TopUp, on_delete=models.PROTECT, related_name="fraud_warnings", verbose_name=_("top-up"))
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="fraud_warnings", verbose_name=_("customer")
    )
    kind = models.CharField(_("kind"), max_length=60, blank=True)
    refund = models.ForeignKey(
        RefundRequest,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="fraud_warnings",
        verbose_name=_("proposed refund"),
    )
    problem = models.CharField(_("problem"), max_length=200, blank=True, help_text=_("What staff should look at."))
    created_at = models.DateTimeField(_("received at"), default=timezone.now)

    class Meta:
        verbose_name = _("early fraud warning")
        verbose_name_plural = _("early fraud warnings")
        constraints = [models.UniqueConstraint(fields=["provider", "provider_id"], name="fraudwarning_once")]

    def __str__(self) -> str:
        return self.provider_id

"""The parts in which a refund goes back, each to the top-up it came from."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from billing.models import RefundRequest
from payments.models.topups import TopUp


class RefundPart(models.Model):
    """`amount` USD of a refund; `charge_amount` in `charge_currency` is what the provider is asked to pay back.

    `key` is our number at the provider, stored before the first call and sent with each repeat. Without a top-up
    or with `by_bank` the part is paid by bank transfer, which finance records.
    """

    class State(models.TextChoices):
        PLANNED = "planned", _("planned")
        SENDING = "sending", _("being sent")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        PARKED = "parked", _("waits for staff")

    ALLOWED_FROM: ClassVar[dict[str, tuple[str, ...]]] = {
        State.SENDING: (State.PLANNED,),
        State.DONE: (State.SENDING, State.PARKED),
        State.FAILED: (State.SENDING, State.PARKED, State.DONE),
        State.PARKED: (State.SENDING,),
    }
    UNDECIDED: ClassVar[tuple[str, ...]] = (State.PLANNED, State.SENDING, State.PARKED)

    refund = models.ForeignKey(RefundRequest, on_delete=models.PROTECT, related_name="parts")
    number = models.PositiveIntegerField(_("part"))
    topup = models.ForeignKey(
        TopUp, on_delete=models.PROTECT, null=True, blank=True, related_name="refund_parts", verbose_name=_("top-up")
    )
    by_bank = models.BooleanField(_("by bank transfer"), default=False)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.PLANNED)
    amount = models.DecimalField(_("amount, USD"), max_digits=12, decimal_places=2)
    charge_amount = models.DecimalField(_("paid back"), max_digits=12, decimal_places=2, null=True, blank=True)
    charge_currency = models.CharField(_("currency"), max_length=3, default="USD")
    key = models.CharField(_("our number"), max_length=64, unique=True)
    provider_id = models.CharField(_("provider's number"), max_length=120, blank=True)
    detail = models.CharField(_("the provider's words"), max_length=300, blank=True)
    bank_reference = models.CharField(_("bank reference"), max_length=120, blank=True)
    recorded_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("recorded by")
    )
    confirmed_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("confirmed by")
    )
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    look_at = models.DateTimeField(_("next look"), null=True, blank=True)
    created_at = models.DateTimeField(_("planned at"), default=timezone.now)
    sent_at = models.DateTimeField(_("sent at"), null=True, blank=True)
    done_at = models.DateTimeField(_("done at"), null=True, blank=True)
    failed_at = models.DateTimeField(_("failed at"), null=True, blank=True)

    class Meta:
        verbose_name = _("part of a refund")
        verbose_name_plural = _("parts of refunds")
        indexes = [
            models.Index(fields=["look_at"], condition=Q(look_at__isnull=False), name="refundpart_to_look"),
            models.Index(fields=["refund"], condition=Q(state="parked"), name="refundpart_parked"),
            models.Index(fields=["provider_id"], condition=~Q(provider_id=""), name="refundpart_provider_id"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["refund", "number"], name="refundpart_number_once"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="refundpart_amount_positive"),
            models.CheckConstraint(condition=Q(by_bank=True) | Q(topup__isnull=False), name="refundpart_has_a_way"),
            models.CheckConstraint(
                condition=Q(charge_amount__isnull=True) | Q(charge_amount__gte=0), name="refundpart_charge_not_negative"
            ),
            models.UniqueConstraint(
                fields=["topup", "provider_id"], condition=~Q(provider_id=""), name="refundpart_provider_id_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.refund.number}, {self.number}"

    @property
    def ledger_key(self) -> str:
        """What the keys of its transfers begin with."""
        return f"refund:{self.refund_id}:part:{self.number}"

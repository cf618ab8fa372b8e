"""The parts in which a refund goes back, each to the top-up it came from."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from billing.models import RefundRequest
from core.states import Machine
from payments.models.topups import TopUp


class RefundPart(models.Model):
    """`amount` USD of a refund; `charge_amount` in `charge_currency` is what the provider is asked to pay back.

    `key` is our number at the provider, stored before the first call and sent with each repeat. Without a top-up
    or with `by_bank` the part is paid by bank transfer, which finance records. What one of finance recorded and
    another confirmed was paid by our bank, or `paid_there`: by the provider, which does not tell.

    `round` counts how often it was taken up again after an end that its provider contradicted: `after_all` says that
    it was paid though it had failed here, and `excess` USD of it the customer owes. `contradicted_at` and `seen_by`:
    since when somebody is to look at that, and who did.
    """

    class State(models.TextChoices):
        PLANNED = "planned", _("planned")
        SENDING = "sending", _("being sent")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        PARKED = "parked", _("waits for staff")

    MACHINE: ClassVar[Machine] = Machine(
        "part of a refund",
        State,
        # What was begun at the provider is done when we hear of it; what both paid had failed here.
        starts=(State.PLANNED, State.DONE, State.FAILED),
        ends=(State.DONE, State.FAILED),
        moves={
            State.SENDING: (State.PLANNED,),
            State.DONE: (State.SENDING, State.PARKED, State.FAILED),
            State.FAILED: (State.PLANNED, State.SENDING, State.PARKED, State.DONE),
            State.PARKED: (State.SENDING, State.DONE),
        },
    )
    STANDING: ClassVar[tuple[str, ...]] = (State.SENDING, State.PARKED, State.DONE)
    """Those whose money has left the wallet and is not back there."""
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
    fee_amount = models.DecimalField(
        _("fee"),
        max_digits=12,
        decimal_places=2,
        default=0,
        db_default=0,
        help_text=_("Of the top-up, among what is paid back."),
    )
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
    paid_there = models.BooleanField(_("recorded as paid by the provider"), default=False)
    to_bank_card = models.BooleanField(
        _("to a bank card"), default=False, help_text=_("WeChat Pay says so; that takes days.")
    )
    round = models.PositiveSmallIntegerField(default=1)
    after_all = models.BooleanField(_("paid after it had failed"), default=False)
    excess = models.DecimalField(_("owed by the customer, USD"), max_digits=12, decimal_places=2, default=0)
    bear_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("proposes to bear it")
    )
    contradicted_at = models.DateTimeField(_("contradicted at"), null=True, blank=True)
    seen_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("looked at by")
    )
    attempts = models.PositiveIntegerField(
        _("asks"), default=0, help_text=_("How often its provider was asked about it.")
    )
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
            models.Index(
                fields=["refund"],
                condition=Q(contradicted_at__isnull=False, seen_by__isnull=True),
                name="refundpart_contradicted",
            ),
            models.Index(fields=["sent_at"], condition=Q(state="sending"), name="refundpart_on_the_way"),
            models.Index(fields=["provider_id"], condition=~Q(provider_id=""), name="refundpart_provider_id"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["refund", "number"], name="refundpart_number_once"),
            models.CheckConstraint(
                condition=Q(amount__gt=0) | Q(amount=0, fee_amount__gt=0, fee_amount=F("charge_amount")),
                name="refundpart_amount_positive",
            ),
            models.CheckConstraint(condition=Q(by_bank=True) | Q(topup__isnull=False), name="refundpart_has_a_way"),
            models.CheckConstraint(
                condition=Q(charge_amount__isnull=True) | Q(charge_amount__gte=0), name="refundpart_charge_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(excess__gte=0, excess__lte=F("amount")) & (Q(excess=0) | Q(after_all=True)),
                name="refundpart_excess_within",
            ),
            models.CheckConstraint(
                condition=Q(after_all=False) | Q(round__gt=1, state__in=("done", "parked")),
                name="refundpart_after_all_is_paid",
            ),
            models.CheckConstraint(
                condition=Q(fee_amount=0) | Q(fee_amount__gt=0, fee_amount__lte=F("charge_amount")),
                name="refundpart_fee_within_charge",
            ),
            models.UniqueConstraint(
                fields=["topup", "provider_id"], condition=~Q(provider_id=""), name="refundpart_provider_id_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.refund.number}, {self.number}"

    @property
    def has_provider(self) -> bool:
        """Whether a provider is to pay it back."""
        return self.topup_id is not None and not self.by_bank

    @property
    def same_reference(self) -> list["RefundPart"]:
        """Other parts that are recorded as paid by what this one is: two for one transfer are mostly one too many."""
        same = RefundPart.objects.filter(bank_reference__iexact=self.bank_reference, recorded_by__isnull=False)
        return list(same.exclude(pk=self.pk).select_related("refund").order_by("pk")[:5])

    @property
    def is_paid_by_bank(self) -> bool:
        """Two of finance say that our bank paid it."""
        return self.confirmed_by_id is not None and not self.paid_there

    @property
    def ledger_key(self) -> str:
        """What the keys of its transfers begin with."""
        return f"refund:{self.refund_id}:part:{self.label}"

    @property
    def label(self) -> str:
        """What it is called in its transfers' keys."""
        return str(self.number) if self.round == 1 else f"{self.number}:round:{self.round}"

    @property
    def was_with_provider(self) -> bool:
        """Whether its provider may know it, and so contradict what we think became of it."""
        return self.has_provider and self.sent_at is not None and self.charge_amount != 0
